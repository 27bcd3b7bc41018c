package hop2

import (
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/twohop/twohop/model"
)

// The requests of a member of a consumer group that has one topic of one partition.

// heartbeatRequest says that a member is there, and what it has. It is a full one: the answer says what the
// member is to have.
func heartbeatRequest(m *kafkaMember, epoch int32, has bool) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = m.group, m.id, epoch
	req.RebalanceTimeoutMillis = int32(m.g.cfg.Session.Milliseconds())
	req.SubscribedTopicNames, req.ServerAssignor = []string{m.topic}, kmsg.StringPtr("range")
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if has {
		t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		t.TopicID, t.Partitions = m.topicID, []int32{0}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// leaveRequest says that a member goes.
func leaveRequest(m *kafkaMember) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = m.group, m.id, -1
	return req
}

// heard is what the answer to a heartbeat says.
type heard struct {
	epoch    int32
	interval time.Duration // until the next
	known    bool          // whether it says what the member is to have
	has      bool
	topicID  [16]byte
}

func decodeHeartbeat(resp kmsg.Response) (heard, error) {
	r, ok := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
	if !ok {
		return heard{}, fmt.Errorf("%w: %T to a heartbeat", errReply, resp)
	}
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return heard{}, err
	}
	h := heard{epoch: r.MemberEpoch, interval: time.Duration(r.HeartbeatIntervalMillis) * time.Millisecond}
	if r.Assignment == nil {
		return h, nil
	}
	h.known = true
	for _, t := range r.Assignment.Topics {
		for _, p := range t.Partitions {
			if h.has || p != 0 {
				return heard{}, fmt.Errorf("%w: partition %d, of topics that have one", errReply, p)
			}
			h.has, h.topicID = true, t.TopicID
		}
	}
	return h, nil
}

// commitRequest keeps a position. Kafka's offset is the message's number; that, its ID, and of which epoch it is, is in the
// text that goes with it.
func commitRequest(m *kafkaMember, epoch int32, at model.Bookmark) *kmsg.OffsetCommitRequest {
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset, p.Metadata = int64(min(at.Cursor.Seq, math.MaxInt64)), kmsg.StringPtr(at.String())
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.Partitions = m.topic, []kmsg.OffsetCommitRequestTopicPartition{p}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, epoch
	req.Topics = []kmsg.OffsetCommitRequestTopic{t}
	return req
}

func decodeCommit(resp kmsg.Response) error {
	r, ok := resp.(*kmsg.OffsetCommitResponse)
	if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return fmt.Errorf("%w: %T to a commit of one partition", errReply, resp)
	}
	return kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode)
}

// committedRequest asks for the position that was kept.
func committedRequest(m *kafkaMember, epoch int32) *kmsg.OffsetFetchRequest {
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.Partitions = m.topic, []int32{0}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberID, g.MemberEpoch = m.group, &m.id, epoch
	g.Topics = []kmsg.OffsetFetchRequestGroupTopic{t}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = []kmsg.OffsetFetchRequestGroup{g}
	return req
}

// decodeCommitted gives the position that was kept; the zero bookmark if none was.
func decodeCommitted(resp kmsg.Response) (model.Bookmark, error) {
	r, ok := resp.(*kmsg.OffsetFetchResponse)
	if !ok || len(r.Groups) != 1 {
		return model.Bookmark{}, fmt.Errorf("%w: %T to a question for one group's position", errReply, resp)
	}
	g := r.Groups[0]
	if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
		return model.Bookmark{}, err
	}
	if len(g.Topics) != 1 || len(g.Topics[0].Partitions) != 1 {
		return model.Bookmark{}, fmt.Errorf("%w: the positions of %d topics; want 1", errReply, len(g.Topics))
	}
	p := g.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return model.Bookmark{}, err
	}
	if p.Offset < 0 {
		return model.Bookmark{}, nil
	}
	if p.Metadata == nil {
		return model.Bookmark{}, fmt.Errorf("%w: offset %d was committed by somebody else", errReply, p.Offset)
	}
	at, err := model.ParseBookmark(*p.Metadata)
	if err != nil {
		return model.Bookmark{}, fmt.Errorf("%w: %w", errReply, err)
	}
	if at.Cursor.IsZero() || int64(min(at.Cursor.Seq, math.MaxInt64)) != p.Offset {
		return model.Bookmark{}, fmt.Errorf("%w: offset %d was committed for the position %.80q", errReply, p.Offset, *p.Metadata)
	}
	return at, nil
}

// coordinatorRequest asks which broker a group is with.
func coordinatorRequest(group string) *kmsg.FindCoordinatorRequest {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	return req
}

func decodeCoordinator(resp kmsg.Response) (int, error) {
	r, ok := resp.(*kmsg.FindCoordinatorResponse)
	if !ok || len(r.Coordinators) != 1 {
		return 0, fmt.Errorf("%w: %T to a question for one group's coordinator", errReply, resp)
	}
	c := r.Coordinators[0]
	if err := kerr.ErrorForCode(c.ErrorCode); err != nil {
		return 0, err
	}
	if c.NodeID < 0 {
		return 0, kerr.CoordinatorNotAvailable
	}
	return int(c.NodeID), nil
}

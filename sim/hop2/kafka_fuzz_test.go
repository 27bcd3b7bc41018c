package hop2

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/twohop/twohop/model"
)

// requireReason fails unless an error is a broker's, or says that an answer makes no sense.
func requireReason(t *testing.T, err error) {
	t.Helper()
	require.True(t, errors.Is(err, errReply) || errors.As(err, new(*kerr.Error)), "%v", err)
}

// Whatever a group's coordinator answers to a heartbeat: no panic, and who is told to have a room is told which.
func FuzzKafkaHeartbeat(f *testing.F) {
	r := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	f.Add(encoded(0, r, func() { r.MemberEpoch, r.HeartbeatIntervalMillis = 3, 500 }))
	f.Add(encoded(0, r, func() { r.ErrorCode = kerr.FencedMemberEpoch.Code }))
	f.Add(encoded(0, r, func() {
		a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
		p := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		p.TopicID, p.Partitions = [16]byte{1}, []int32{0}
		a.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{p, p}
		r.ErrorCode, r.Assignment = 0, &a
	}))
	f.Add(encoded(0, r, func() { r.Assignment.Topics = r.Assignment.Topics[:1] }))
	f.Fuzz(func(t *testing.T, b []byte) {
		resp := decoded(0, kmsg.NewPtrConsumerGroupHeartbeatResponse(), b)
		h, err := decodeHeartbeat(resp)
		if err != nil {
			requireReason(t, err)
			return
		}
		require.True(t, h.known || !h.has)
		require.LessOrEqual(t, h.interval, math.MaxInt32*time.Millisecond)
	})
}

// Whatever it answers to a commit.
func FuzzKafkaCommit(f *testing.F) {
	p := kmsg.NewOffsetCommitResponseTopicPartition()
	topic := kmsg.NewOffsetCommitResponseTopic()
	topic.Topic, topic.Partitions = "ns.r", []kmsg.OffsetCommitResponseTopicPartition{p}
	r := kmsg.NewPtrOffsetCommitResponse()
	f.Add(encoded(9, r, func() { r.Topics = []kmsg.OffsetCommitResponseTopic{topic} }))
	f.Add(encoded(9, r, func() { r.Topics[0].Partitions[0].ErrorCode = kerr.StaleMemberEpoch.Code }))
	f.Add(encoded(9, r, func() { r.Topics = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := decodeCommit(decoded(9, kmsg.NewPtrOffsetCommitResponse(), b)); err != nil {
			requireReason(t, err)
		}
	})
}

// Whatever it answers to the question for a group's position: what is accepted is one that could have been kept.
func FuzzKafkaCommitted(f *testing.F) {
	r := kmsg.NewPtrOffsetFetchResponse()
	fill := func(offset int64, text *string) func() {
		return func() {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Offset, p.Metadata = offset, text
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic, topic.Partitions = "ns.r", []kmsg.OffsetFetchResponseGroupTopicPartition{p}
			g := kmsg.NewOffsetFetchResponseGroup()
			g.Group, g.Topics = "g", []kmsg.OffsetFetchResponseGroupTopic{topic}
			r.Groups = []kmsg.OffsetFetchResponseGroup{g}
		}
	}
	f.Add(encoded(9, r, fill(7, kmsg.StringPtr("e1:7/m%207"))))
	f.Add(encoded(9, r, fill(0, kmsg.StringPtr("e1:0"))))
	f.Add(encoded(9, r, fill(7, kmsg.StringPtr("e1:8/m8"))))
	f.Add(encoded(9, r, fill(0, kmsg.StringPtr(""))))
	f.Add(encoded(9, r, fill(7, nil)))
	f.Add(encoded(9, r, fill(-1, nil)))
	f.Add(encoded(9, r, func() { r.Groups[0].Topics = nil }))
	f.Add(encoded(9, r, func() { r.Groups = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		resp := decoded(9, kmsg.NewPtrOffsetFetchResponse(), b)
		at, err := decodeCommitted(resp)
		if err != nil {
			requireReason(t, err)
			return
		}
		again, err := model.ParseBookmark(at.String())
		require.NoError(t, err)
		require.Equal(t, at, again)
		if offset := resp.Groups[0].Topics[0].Partitions[0].Offset; offset >= 0 {
			require.False(t, at.Cursor.IsZero(), "there is a position")
			require.Equal(t, uint64(offset), min(at.Cursor.Seq, math.MaxInt64), "the offset is the position's number")
		}
	})
}

// Whatever a broker answers to the question for a group's coordinator.
func FuzzKafkaCoordinator(f *testing.F) {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Host, c.Port = "g", 2, "kafka-3", 9092
	r := kmsg.NewPtrFindCoordinatorResponse()
	f.Add(encoded(4, r, func() { r.Coordinators = []kmsg.FindCoordinatorResponseCoordinator{c} }))
	f.Add(encoded(4, r, func() { r.Coordinators[0].NodeID = -1 }))
	f.Add(encoded(4, r, func() { r.Coordinators[0].ErrorCode = kerr.CoordinatorLoadInProgress.Code }))
	f.Add(encoded(4, r, func() { r.Coordinators = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		resp := decoded(4, kmsg.NewPtrFindCoordinatorResponse(), b)
		node, err := decodeCoordinator(resp)
		if err != nil {
			requireReason(t, err)
			return
		}
		require.GreaterOrEqual(t, node, 0)
	})
}

// Whatever a broker answers to the question for a topic's leader: what is accepted is the leader of that topic's only
// partition.
func FuzzKafkaLeader(f *testing.F) {
	p := kmsg.NewMetadataResponseTopicPartition()
	p.Leader, p.Replicas, p.ISR = 2, []int32{2, 0}, []int32{2}
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic, topic.Partitions = kmsg.StringPtr("ns.r"), []kmsg.MetadataResponseTopicPartition{p}
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = 2, "kafka-3", 9092
	r := kmsg.NewPtrMetadataResponse()
	f.Add(encoded(11, r, func() {
		r.Brokers, r.Topics = []kmsg.MetadataResponseBroker{b}, []kmsg.MetadataResponseTopic{topic}
	}))
	f.Add(encoded(11, r, func() { r.Topics[0].Partitions[0].Leader = -1 }))
	f.Add(encoded(11, r, func() { r.Topics[0].Partitions[0].Partition = 1 }))
	f.Add(encoded(11, r, func() { r.Topics[0].Partitions[0].ErrorCode = kerr.LeaderNotAvailable.Code }))
	f.Add(encoded(11, r, func() { r.Topics[0].ErrorCode = kerr.UnknownTopicOrPartition.Code }))
	f.Add(encoded(11, r, func() { r.Topics[0].ErrorCode, r.Topics[0].Topic = 0, kmsg.StringPtr("ns.q") }))
	f.Add(encoded(11, r, func() { r.Topics[0].Topic = nil }))
	f.Add(encoded(11, r, func() { r.Topics = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		resp := decoded(11, kmsg.NewPtrMetadataResponse(), b)
		leader, err := decodeLeader(resp, "ns.r")
		if err != nil {
			requireReason(t, err)
			return
		}
		require.GreaterOrEqual(t, leader, 0)
		require.Equal(t, "ns.r", *resp.Topics[0].Topic)
		require.Len(t, resp.Topics[0].Partitions, 1)
	})
}

// Whatever it answers to the creation of a topic: what is accepted is that of the topic that was asked for.
func FuzzKafkaCreated(f *testing.F) {
	topic := kmsg.NewCreateTopicsResponseTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "ns.r", 1, 1
	r := kmsg.NewPtrCreateTopicsResponse()
	f.Add(encoded(7, r, func() { r.Topics = []kmsg.CreateTopicsResponseTopic{topic} }))
	f.Add(encoded(7, r, func() { r.Topics[0].ErrorCode = kerr.TopicAlreadyExists.Code }))
	f.Add(encoded(7, r, func() { r.Topics[0].ErrorCode = kerr.PolicyViolation.Code }))
	f.Add(encoded(7, r, func() { r.Topics[0].ErrorCode, r.Topics[0].Topic = 0, "ns.q" }))
	f.Add(encoded(7, r, func() { r.Topics = nil }))
	f.Fuzz(func(t *testing.T, b []byte) {
		resp := decoded(7, kmsg.NewPtrCreateTopicsResponse(), b)
		if err := decodeCreated(resp, "ns.r"); err != nil {
			requireReason(t, err)
			return
		}
		require.Equal(t, "ns.r", resp.Topics[0].Topic)
		require.Contains(t, []int16{0, kerr.TopicAlreadyExists.Code}, resp.Topics[0].ErrorCode)
	})
}

// Whatever a broker answers to what is appended, and to the question for an offset.
func FuzzKafkaOffsets(f *testing.F) {
	p := kmsg.NewProduceResponseTopicPartition()
	p.BaseOffset = 7
	topic := kmsg.NewProduceResponseTopic()
	topic.Topic, topic.Partitions = "ns.r", []kmsg.ProduceResponseTopicPartition{p}
	r := kmsg.NewPtrProduceResponse()
	f.Add(encoded(9, r, func() { r.Topics = []kmsg.ProduceResponseTopic{topic} }))
	f.Add(encoded(9, r, func() { r.Topics[0].Partitions[0].BaseOffset = math.MaxInt64 }))
	f.Add(encoded(9, r, func() { r.Topics[0].Partitions[0].ErrorCode = kerr.NotLeaderForPartition.Code }))
	lp := kmsg.NewListOffsetsResponseTopicPartition()
	lp.Offset = 9
	lt := kmsg.NewListOffsetsResponseTopic()
	lt.Topic, lt.Partitions = "ns.r", []kmsg.ListOffsetsResponseTopicPartition{lp}
	l := kmsg.NewPtrListOffsetsResponse()
	f.Add(encoded(7, l, func() { l.Topics = []kmsg.ListOffsetsResponseTopic{lt} }))
	f.Add(encoded(7, l, func() { l.Topics[0].Partitions[0].Offset = -1 }))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := produced(decoded(9, kmsg.NewPtrProduceResponse(), b))
		if err != nil {
			requireReason(t, err)
		}
		require.Less(t, at, int64(math.MaxInt64), "there is an offset after it")
		require.GreaterOrEqual(t, at, int64(0))
		at, err = listed(decoded(7, kmsg.NewPtrListOffsetsResponse(), b))
		if err != nil {
			requireReason(t, err)
		}
		require.GreaterOrEqual(t, at, int64(0))
	})
}

// Whatever a broker answers to a read: what is accepted is of the topics that were asked for, in their order, and a
// log takes all of it.
func FuzzKafkaFetch(f *testing.F) {
	places := []place{{"ns.a", 3}, {"ns.b", 0}}
	fill := func(r *kmsg.FetchResponse, topic string, records []byte) func() {
		return func() {
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.RecordBatches = 5, records
			ft := kmsg.NewFetchResponseTopic()
			ft.Topic, ft.Partitions = topic, []kmsg.FetchResponseTopicPartition{p}
			r.Topics = append(r.Topics, ft)
		}
	}
	batch := recordBatch([][]byte{
		(&kafkaEntry{Epoch: "e"}).encode(), (&kafkaEntry{Epoch: "e", Horizon: 1, record: record{ID: "m1"}}).encode(), []byte("no entry"),
	}, time.UnixMilli(1))
	r := kmsg.NewPtrFetchResponse()
	f.Add(encoded(12, r, fill(r, "ns.b", batch)))
	f.Add(encoded(12, r, fill(r, "ns.a", batch[:len(batch)-3])))
	f.Add(encoded(12, r, func() { r.Topics[0].Partitions[0].ErrorCode = kerr.OffsetOutOfRange.Code }))
	f.Add(encoded(12, r, fill(r, "ns.c", nil)))
	f.Add(encoded(12, r, func() { r.ErrorCode = kerr.UnknownServerError.Code }))
	f.Fuzz(func(t *testing.T, b []byte) {
		resp := decoded(12, kmsg.NewPtrFetchResponse(), b)
		got, err := decodeFetch(resp, places)
		if err != nil {
			requireReason(t, err)
			return
		}
		require.LessOrEqual(t, len(got), len(places))
		next := 0
		for _, one := range got {
			for next < len(places) && places[next].topic != one.topic {
				next++
			}
			require.Less(t, next, len(places), "topics out of order: %v", got)
			from := places[next].offset
			log := newKafkaLog(4, 4)
			log.restart(from)
			for _, r := range one.records {
				require.GreaterOrEqual(t, r.Offset, from)
				log.take("r", r.Offset, r.Value)
			}
			require.LessOrEqual(t, len(log.messages), 4)
			next++
		}
	})
}

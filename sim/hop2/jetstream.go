package hop2

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/twohop/twohop/model"
)

// JetStream is the strategy jetstream: each room's log is a stream of NATS JetStream, whose sequence
// numbers are the log's. A subscription is an ephemeral push consumer that begins after its position; when
// it is lost, by a restart of the server say, the subscription makes another where it stands. What is out
// of reach, and announced as a gap, is what a stream was trimmed of, or lost with the server's data:
// streams with memory storage ([Config].Storage) are lost with the server.
//
// The same ID is appended once, as long as the server remembers it: for [Config].RememberFor after it was
// first published, restarts with file storage included. JetStream counts time here, not messages.
//
// It holds one connection.
type JetStream struct {
	cfg      Config
	identity string
	link     *natsLink

	mu     sync.Mutex        // never held across anything that blocks
	epochs map[string]string // of rooms, as last heard
}

// NewJetStream makes a strategy of NATS JetStream at cfg.Addr, version 2.9 or later. [Config].Remember is
// not looked at. It does not wait for the broker.
func NewJetStream(cfg Config) (*JetStream, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &JetStream{cfg: cfg, identity: randomName(cfg.Rand), epochs: map[string]string{}}
	s.link = newNATSLink(&s.cfg)
	return s, nil
}

// Close ends the connection and the subscriptions, and waits for all that was started.
func (s *JetStream) Close() error {
	s.link.close()
	return nil
}

// A room's stream is ns_room, with one subject, ns.log.room.epoch. So a publisher that knows of an epoch
// that is over is answered by nobody, where it would otherwise be given a position in another.
func (s *JetStream) stream(room string) string { return s.cfg.Namespace + "_" + natsToken(room) }

func (s *JetStream) subject(room, epoch string) string {
	return s.cfg.Namespace + ".log." + natsToken(room) + "." + epoch
}

// deliverSubject is where a consumer delivers. It is subscribed to by name: a subscription by pattern is no
// sign of life to JetStream.
func (s *JetStream) deliverSubject(consumer string) string {
	return s.link.name + ".d." + consumer
}

// epochOf reads the epoch of a subject.
func (s *JetStream) epochOf(room, subject string) (epoch string, ok bool) {
	epoch, ok = strings.CutPrefix(subject, s.subject(room, ""))
	if !ok {
		return "", false
	}
	at, err := model.ParseCursor(epoch + ":0")
	return at.Epoch, err == nil
}

// Publish appends m to its room's log.
func (s *JetStream) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	if err := checkMessage(m); err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 jetstream: publish: %w", err)
	}
	data := []byte(encodeRecord(m))
	var at model.Cursor
	err := s.link.insist(ctx, func() (err error) {
		at, err = s.publish(ctx, m.Room, m.ID, data)
		return err
	})
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 jetstream: publish %q to room %s: %w", m.ID, m.Room, err)
	}
	return at, nil
}

// publish is one attempt.
func (s *JetStream) publish(ctx context.Context, room, id string, data []byte) (model.Cursor, error) {
	epoch, err := s.epoch(ctx, room, id)
	if err != nil {
		return model.Cursor{}, err
	}
	reply, err := s.link.do(ctx, &natsCall{
		room: room, subject: s.subject(room, epoch), data: data,
		header: nats.Header{"Nats-Msg-Id": {base64.RawURLEncoding.EncodeToString([]byte(id))}}, // a header is trimmed
	})
	if errors.Is(err, errNoResponders) { // the stream is gone, or JetStream is
		s.unlearn(room, epoch)
	}
	if err != nil {
		return model.Cursor{}, err
	}
	var ack struct {
		Error  *apiError `json:"error"`
		Stream string    `json:"stream"`
		Seq    uint64    `json:"seq"`
	}
	if err := decodeAPI(reply, &ack, &ack.Error); err != nil {
		return model.Cursor{}, err
	}
	if ack.Stream != s.stream(room) || ack.Seq == 0 {
		return model.Cursor{}, fmt.Errorf("%w: %.200q acknowledges a message to stream %s", errReply, reply, s.stream(room))
	}
	return model.Cursor{Epoch: epoch, Seq: ack.Seq}, nil
}

// epoch gives a room's epoch, as far as is known. It is for publishing a message of the ID.
func (s *JetStream) epoch(ctx context.Context, room, id string) (string, error) {
	s.mu.Lock()
	epoch := s.epochs[room]
	s.mu.Unlock()
	if epoch != "" {
		return epoch, nil
	}
	info := s.infoCall(room)
	info.tie = id
	reply, err := s.link.do(ctx, info)
	if err == nil {
		var p page
		if p, err = s.decodeInfo(room, reply); err == nil {
			return p.epoch, nil
		}
	}
	if !isMissing(err) {
		return "", err
	}
	create := s.createCall(room)
	create.tie = id
	if reply, err = s.link.do(ctx, create); err != nil {
		return "", err
	}
	p, err := s.decodeInfo(room, reply)
	return p.epoch, err
}

// learn takes note of a room's epoch.
func (s *JetStream) learn(room, epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[room] = epoch
}

// unlearn takes note that a room's epoch is over; another may be known already.
func (s *JetStream) unlearn(room, epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epochs[room] == epoch {
		delete(s.epochs, room)
	}
}

// apiError is JetStream's way to say no.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

// The errors of JetStream's API that mean something to us.
const (
	errStreamNotFound = 10059
	errStreamExists   = 10058
)

func isMissing(err error) bool {
	var api *apiError
	return errors.As(err, &api) && api.ErrCode == errStreamNotFound
}

// decodeAPI reads a reply of JetStream's API, whose error, if it has one, comes to stand where e points.
// Whoever asks for too much, or wrongly, is told so with 400; the rest passes.
func decodeAPI(reply []byte, into any, e **apiError) error {
	if err := json.Unmarshal(reply, into); err != nil {
		return fmt.Errorf("%w: %.200q: %w", errReply, reply, err)
	}
	if *e == nil {
		return nil
	}
	if (*e).Code == 400 && (*e).ErrCode != errStreamExists {
		return fmt.Errorf("%w: %w", errReply, *e)
	}
	return *e
}

// infoCall asks what is in a room's stream.
func (s *JetStream) infoCall(room string) *natsCall {
	return &natsCall{room: room, subject: "$JS.API.STREAM.INFO." + s.stream(room)}
}

// createCall begins a room's stream, should this be the moment that it begins.
func (s *JetStream) createCall(room string) *natsCall {
	return &natsCall{room: room, subject: "$JS.API.STREAM.CREATE." + s.stream(room), data: mustJSON(streamConfig{
		Name: s.stream(room), Subjects: []string{s.subject(room, epochName(s.identity, room))},
		Retention: "limits", Discard: "old", Storage: s.cfg.Storage, Replicas: 1,
		MaxConsumers: -1, MaxMsgs: s.cfg.History, MaxBytes: -1, MaxMsgSize: -1, Duplicates: s.cfg.RememberFor,
	})}
}

// streamConfig and consumerConfig are what we say of JetStream's.
type streamConfig struct {
	Name         string        `json:"name"`
	Subjects     []string      `json:"subjects"`
	Retention    string        `json:"retention"`
	Discard      string        `json:"discard"`
	Storage      string        `json:"storage"`
	Replicas     int           `json:"num_replicas"`
	MaxConsumers int           `json:"max_consumers"`
	MaxMsgs      int           `json:"max_msgs"`
	MaxBytes     int           `json:"max_bytes"`
	MaxMsgSize   int           `json:"max_msg_size"`
	Duplicates   time.Duration `json:"duplicate_window"`
}

type consumerConfig struct {
	Name          string        `json:"name"`
	Deliver       string        `json:"deliver_subject"`
	DeliverPolicy string        `json:"deliver_policy"`
	StartSeq      uint64        `json:"opt_start_seq"`
	AckPolicy     string        `json:"ack_policy"`
	ReplayPolicy  string        `json:"replay_policy"`
	Filter        string        `json:"filter_subject"`
	MaxDeliver    int           `json:"max_deliver"`
	Heartbeat     time.Duration `json:"idle_heartbeat"`
	FlowControl   bool          `json:"flow_control"`
	Replicas      int           `json:"num_replicas"`
	Memory        bool          `json:"mem_storage"`
	Inactive      time.Duration `json:"inactive_threshold"`
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("hop2: %T does not marshal: %v", v, err))
	}
	return b
}

// decodeInfo reads the answer to infoCall and createCall: a page without messages. The room's epoch is
// taken note of.
func (s *JetStream) decodeInfo(room string, reply []byte) (page, error) {
	var info struct {
		Error  *apiError `json:"error"`
		Config struct {
			Subjects []string `json:"subjects"`
		} `json:"config"`
		State struct {
			First uint64 `json:"first_seq"`
			Last  uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := decodeAPI(reply, &info, &info.Error); err != nil {
		return page{}, err
	}
	if len(info.Config.Subjects) != 1 {
		return page{}, fmt.Errorf("%w: stream %s has the subjects %.200q", errReply, s.stream(room), info.Config.Subjects)
	}
	epoch, ok := s.epochOf(room, info.Config.Subjects[0])
	if !ok {
		return page{}, fmt.Errorf("%w: stream %s has the subject %.200q", errReply, s.stream(room), info.Config.Subjects[0])
	}
	p := page{epoch: epoch, first: max(info.State.First, 1), last: info.State.Last}
	if p.last == math.MaxUint64 || p.first > p.last+1 {
		return page{}, fmt.Errorf("%w: stream %s goes from %d to %d", errReply, s.stream(room), p.first, p.last)
	}
	s.learn(room, epoch)
	return p, nil
}

package hop2

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/twohop/twohop/model"
)

// NATS is the strategy nats: core NATS, which hands a message to whoever listens at the moment and keeps
// nothing. It has no order across publishers either, and no memory of IDs, so those are the business of
// one service beside the broker, the sequencer ([RunSequencer]): publishers ask it to publish, and it
// gives each message its position. A message whose publisher got no answer can be published again, with
// the same ID, as long as the sequencer remembers it; one that restarts begins a new epoch.
//
// Whatever a subscription misses, and be it for the moment that it takes to reconnect, is lost. It notices
// by the next message's position or, after [Config].CheckEvery of silence, by asking the sequencer for the
// room's end; and says so, by a gap.
type NATS struct {
	cfg  Config
	link *natsLink
}

// NewNATS makes a strategy of NATS at cfg.Addr, version 2.2 or later, with a sequencer. [Config].History
// is not looked at, Remember is the sequencer's. It does not wait for the broker.
func NewNATS(cfg Config) (*NATS, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &NATS{cfg: cfg}
	s.link = newNATSLink(&s.cfg)
	return s, nil
}

// The subjects of core NATS. A request to the sequencer is one letter and, to publish, a record.
//
//	ns.seq.room    requests to the sequencer
//	ns.live.room   "epoch:seq record" or, for an announced end, "epoch:seq"
func seqSubject(cfg *Config, room string) string { return cfg.Namespace + ".seq." + natsToken(room) }

func liveSubject(cfg *Config, room string) string { return cfg.Namespace + ".live." + natsToken(room) }

const (
	askToPublish = 'P'
	askForEnd    = 'E'
)

// Publish has m appended to its room by the sequencer.
func (s *NATS) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	if err := checkMessage(m); err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 nats: publish: %w", err)
	}
	data := append([]byte{askToPublish}, encodeRecord(m)...)
	var at model.Cursor
	err := s.insist(ctx, func() error {
		reply, err := s.link.do(ctx, s.call(m.Room, data))
		if err == nil {
			at, err = decodeSequenced(reply)
		}
		if err == nil && at.Seq == 0 {
			err = fmt.Errorf("%w: position %v", errReply, at)
		}
		return err
	})
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 nats: publish %q to room %s: %w", m.ID, m.Room, err)
	}
	return at, nil
}

func (s *NATS) call(room string, data []byte) *natsCall {
	return &natsCall{room: room, subject: seqSubject(&s.cfg, room), data: data}
}

// Subscribe gives what is published to a room from now on.
func (s *NATS) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 nats: subscribe: %w", err)
	}
	sub := &natsSubscription{lossySubscription: newLossy(s, room)}
	s.link.listen(liveSubject(&s.cfg, room), sub)
	if err := sub.begin(ctx, from); err != nil {
		sub.Unsubscribe()
		return nil, fmt.Errorf("hop2 nats: subscribe to room %s: %w", room, err)
	}
	return sub, nil
}

// Close ends the connection and the subscriptions, and waits for all that was started.
func (s *NATS) Close() error {
	s.link.close()
	return nil
}

// natsSubscription is one reader. It is a natsReader.
type natsSubscription struct{ *lossySubscription }

func (s *natsSubscription) message(m *nats.Msg, _ func(string, []byte)) {
	item, err := decodeLive(s.room, string(m.Data))
	if err != nil { // the sequencer did not write it
		s.inbox.suspect()
		return
	}
	s.inbox.push(item)
}

func (s *natsSubscription) resubscribed() { s.inbox.suspect() }

// Unsubscribe ends the subscription.
func (s *natsSubscription) Unsubscribe() {
	if s.end(ErrClosed) {
		host := s.host.(*NATS)
		host.link.unlisten(liveSubject(&host.cfg, s.room), s)
	}
}

// A NATS is a lossyHost.

func (s *NATS) label() string            { return "nats" }
func (s *NATS) config() *Config          { return &s.cfg }
func (s *NATS) done() <-chan struct{}    { return s.link.ctx.Done() }
func (s *NATS) leave(string, liveReader) {} // natsSubscription does

func (s *NATS) insist(ctx context.Context, attempt func() error) error {
	return s.link.insist(ctx, attempt)
}

func (s *NATS) askCount(room string, _ model.Bookmark) <-chan answer {
	answered := make(chan answer, 1)
	c := s.call(room, []byte{askForEnd})
	c.answer = func(a natsAnswer) {
		at, err := model.Cursor{}, a.err
		if err == nil {
			at, err = decodeSequenced(a.data)
		}
		answered <- answer{[]string{at.Epoch, strconv.FormatUint(at.Seq, 10), ""}, err}
	}
	s.link.calls.put(c)
	return answered
}

// decodeSequenced reads the sequencer's answer: a position, or what is wrong with the request.
func decodeSequenced(data []byte) (model.Cursor, error) {
	text := string(data)
	if why, refused := strings.CutPrefix(text, "!"); refused {
		return model.Cursor{}, fmt.Errorf("%w: the sequencer says: %.200s", errReply, why)
	}
	at, err := model.ParseCursor(text)
	if err != nil || at.IsZero() {
		return model.Cursor{}, fmt.Errorf("%w: position %.80q", errReply, text)
	}
	return at, nil
}

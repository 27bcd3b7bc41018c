package hop2

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/twohop/twohop/model"
)

// RunSequencer gives the messages of core NATS their positions, until ctx ends: it is what the strategy
// nats needs besides a NATS server. Its state is in memory: a room's count, and up to [Config].Remember of
// its latest IDs. One that starts anew begins a new epoch. There must be one at a time; of two, each would
// send readers from the other's epoch to its own, and they would take the first to be over.
//
// It returns ctx's error, or what is wrong with the configuration.
func RunSequencer(ctx context.Context, cfg Config) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	s := &sequencer{cfg: &cfg, epoch: randomName(cfg.Rand), rooms: map[string]*sequencedRoom{}}
	link := newNATSLink(&cfg)
	defer link.close()
	link.listen(cfg.Namespace+".seq.*", s)
	<-ctx.Done()
	return ctx.Err()
}

// sequencer is a natsReader. It does its work as requests come, on the link's goroutine.
type sequencer struct {
	cfg   *Config
	epoch string
	rooms map[string]*sequencedRoom // by token
}

// sequencedRoom is a room's count and its memory of IDs.
type sequencedRoom struct {
	seq   uint64
	known map[string]uint64 // ID → position
	order []string          // the known IDs, oldest first
}

func (s *sequencer) resubscribed() {}

// message answers a request.
func (s *sequencer) message(m *nats.Msg, reply func(subject string, data []byte)) {
	if m.Reply == "" {
		return // nobody wants to know
	}
	token := m.Subject[len(s.cfg.Namespace+".seq."):]
	answer, announce := s.handle(token, m.Data)
	if announce != "" { // before the answer: who has it may rely on the announcement being under way
		reply(s.cfg.Namespace+".live."+token, []byte(announce))
	}
	reply(m.Reply, []byte(answer))
}

// handle gives the answer to a request and what is to be announced in the room; "" for nothing.
func (s *sequencer) handle(token string, request []byte) (answer, announce string) {
	if len(request) == 0 {
		return "!an empty request", ""
	}
	rm := s.rooms[token]
	if rm == nil {
		rm = &sequencedRoom{known: map[string]uint64{}}
		s.rooms[token] = rm
	}
	switch kind, text := request[0], string(request[1:]); kind {
	case askForEnd:
		at := model.Cursor{Epoch: s.epoch, Seq: rm.seq}.String()
		return at, at
	case askToPublish:
		rec, err := decodeRecord("", 1, text)
		if err != nil {
			return "!" + err.Error(), ""
		}
		if seq, known := rm.known[rec.ID]; known {
			return model.Cursor{Epoch: s.epoch, Seq: seq}.String(), ""
		}
		at := model.Cursor{Epoch: s.epoch, Seq: rm.append(rec.ID, s.cfg.Remember)}
		return at.String(), encodeLive(at, text)
	default:
		return fmt.Sprintf("!an unknown request %q", kind), ""
	}
}

// append gives the next position to an ID, which it remembers in place of the oldest one.
func (rm *sequencedRoom) append(id string, remember int) uint64 {
	rm.seq++
	rm.known[id] = rm.seq
	rm.order = append(rm.order, id)
	if len(rm.order) > remember {
		delete(rm.known, rm.order[0])
		rm.order = rm.order[1:]
	}
	return rm.seq
}

package edge

import (
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
)

// SlowPolicy is what happens to a client that is more than QueueLimit messages behind. None loses anything
// in silence: what a client does not get it is told of, as a [hop1.Gap], which it observes as a
// [model.Discontinuity].
type SlowPolicy string

const (
	// Disconnect ends the client's connection. It resumes from its cursor, and gets everything.
	Disconnect SlowPolicy = "disconnect"
	// DropOldest skips the oldest messages that the client has not got, so that QueueLimit are left.
	DropOldest SlowPolicy = "drop-oldest"
	// Conflate skips messages that have a later one with the same key: the client gets the latest of each
	// key, in order. Only of more than KeyLimit keys those that were quiet longest are skipped, too.
	Conflate SlowPolicy = "conflate"
)

func (p SlowPolicy) validate() error {
	switch p {
	case "", Disconnect, DropOldest, Conflate:
		return nil
	}
	return fieldError("Slow", fmt.Sprintf("%.40q", string(p)), fmt.Sprintf("%q, %q or %q", Disconnect, DropOldest, Conflate))
}

// SlowStats counts what a [SlowPolicy] did.
type SlowStats struct {
	// Disconnected is how many times a client was.
	Disconnected uint64
	// Dropped is how many messages were skipped for a client that got no later one in their place, and
	// Conflated how many that did; each client counts by itself.
	Dropped, Conflated uint64
}

// overflow does to a slow consumer what the policy says. The room's lock is held.
func (sub *subscription) overflow(lag uint64) (hop1.Batch, <-chan struct{}, error) {
	switch srv := sub.rm.srv; srv.cfg.Slow {
	case DropOldest:
		return sub.dropOldest(), nil, nil
	case Conflate:
		return sub.conflate(), nil, nil
	default:
		if !sub.slow {
			sub.slow = true
			srv.countSlow(func(st *SlowStats) { st.Disconnected++ })
		}
		return hop1.Batch{}, nil, fmt.Errorf("%w: %d messages behind", hop1.ErrSlowConsumer, lag)
	}
}

// dropOldest takes the client to the last QueueLimit messages of the room's newest stretch.
func (sub *subscription) dropOldest() hop1.Batch {
	skipped, why := sub.skipStretches()
	to := sub.on.last - min(sub.on.last-sub.on.from, uint64(sub.rm.srv.cfg.QueueLimit))
	if to > sub.at {
		skipped += to - sub.at
		sub.at = to
	}
	sub.rm.srv.countSlow(func(st *SlowStats) { st.Dropped += skipped })
	if sub.rm.srv.cfg.Mutant == DropSilently && sub.on.last > to {
		msgs, _ := sub.on.since(to)
		sub.at = sub.on.last
		return hop1.Batch{Messages: msgs}
	}
	return sub.skipped(sub.at, skipped, why)
}

// conflate takes the client to the end of the room's newest stretch, with what the digest has of it as an
// extract.
func (sub *subscription) conflate() hop1.Batch {
	dropped, why := sub.skipStretches()
	floor := max(sub.at, sub.on.digest.floor)
	dropped += floor - sub.at
	sub.extract = sub.on.digest.after(floor)
	if n := len(sub.extract); n > 1 && sub.rm.srv.cfg.Mutant == TrimConflated {
		sub.extract = sub.extract[:n-1]
	}
	sub.at, sub.told = max(floor, sub.on.last), floor
	conflated := sub.at - floor - uint64(len(sub.extract))
	sub.rm.srv.countSlow(func(st *SlowStats) { st.Dropped += dropped; st.Conflated += conflated })
	if dropped == 0 && why == "" {
		return sub.takeExtract()
	}
	return sub.skipped(floor, dropped, why)
}

// skipped announces that the client stands at seq now, without so many messages that it had not got; why
// is of the last gap between stretches, if there was one.
func (sub *subscription) skipped(seq, messages uint64, why string) hop1.Batch {
	told := fmt.Sprintf("slow consumer: %d messages dropped", messages)
	if why != "" {
		told += ", and before the rest " + why
	}
	return hop1.Batch{Gap: &hop1.Gap{To: model.Cursor{Epoch: sub.on.epoch, Seq: seq}, Anchor: sub.on.anchor(seq), Why: told}}
}

// takeExtract gives the next of the extract: the messages that follow each other, or what it leaves out
// before them.
func (sub *subscription) takeExtract() hop1.Batch {
	first := sub.extract[0].Seq
	if first > sub.told+1 {
		skipped := first - 1 - sub.told
		sub.told = first - 1
		return hop1.Batch{Gap: &hop1.Gap{
			To:     model.Cursor{Epoch: sub.on.epoch, Seq: first - 1},
			Anchor: sub.on.anchor(first - 1),
			Why:    fmt.Sprintf("%s: %d messages have later ones of their keys", model.NoteConflated, skipped),
		}}
	}
	n := 1
	for n < len(sub.extract) && sub.extract[n].Seq == first+uint64(n) {
		n++
	}
	msgs := sub.extract[:n:n]
	sub.extract, sub.told = sub.extract[n:], first+uint64(n)-1
	return hop1.Batch{Messages: msgs}
}

// skipStretches takes the client to the room's newest stretch. It tells how many messages that skips, and
// what the last gap on the way was, if there was one.
func (sub *subscription) skipStretches() (skipped uint64, why string) {
	for sub.on.next != nil {
		skipped += sub.on.rest(sub.at)
		sub.at = max(sub.at, sub.on.last)
		if gap := sub.proceed(); gap != nil {
			why = gap.Why
		}
	}
	return skipped, why
}

// countSlow changes the statistics.
func (s *Server) countSlow(change func(*SlowStats)) {
	s.slowMu.Lock()
	defer s.slowMu.Unlock()
	change(&s.slow)
}

// digest keeps the latest message of each key of a stretch. All slow consumers of the room share it.
//
// Invariant: of the messages after floor, it has those that have no later one of the same key.
type digest struct {
	key   func(model.Message) string
	limit int
	floor uint64

	latest map[string]uint64 // by key, the Seq of its latest message
	order  []keyed           // by Seq; an entry whose Seq is not its key's latest counts for nothing
}

// keyed is a message with its key.
type keyed struct {
	key string
	msg model.Message
}

func newDigest(from uint64, key func(model.Message) string, limit int) *digest {
	return &digest{key: key, limit: limit, floor: from, latest: map[string]uint64{}}
}

func (d *digest) add(msgs []model.Message) {
	for _, m := range msgs {
		k := keyed{d.key(m), m}
		d.latest[k.key] = m.Seq
		d.order = append(d.order, k)
		for len(d.latest) > d.limit {
			if oldest := d.order[0]; d.counts(oldest) {
				delete(d.latest, oldest.key)
				d.floor = oldest.msg.Seq
			}
			d.order = d.order[1:]
		}
	}
	if len(d.order) > 2*len(d.latest)+64 {
		d.order = slices.DeleteFunc(d.order, func(k keyed) bool { return !d.counts(k) })
	}
}

func (d *digest) counts(k keyed) bool { return d.latest[k.key] == k.msg.Seq }

// after gives what is kept of the messages after seq, which is not below the floor.
func (d *digest) after(seq uint64) []model.Message {
	var msgs []model.Message
	i, _ := slices.BinarySearchFunc(d.order, seq+1, func(k keyed, seq uint64) int {
		if k.msg.Seq < seq {
			return -1
		}
		return 1
	})
	for _, k := range d.order[i:] {
		if d.counts(k) {
			msgs = append(msgs, k.msg)
		}
	}
	return msgs
}

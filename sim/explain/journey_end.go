package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// end says where the journey ended.
func (w *walk) end() []string {
	var says []string
	say := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	if n := w.others[model.Deliver]; n > 0 {
		says = append(says, several(n, "other client", "got it"))
	}
	switch {
	case w.about.Client == "":
	case len(w.got) > 1:
		say("%s has got it %d times, the last %v after the first.", w.about.Client, len(w.got), (w.got[len(w.got)-1].Time - w.got[0].Time).Round(time.Microsecond))
	case len(w.got) == 1:
		if w.called != nil {
			say("%s has got it %v after the call of publish.", w.about.Client, (w.got[0].Time - w.called.Time).Round(time.Microsecond))
		}
	default:
		says = append(says, w.missing()...)
	}
	if len(w.faults) > 0 {
		say("Faults begun and not ended: %s.", strings.Join(slices.Sorted(maps.Keys(w.faults)), ", "))
	}
	return says
}

// missing says why the client has not got the message, as far as is known.
func (w *walk) missing() (says []string) {
	say := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	r, client := w.run, w.about.Client
	switch {
	case w.logged == nil && w.gaveUp != nil:
		w.dead = deadEnd{at: w.called}
		say("It ended with its publisher: nothing shows that it ever was in the log.")
		return says
	case w.logged == nil:
		w.dead = deadEnd{at: w.called}
		say("It ended on its way to the log: nothing shows that it ever was there.")
		return says
	case w.told != nil:
		say("%s was told that it would not get it.", client)
		return says
	}
	if len(w.copied) > 0 {
		last := w.copied[len(w.copied)-1]
		say("It ended between %s, which handed it on at t=%.6fs, and %s, which never got it.", last.Node, last.Time.Seconds(), client)
		if n := lostAt(r, client, last.Time, w.until); n > 0 {
			say("Packets from or to %s that did not arrive since: %d.", client, n)
		}
		return append(says, w.onward(last.Time)...)
	}
	begin := w.logged.Time
	s := w.stayAt(begin)
	switch {
	case s == nil:
		say("%s was not connected when it came into the log.", client)
	case len(w.received) == 0 && len(r.Trail) > 0:
		w.dead = deadEnd{w.logged, s.from.Peer}
		say("It ended in the log: no edge has got it from hop 2.")
	case s.from.Peer == "" || len(r.Trail) == 0:
		say("%s was connected when it came into the log%s, and never got it.", client, by(", to ", s.from.Peer))
	case w.received[s.from.Peer] == nil:
		w.dead = deadEnd{w.logged, s.from.Peer}
		say("%s, to which %s was connected as far as it knew, never got it from hop 2.", s.from.Peer, client)
	default:
		got := w.received[s.from.Peer]
		if s.to == nil || s.to.Time > got.Time {
			w.dead = deadEnd{got, client}
			say("It ended at %s, which got it while %s was connected there, and never handed it on.", s.from.Peer, client)
		}
	}
	return append(says, w.onward(begin)...)
}

// onward says what the client did after it had missed the message.
func (w *walk) onward(since time.Duration) []string {
	for _, s := range w.stays {
		e := s.from
		if e.Time <= since {
			continue
		}
		how := "started"
		if e.Resumed {
			how = "resumed"
		}
		what := fmt.Sprintf("%s connected at t=%.6fs%s, and %s from %s", e.Node, e.Time.Seconds(), by(" to ", e.Peer), how, w.run.place(e.Room, e.Cursor()))
		switch {
		case e.Epoch != w.about.Epoch:
			return []string{what + ", in another life of the log."}
		case e.Seq >= w.about.Seq:
			return []string{what + ", which is past it."}
		default:
			return []string{what + ", which is before it, and was not given it."}
		}
	}
	if n := len(w.stays); n > 0 && w.stays[n-1].to != nil && w.stays[n-1].to.Time >= since {
		return []string{fmt.Sprintf("%s has not connected again since t=%.6fs.", w.about.Client, w.stays[n-1].to.Time.Seconds())}
	}
	return nil
}

// several says what so many have done.
func several(n int, who, what string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s has %s.", who, what)
	}
	return fmt.Sprintf("%d %ss have %s.", n, who, what)
}

// stayAt gives the connection that the client took itself to have at a time; nil if none.
func (w *walk) stayAt(at time.Duration) *stay {
	for i := range w.stays {
		if s := &w.stays[i]; s.from.Time <= at && (s.to == nil || s.to.Time > at) {
			return s
		}
	}
	return nil
}

// The steps in which a packet does not get ahead, by their kind.
var lossKinds = []string{"lost", "cut", "overflow", "too-big", "drop", "undeliverable"}

// lostAt counts the packets from and to a host that did not get through, within a span of time.
func lostAt(r *Run, host string, from, to time.Duration) (n int) {
	for i := r.firstStep(from); i <= r.Steps; i++ {
		s, ok := r.step(i)
		if !ok || s.Time > to {
			break
		}
		if (s.Host == host || s.Peer == host) && slices.Contains(lossKinds, s.Kind) {
			n++
		}
	}
	return n
}

// firstStep finds the first step at or after a time.
func (r *Run) firstStep(from time.Duration) uint64 {
	lo, hi := uint64(1), r.Steps+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		if s, ok := r.step(mid); ok && s.Time < from {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

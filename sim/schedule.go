package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/netsim"
)

// Schedule is what goes wrong in a run and when, as data: it prints, parses ([ParseSchedule]), is stored,
// and can be made smaller. The order of its entries does not matter but for those of one instant, which
// happen in that order.
type Schedule []Scheduled

// Scheduled is a fault of a schedule.
type Scheduled struct {
	Fault Fault
	// At is when it takes hold, in virtual time since the run began, at least 0.
	At time.Duration
	// For is how long it lasts. 0 means until something else ends it, or to the end of the run; faults
	// that happen in an instant, such as a rebind, have no other.
	For time.Duration
}

// String is the text form, such as "crash(edge-1)@5s for 3s".
func (s Scheduled) String() string {
	text := fmt.Sprintf("%v@%v", s.Fault, s.At)
	if s.For > 0 {
		text += fmt.Sprintf(" for %v", s.For)
	}
	return text
}

// String is the text form, which [ParseSchedule] reads back: the entries, with "; " between them.
func (s Schedule) String() string {
	entries := make([]string, len(s))
	for i := range s {
		entries[i] = s[i].String()
	}
	return strings.Join(entries, "; ")
}

// MarshalText is String, for JSON.
func (s Schedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSchedule.
func (s *Schedule) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSchedule(string(text))
	return err
}

// End is when the last of the faults that end has ended, or taken hold if it does not end: from then on
// nothing new goes wrong.
func (s Schedule) End() time.Duration {
	end := time.Duration(0)
	for _, f := range s {
		end = max(end, f.At+f.For)
	}
	return end
}

// Plan has the faults of a schedule happen, each at its time, which must not have passed.
func (w *World) Plan(s Schedule) {
	for _, f := range s {
		w.At(f.At, f.Fault)
		if f.For == 0 {
			continue
		}
		end, ok := ending(f.Fault)
		if !ok {
			w.Failf("sim: %v: a %s happens in an instant, it cannot last", f, f.Fault.Kind())
			return
		}
		w.At(f.At+f.For, end)
	}
}

// undone are the kinds of the network's faults that netsim.Undo ends.
var undone = []string{"partition", "blackhole", "loss", "duplicate", "delay", "slow", "pause", "nic-down"}

// ending gives the fault that ends another, if that lasts.
func ending(f Fault) (Fault, bool) {
	switch f := f.(type) {
	case nodeFault:
		switch f.kind {
		case "crash", "stop", "disk-lose":
			return Restart(f.node), true
		case "skew":
			return Skew(f.node, 0), true
		}
	case scaleFault:
		return Scale(f.group, -f.by), true
	case netsim.Fault:
		if slices.Contains(undone, f.Kind()) {
			return netsim.Undo(f), true
		}
	}
	return nil, false
}

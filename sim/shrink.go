package sim

import (
	"slices"
	"time"
)

// Shrink looks for the smallest schedule that still does what a schedule does: it leaves faults out (by delta
// debugging: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002), has the rest
// last shorter, and rounds their times. same reports whether a schedule does it; it is asked as often as
// Shrink makes progress, some dozens of times. s itself is taken to do it.
func (s Schedule) Shrink(same func(Schedule) bool) Schedule {
	for {
		before := s.String()
		s = s.shrinkCount(same)
		s = s.shrinkTimes(same)
		if s.String() == before {
			return s
		}
	}
}

// shrinkCount leaves out as many faults as it can, in chunks of half the schedule first, then smaller ones.
func (s Schedule) shrinkCount(same func(Schedule) bool) Schedule {
	if len(s) > 0 && same(Schedule{}) {
		return Schedule{}
	}
	for size := (len(s) + 1) / 2; size >= 1; size /= 2 {
		for at := 0; at < len(s); {
			without := slices.Delete(slices.Clone(s), at, min(at+size, len(s)))
			if len(without) > 0 && same(without) {
				s = without
			} else {
				at += size
			}
		}
	}
	return s
}

// shrinkTimes has each fault last half as long, time and again, and begin and end at round times.
func (s Schedule) shrinkTimes(same func(Schedule) bool) Schedule {
	try := func(i int, f Scheduled) bool {
		if f.At == s[i].At && f.For == s[i].For {
			return false
		}
		changed := slices.Clone(s)
		changed[i] = f
		if !same(changed) {
			return false
		}
		s = changed
		return true
	}
	for i := range s {
		for {
			f := s[i]
			f.For = (f.For / 2).Truncate(10 * time.Millisecond)
			if f.For <= 0 || !try(i, f) {
				break
			}
		}
		for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
			f := s[i]
			f.At = f.At.Truncate(unit)
			if try(i, f) {
				break
			}
		}
		for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
			f := s[i]
			if f.For = f.For.Round(unit); f.For > 0 && try(i, f) {
				break
			}
		}
	}
	return s
}

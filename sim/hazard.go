package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// Hazard is one way in which things may go wrong in a system that promises to survive it. Schedules are drawn
// from hazards, so that faults never ask more of a system than it promises.
type Hazard struct {
	// Faults are the faults to choose from, such as one crash for each server.
	Faults []Fault
	// Least and Most bound how long one lasts. Both are 0 for faults that happen in an instant.
	Least, Most time.Duration
	// Group, unless empty, is a name that hazards share of which only one fault may be in force at a time,
	// as when a system of two servers survives the loss of either, but not of both. Rest is how long the
	// system needs, after one of the group has ended, before the next.
	Group string
	Rest  time.Duration
}

// Intensity says how much goes wrong.
type Intensity int

// The intensities. Under Light there are one to three faults; under Heavy there is one every two
// seconds on average.
const (
	None Intensity = iota
	Light
	Heavy
)

// heavyEvery is the mean time from one fault to the next under Heavy.
const heavyEvery = 2 * time.Second

// Intensities are the names of the intensities, by value.
var Intensities = []string{"none", "light", "heavy"}

// String is the intensity's name.
func (i Intensity) String() string {
	if i < 0 || int(i) >= len(Intensities) {
		return fmt.Sprintf("Intensity(%d)", int(i))
	}
	return Intensities[i]
}

// Window is the time in which faults may be in force, from Begin to End, since the run began.
type Window struct{ Begin, End time.Duration }

// DrawFaults draws a schedule: hazards that befall a system within a window, all of which end by its end.
//
// It draws a swarm (Groce et al., Swarm Testing, 2012): first it switches each hazard off with an even
// chance, but for one that stays, so that schedules differ in kind and a frequent fault does not hide a rare one's
// effects.
func DrawFaults(luck *rand.Rand, hazards []Hazard, how Intensity, in Window) Schedule {
	return drawFaults(randomDraw{luck}, hazards, how, in)
}

// FaultSchedule generates schedules for [rapid.Check], which shrinks them: to fewer, simpler and earlier
// faults. Whatever it draws is a schedule that [DrawFaults] could draw.
func FaultSchedule(hazards []Hazard, how Intensity, in Window) *rapid.Generator[Schedule] {
	return rapid.Custom(func(rt *rapid.T) Schedule { return drawFaults(rapidDraw{rt}, hazards, how, in) })
}

// draw is where choices come from. Both bounds are included; the lower one is the simplest.
type draw interface {
	between(least, most int64, what string) int64
}

type randomDraw struct{ luck *rand.Rand }

func (d randomDraw) between(least, most int64, _ string) int64 {
	return least + d.luck.Int64N(most-least+1)
}

type rapidDraw struct{ rt *rapid.T }

func (d rapidDraw) between(least, most int64, what string) int64 {
	return rapid.Int64Range(least, most).Draw(d.rt, what)
}

func drawFaults(d draw, hazards []Hazard, how Intensity, in Window) Schedule {
	possible := slices.DeleteFunc(slices.Clone(hazards), func(h Hazard) bool {
		return len(h.Faults) == 0 || h.Least > in.End-in.Begin
	})
	if how == None || len(possible) == 0 || in.End <= in.Begin {
		return nil
	}
	stays := d.between(0, int64(len(possible)-1), "hazard that stays")
	var swarm []Hazard
	for i, h := range possible {
		if d.between(0, 1, "hazard is on") == 1 || int64(i) == stays {
			swarm = append(swarm, h)
		}
	}
	count := d.between(1, 3, "faults")
	if how == Heavy {
		most := max(int64(2*(in.End-in.Begin)/heavyEvery), 1)
		count = d.between(1, most, "faults")
	}
	var s Schedule
	busy := map[string][]Window{} // when a group is taken
	for range count {
		h := swarm[d.between(0, int64(len(swarm)-1), "hazard")]
		f := Scheduled{Fault: h.Faults[d.between(0, int64(len(h.Faults)-1), "fault")]}
		lasts := min(h.Most, in.End-in.Begin)
		f.For = time.Duration(d.between(int64(h.Least/time.Millisecond), int64(lasts/time.Millisecond), "lasts, ms")) * time.Millisecond
		room := int64((in.End - in.Begin - f.For) / time.Millisecond)
		f.At = in.Begin + time.Duration(d.between(0, room, "begins after, ms"))*time.Millisecond
		taken := Window{f.At, f.At + f.For + h.Rest}
		if clashes(busy[h.Group], taken) && h.Group != "" || clashes(busy[same(f)], taken) {
			continue
		}
		if h.Group != "" {
			busy[h.Group] = append(busy[h.Group], taken)
		}
		busy[same(f)] = append(busy[same(f)], taken)
		s = append(s, f)
	}
	slices.SortStableFunc(s, func(a, b Scheduled) int { return int(a.At - b.At) })
	return s
}

// same is the group of the same fault, which is never in force twice.
func same(f Scheduled) string { return "fault " + f.Fault.String() }

func clashes(taken []Window, w Window) bool {
	return slices.ContainsFunc(taken, func(t Window) bool { return w.Begin <= t.End && t.Begin <= w.End })
}

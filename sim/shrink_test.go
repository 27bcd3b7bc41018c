package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/sim"
)

func parse(t *testing.T, text string) sim.Schedule {
	s, err := sim.ParseSchedule(text)
	require.NoError(t, err)
	return s
}

// Goal: of many faults, those remain that it takes, for as long as it takes, at round times.
func TestShrink(t *testing.T) {
	const long = "crash(a)@1.234s for 5s; pause(a)@3s for 1s; crash(b)@4.567s for 7.654s; rebind(nat)@5s; loss(a->b, 3%)@6s for 9s"
	lasts := func(s sim.Schedule, fault string, least time.Duration) bool {
		return slices.ContainsFunc(s, func(f sim.Scheduled) bool { return f.Fault.String() == fault && f.For >= least })
	}
	asked := 0
	for _, c := range []struct {
		name string
		same func(sim.Schedule) bool
		want string
	}{
		{"one fault", func(s sim.Schedule) bool { return lasts(s, "crash(b)", time.Second) }, "crash(b)@4s for 1s"},
		{"two faults", func(s sim.Schedule) bool {
			return lasts(s, "crash(a)", 2*time.Second) && lasts(s, "loss(a->b, 3%)", 9*time.Second)
		}, "crash(a)@1s for 3s; loss(a->b, 3%)@6s for 9s"},
		{"not while the other lasts", func(s sim.Schedule) bool {
			i := slices.IndexFunc(s, func(f sim.Scheduled) bool { return f.Fault.Kind() == "rebind" })
			return i >= 0 && lasts(s, "crash(b)", 1) && s[i].At < 5001*time.Millisecond && s[i].At >= 4567*time.Millisecond
		}, "crash(b)@4s for 10ms; rebind(nat)@5s"},
		{"no fault at all", func(sim.Schedule) bool { return true }, ""},
		{"all of them", func(s sim.Schedule) bool { return s.String() == long }, long},
	} {
		got := parse(t, long).Shrink(func(s sim.Schedule) bool { asked++; return c.same(s) })
		require.Equal(t, c.want, got.String(), c.name)
	}
	require.Less(t, asked, 500)
}

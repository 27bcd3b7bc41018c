package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// everyFault is a schedule with a fault of every kind, as it prints.
const everyFault = "crash(edge-1)@5s for 3s; restart(edge-1)@1m0s; stop(edge-2)@1s for 1s; disk-lose(redis)@1s for 2s; pause(edge-*|redis)@0s for 250ms; " +
	"slow(edge-1, 20ms)@1s for 1s; skew(edge-2, +80ms)@1s for 2s; skew(edge-2, -1h0m0s)@1s; " +
	"partition(edge-*, redis)@2s for 500ms; blackhole(a, b)@2s; heal()@3s; loss(client-*->edge-*, 3%)@1s for 10s; " +
	"duplicate(a<->b, 0.25%)@1s; delay(a->b, 100ms)@1s for 1s; " +
	"link(a, b, latency=40ms variation=pareto(5ms, 2.5) loss=0.01)@1s; nic-down(a)@1s for 1s; nic-up(a)@2s; " +
	"ipchange(phone)@1s; rebind(nat)@1s; dns(api.example, 1m0s, edge-1|edge-2)@1s; dns-fail(api.example)@2s; " +
	"scale(edges, +1)@1s for 5s; scale(edges, -2)@1s"

// Goal: schedules print as they parse.
func TestScheduleRoundTrip(t *testing.T) {
	s, err := sim.ParseSchedule(everyFault)
	require.NoError(t, err)
	require.Len(t, s, 23)
	require.Equal(t, everyFault, s.String())
	require.Equal(t, time.Minute, s.End())

	data, err := json.Marshal(s)
	require.NoError(t, err)
	var again sim.Schedule
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, everyFault, again.String())
	require.Error(t, json.Unmarshal([]byte(`"crash"`), &again))
}

// Goal: people may write what they find natural.
func TestScheduleForms(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		" \n# nothing goes wrong\n;;":        "",
		"crash(edge-1)@5s for 3s":            "crash(edge-1)@5s for 3s",
		"partition(edge-*|redis)@2s":         "partition(edge-*, redis)@2s",
		"partition( edge-* , redis )@2s":     "partition(edge-*, redis)@2s",
		"drain(edge-1) @ 1s for 2s # gently": "stop(edge-1)@1s for 2s",
		"loss(a->b, 3%) @1s;heal@2s":         "loss(a->b, 3%)@1s; heal()@2s",
		"loss(a -> b, 0.03)@1s\nheal()@2s":   "loss(a->b, 3%)@1s; heal()@2s",
		"blackhole(a->b)@1s":                 "blackhole(a, b)@1s",
		"skew(a, 80ms)@0s":                   "skew(a, +80ms)@0s",
	} {
		s, err := sim.ParseSchedule(text)
		require.NoError(t, err, text)
		require.Equal(t, want, s.String())
	}
}

// Goal: what is wrong is named, with where it is and what would be right.
func TestScheduleErrors(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		want         string
	}{
		{"crush(edge-1)@5s", 1, 1, `unknown fault "crush"; the kinds are crash, restart,`},
		{"crash(edge-1)@5s\n  crash()@6s", 2, 8, "0 arguments; want crash(NODE)"},
		{"crash(edge-1)", 1, 14, "crash(edge-1) has no time; want crash(edge-1)@TIME"},
		{"crash(edge-1)@soon", 1, 15, `"soon" is not when it takes hold: want a time such as 1m30s`},
		{"crash(edge-1)@-5s", 1, 15, `"-5s" is not when`},
		{"crash(edge-1)@5s for 0s", 1, 22, `"0s" is not how long it lasts`},
		{"crash(edge-1)@5s fro 3s", 1, 18, `"fro" follows crash(edge-1)@5s`},
		{"crash(edge-*)@5s", 1, 6, `"edge-*" is not one name`},
		{"crash(edge-1@5s", 1, 6, "crash( is not closed"},
		{"disk-lose(coord-*)@5s", 1, 10, `"coord-*" is not one name; want disk-lose(NODE)`},
		{"rebind(nat)@5s for 3s", 1, 16, "a rebind happens in an instant"},
		{"partition(a)@5s", 1, 10, "1 arguments; want partition(HOSTS, HOSTS)"},
		{"partition(a, [)@5s", 1, 10, `"[" names no hosts`},
		{"loss(a, 3%)@5s", 1, 5, `"a" is not a path such as client-*->edge-1`},
		{"loss(a->b, 0%)@5s", 1, 5, `"0%" is not a share of packets`},
		{"loss(a->b, 101%)@5s", 1, 5, "at most 100%"},
		{"loss(a->b, NaN)@5s", 1, 5, "is not a share"},
		{"delay(a->b, 2h)@5s", 1, 6, "at most 1h"},
		{"slow(a, x)@5s", 1, 5, `"x" is not a time`},
		{"skew(a, 25h)@5s", 1, 5, "of at most 24h0m0s either way"},
		{"blackhole(a<->b)@5s", 1, 10, "a partition is both"},
		{"link(a, b, latency=x)@5s", 1, 5, "latency"},
		{"dns(api, x, a)@5s", 1, 4, "time to live"},
		{"scale(edges, 0)@5s", 1, 6, "not 0"},
		{"über(x)@1s", 1, 1, `unknown fault "über"`},
		{"crash(ü)@1s x", 1, 13, `"x" follows`},
		{"@5s", 1, 1, "a fault is missing here"},
	} {
		_, err := sim.ParseSchedule(c.text)
		require.ErrorContains(t, err, c.want, c.text)
		at, ok := errors.AsType[*sim.SyntaxError](err)
		require.True(t, ok, c.text)
		require.Equal(t, [2]int{c.line, c.column}, [2]int{at.Line, at.Column}, "%s: %v", c.text, err)
	}
}

// Goal: whatever the text, there is an error or a schedule that prints as it parses.
func FuzzParseSchedule(f *testing.F) {
	f.Add(everyFault)
	f.Add("partition(edge-*|redis)@2s for 500ms # x\nloss(a<->b, 3%)@1s;;")
	f.Add("crash(\n)@5s for")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := sim.ParseSchedule(text)
		if err != nil {
			return
		}
		again, err := sim.ParseSchedule(s.String())
		require.NoError(t, err, "%q", s.String())
		require.Equal(t, s.String(), again.String())
	})
}

// Goal: a planned fault takes hold and lets go at its times, and every kind of fault that the world
// itself has bites.
// Method: a ticker's messages over UDP stop while what carries them is out of order.
func TestPlannedFaults(t *testing.T) {
	for _, fault := range []string{"crash(sender)", "stop(sender)", "pause(receiver)", "partition(sender, receiver)",
		"blackhole(sender->receiver)", "loss(sender->receiver, 100%)", "nic-down(receiver)"} {
		t.Run(fault, func(t *testing.T) {
			s, err := sim.ParseSchedule(fault + "@10100ms for 5s")
			require.NoError(t, err)
			sim.Test(t, func(w *sim.World) {
				heard := ticker(w)
				w.Plan(s)
				w.RunFor(10*time.Second + 500*time.Millisecond)
				require.Equal(t, 10, *heard)
				w.RunFor(4 * time.Second)
				require.Equal(t, 10, *heard, "%v holds", s)
				w.RunFor(10 * time.Second)
				require.GreaterOrEqual(t, *heard, 19, "%v has ended", s)
				w.MustHaveBitten(s[0].Fault.Kind())
			})
		})
	}
}

// Goal: faults that cannot be are said to be so by the run, not by a panic.
func TestPlannedNonsense(t *testing.T) {
	for text, want := range map[string]string{
		"crash(nobody)@1s":        `there is no node "nobody"`,
		"pause(nobody)@1s":        `no host is named or matches "nobody"`,
		"scale(edges, +1)@1s":     `there is no group "edges" to scale; the groups are ["senders"]`,
		"scale(senders, +9)@1s":   "scale(senders, +9) at 1s: nine are too many",
		"rebind(sender)@1s":       "sender is not a NAT",
		"skew(nobody, +1s)@500ms": `there is no node "nobody"`,
	} {
		s, err := sim.ParseSchedule(text)
		require.NoError(t, err)
		res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
			ticker(w)
			w.OnScale("senders", func(by int) error {
				if by == 9 {
					return errors.New("nine are too many")
				}
				return nil
			})
			w.Plan(s)
			w.RunFor(2 * time.Second)
			return nil
		})
		require.ErrorContains(t, res.Err, want)
	}
	res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
		w.Plan(sim.Schedule{{Fault: netsim.Rebind("nat"), For: 1}})
		return nil
	})
	require.ErrorContains(t, res.Err, "a rebind happens in an instant, it cannot last")
}

// Goal: a skewed clock tells another time, on its node only, through a restart, and until it is set right.
func TestSkew(t *testing.T) {
	sim.Test(t, func(w *sim.World) {
		var mu sync.Mutex
		clocks := map[string]time.Duration{} // how far each is off
		off := func(name string) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return clocks[name]
		}
		for _, name := range []string{"a", "b"} {
			w.Node(name, func(ctx context.Context, n *sim.Node) error {
				for ctx.Err() == nil {
					mu.Lock()
					clocks[n.Name()] = time.Until(n.Clock())
					mu.Unlock()
					time.Sleep(100 * time.Millisecond)
				}
				return nil
			})
		}
		s, err := sim.ParseSchedule("skew(a, +80ms)@1s for 9s; restart(a)@5s")
		require.NoError(t, err)
		w.Plan(s)
		w.RunFor(900 * time.Millisecond)
		require.Zero(t, off("a"))
		w.RunFor(3 * time.Second)
		require.Equal(t, 80*time.Millisecond, off("a"))
		require.Zero(t, off("b"))
		w.RunFor(3 * time.Second)
		require.Equal(t, 80*time.Millisecond, off("a"), "after the restart")
		w.RunFor(5 * time.Second)
		require.Zero(t, off("a"))
		w.MustHaveBitten("skew", "restart")
	})
}

// ticker builds a sender that sends a datagram at each full second after the first, and a receiver that
// counts what it hears.
func ticker(w *sim.World) (heard *int) {
	heard = new(int)
	w.Node("receiver", func(ctx context.Context, n *sim.Node) error {
		l, err := n.Host().ListenPacket("udp", ":9")
		if err != nil {
			return err
		}
		for {
			if _, _, err := l.ReadFrom(make([]byte, 9)); err != nil {
				return nil
			}
			*heard++
		}
	})
	w.Node("sender", func(ctx context.Context, n *sim.Node) error {
		c, err := n.Dial("udp", "receiver:9")
		if err != nil {
			return err
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second - n.Now()%time.Second):
			}
			_, _ = c.Write([]byte("tick")) // nobody hears it if the receiver is away
		}
	})
	return heard
}

// Goal: a fault that happens in an instant is over at once, so that it excuses nothing for the rest of the run; one
// that lasts is over when it ends.
func TestMomentaryFaultsEnd(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 1}, func(w *sim.World) error {
		w.Node("a", func(context.Context, *sim.Node) error { return nil })
		w.At(time.Second, netsim.ChangeIP("a"))
		w.At(2*time.Second, netsim.Pause("a"))
		w.At(3*time.Second, netsim.Undo(netsim.Pause("a")))
		w.RunFor(4 * time.Second)
		return nil
	})
	require.NoError(t, res.Err)
	var got []string
	for _, e := range res.History.Events {
		got = append(got, fmt.Sprintf("%v %s %s", e.Time, e.Kind, e.Note))
	}
	require.Equal(t, []string{
		"1s fault-begin ipchange(a)", "1s fault-end ipchange(a)", "2s fault-begin pause(a)", "3s fault-end pause(a)", "4s run-end ",
	}, got)
}

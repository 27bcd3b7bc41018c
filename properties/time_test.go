package properties_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

func TestStaleness(t *testing.T) {
	judge(t, properties.Staleness(time.Second), []judgement{
		{"in time", "c connected 0|p publish a|p ok a 1|wait 900ms|c deliver 1 a|end", legal, 0, "1 messages reached a connected client within 1s, the slowest in 901ms"},
		{"late", "c connected 0|p publish a|p ok a 1|wait 1s|c deliver 1 a|end", illegal, 4,
			`client "c", connected, was behind room-1#1 for 1.001s without a fault; allowed are 1s`},
		{"not yet known to be there", "c connected 0|p publish a|wait 5s|c deliver 1 a|p ok a 1|end", legal, 0, ""},
		{"known from another client", "c connected 0|d connected 0|p publish a|d deliver 1 a|wait 2s|c deliver 1 a", illegal, 5, `client "c"`},
		{"never", "c connected 0|p publish a|p ok a 1|wait 2s|end", illegal, 4, "for 2.001s"},
		{"never, but not for long", "c connected 0|p publish a|p ok a 1|end", unknown, 0, "nothing to check"},
		{"never, and no end", "c connected 0|p publish a|p ok a 1|wait 2s|q publish b", illegal, 4, "for 2.001s"},
		{"while away", "c connected 0|c gone|p publish a|p ok a 1|wait 5s|c resumed 0|c deliver 1 a|end", legal, 0, "the slowest in 1ms"},
		{"away too late", "c connected 0|p publish a|p ok a 1|wait 2s|c gone|c resumed 0|c deliver 1 a|end", illegal, 4, ""},
		{"told in time", "c connected 0|p publish a|p ok a 1|c gap 1|wait 5s|end", unknown, 0, ""},
		{"told too late", "c connected 0|p publish a|p ok a 1|wait 2s|c gap 1|end", illegal, 4, ""},
		{"a later one in time makes up for nothing", "c connected 0|p publish a|p ok a 1|wait 2s|p publish b|p ok b 2|c deliver 2 b|end", legal, 0, ""},
		{"a repetition is not late", "c connected 0|p publish a|p ok a 1|c deliver 1 a|wait 2s|c deliver 1 a", legal, 0, "1 messages"},
		{"before the client's start", "p publish a|p ok a 1|wait 5s|c connected 1|p publish b|p ok b 2|c deliver 2 b", legal, 0, ""},
		{"in a fault", "c connected 0|fault loss|p publish a|p ok a 1|wait 5s|heal loss|wait 900ms|c deliver 1 a", legal, 0, ""},
		{"after a fault", "c connected 0|fault loss|p publish a|p ok a 1|wait 5s|heal loss|wait 1s|c deliver 1 a", illegal, 6, ""},
		{"before a fault", "c connected 0|p publish a|p ok a 1|wait 2s|fault loss|wait 5s|heal loss|c deliver 1 a", illegal, 6, "for 2.001s"},
		{"two faults that overlap", "c connected 0|fault x|p publish a|p ok a 1|fault y|heal x|wait 5s|heal y|c deliver 1 a", legal, 0, ""},
		{"a fault that nothing ended", "c connected 0|fault x|p publish a|p ok a 1|wait 5s|c deliver 1 a", legal, 0, "the slowest in 0s"},
		{"of another epoch", "p publish a|p ok a e1:1|c connected e1:1|wait 5s|p publish b|p ok b e2:1|c gap e2:0|c deliver e2:1 b", legal, 0, ""},
		{"absurd position", "p publish a|p ok a 18446744073709551615|c connected 18446744073709551615|wait 5s|end", unknown, 0, ""},
		{"nothing published", "c connected 0|wait 5s|end", unknown, 0, "nothing to check"},
	})
	judge(t, properties.StalenessThroughout(time.Second), []judgement{
		{"in a fault", "c connected 0|fault loss|p publish a|p ok a 1|wait 5s|heal loss|c deliver 1 a", illegal, 6, "for 5.002s; allowed are 1s"},
		{"in time", "c connected 0|fault loss|p publish a|p ok a 1|c deliver 1 a|heal loss", legal, 0, ""},
	})
	for _, p := range []model.Property{properties.Staleness(0), properties.StalenessThroughout(-1), properties.Reconnect(0), properties.ReconnectThroughout(-1)} {
		v := p.Check(story(t, log3+"end"))
		require.Equal(t, unknown, v.Outcome)
		require.Contains(t, v.Detail, "it must be positive")
	}
}

func TestReconnect(t *testing.T) {
	judge(t, properties.Reconnect(time.Second), []judgement{
		{"in time", "c connected 0|c gone|wait 900ms|c resumed 0|end", legal, 0, "1 lost connections, the slowest made again within 901ms without a fault; allowed are 1s"},
		{"late", "c connected 0|c gone|wait 1s|c resumed 0|end", illegal, 3, `client "c" of room "room-1" lost its connection at step 2, and was away for 1.001s without a fault; allowed are 1s`},
		{"never", "c connected 0|c gone|wait 2s|end", illegal, 3, "away for 2.001s"},
		{"away at the end, not for long", "c connected 0|c gone|end", unknown, 0, "is away to the end, 1ms without a fault"},
		{"in a fault", "c connected 0|fault x|c gone|wait 5s|heal x|wait 500ms|c connected 0", legal, 0, "within 501ms"},
		{"after a fault", "c connected 0|fault x|c gone|wait 5s|heal x|wait 1s|c connected 0", illegal, 5, ""},
		{"a fault that nothing ended", "c connected 0|fault x|c gone|wait 5s|c connected 0", legal, 0, "within 0s"},
		{"in another room", "c connected 0|c gone|c connected 0@x|wait 2s|end", illegal, 4, `of room "room-1"`},
		{"another client", "c connected 0|c gone|d connected 0|wait 2s|end", illegal, 4, `client "c"`},
		{"each time anew", "c connected 0|c gone|c resumed 0|c gone|wait 2s|c resumed 0", illegal, 5, "lost its connection at step 4"},
		{"no connection lost", "c connected 0|end", unknown, 0, "nothing to check"},
	})
	judge(t, properties.ReconnectThroughout(time.Second), []judgement{
		{"in a fault", "c connected 0|fault x|c gone|wait 5s|heal x|c connected 0", illegal, 5, "away for 5.002s; allowed are 1s"},
		{"in time", "c connected 0|fault x|c gone|c connected 0", legal, 0, ""},
	})
	h := story(t, "c connected 0|c gone|wait 2s|end")
	h.Events[1].Note = model.NoteStopped
	require.Equal(t, unknown, properties.Reconnect(time.Second).Check(h).Outcome, "it was told to stop")
}

func TestHonestRecovery(t *testing.T) {
	judge(t, properties.HonestRecovery(), []judgement{
		{"resumes", "c connected 0|c deliver 1 a|c gone|c resumed 1|c deliver 2 b|end", legal, 0, "2 deliveries and 1 connections after the first"},
		{"told after a new start", "c connected 0|c deliver 1 a|c gone|c connected 4|c gap 4|c deliver 5 e", legal, 0, ""},
		{"told in mid-stream", "c connected 0|c gap 4|c deliver 5 e", legal, 0, ""},
		{"told of more", "c connected 0|c connected 4|c gap 6|c deliver 7 g", legal, 0, ""},
		{"told of less", "c connected 0|c connected 4|c gap 3|c deliver 4 d", illegal, 3, `client "c" went from room-1#0 to room-1#4 without a discontinuity`},
		{"behind where it was", "c connected 3|c deliver 4 d|c gone|c connected 2|c deliver 3 c|c deliver 4 d|c deliver 5 e", legal, 0, ""},
		{"repetitions do not matter", "c connected 0|c deliver 1 a|c deliver 1 a|c deliver 2 b", legal, 0, ""},
		{"silent jump", "c connected 0|c deliver 1 a|c gone|c connected 4|c deliver 5 e", illegal, 5, "went from room-1#1 to room-1#4"},
		{"silent jump, then gone", "c connected 0|c connected 4|c gone", illegal, 3, "without a discontinuity"},
		{"silent jump at the end", "c connected 0|c connected 4|end", illegal, 3, "without a discontinuity"},
		{"silent jump, no end", "c connected 0|c connected 4", legal, 0, ""},
		{"two silent jumps at the end", "d connected 0|c connected 0|c connected 4|d connected 4|end", illegal, 5, `client "c"`},
		{"told in another room", "c connected 0|c connected 0@x|c connected 4|c gap 4@x|c deliver 5 e", illegal, 5, ""},
		{"skips in mid-stream", "c connected 0|c deliver 1 a|c deliver 3 c", illegal, 3, `client "c" saw room-1#3 after room-1#1 without a discontinuity`},
		{"skips, and gets it after all", "c connected 0|c deliver 2 b|c deliver 1 a", illegal, 2, ""},
		{"claims to resume elsewhere", "c connected 0|c gone|c resumed 4|c gap 4", illegal, 3, "resumed at room-1#4, but had got to room-1#0"},
		{"another epoch, told", "c connected e1:3|c gone|c connected e2:0|c gap e2:0|c deliver e2:1 a", legal, 0, ""},
		{"another epoch, silent", "c connected e1:3|c gone|c connected e2:0|c deliver e2:1 a", illegal, 4, "went from room-1#e1:3 to room-1#e2:0"},
		{"another epoch in mid-stream", "c connected e1:3|c deliver e2:1 a", illegal, 2, "saw room-1#e2:1 after room-1#e1:3"},
		{"told of the old epoch only", "c connected e1:3|c connected e2:0|c gap e1:5", illegal, 3, ""},
		{"told of a third epoch", "c connected e1:3|c connected e2:0|c gap e3:0|c deliver e3:1 a", legal, 0, ""},
		{"sent back without epochs", "c connected 5|c gap 0|c deliver 1 a", legal, 0, ""},
		{"absurd position", "c connected 0|c deliver 18446744073709551615 a", illegal, 2, ""},
		{"nothing delivered", "c connected 0|end", unknown, 0, "nothing to check"},
	})
}

// Correct runs are honest, and so is any part of them. Take an announcement away, and they are not.
func TestUnannouncedDiscontinuityIsDishonest(t *testing.T) {
	dishonest := func(rt *rapid.T) bool {
		h := correctRun(rt)
		p := properties.HonestRecovery()
		require.True(rt, p.Check(h).Ok(), p.Check(h))
		for i, e := range h.Events {
			if e.Kind != model.Discontinuity || i+1 == len(h.Events) {
				continue
			}
			// The next that the client sees of the room shows where it is.
			for j, next := range h.Events[i+1:] {
				if next.Node != e.Node || next.Room != e.Room || next.Kind == model.Disconnected {
					continue
				}
				if next.Kind != model.Deliver {
					break
				}
				before := model.Cursor{}
				for _, was := range h.Events[:i] {
					if was.Node == e.Node && was.Room == e.Room && was.Kind != model.Disconnected && (was.Kind != model.Connected || before.IsZero()) {
						before = was.Cursor()
					}
				}
				if before == e.Cursor() {
					break // it told of nothing
				}
				cut := &model.History{Events: append(append([]model.Event{}, h.Events[:i]...), h.Events[i+1:i+1+j+1]...)}
				renumber(cut)
				v := p.Check(cut)
				require.Equal(rt, illegal, v.Outcome, v)
				return true
			}
		}
		return false
	}
	rapid.Check(t, func(rt *rapid.T) { dishonest(rt) })
	found := 0
	for seed := range 50 {
		if rapid.Custom(dishonest).Example(seed) {
			found++
		}
	}
	require.NotZero(t, found)
}

// Times that stay within the bounds pass, and one that does not is found, by the step.
func TestBoundsAreKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := correctRun(rt)
		// A millisecond each step: so nothing takes longer than the whole run.
		whole := h.Events[len(h.Events)-1].Time
		for _, p := range []model.Property{properties.Staleness(whole), properties.Reconnect(whole), properties.StalenessThroughout(whole), properties.ReconnectThroughout(whole)} {
			require.NotEqual(rt, illegal, p.Check(h).Outcome, p.Check(h))
		}
		// The first client of the first room gets the message that the run begins with: hold it up.
		i := deliveries(h, func(_ int, e model.Event) bool { return e.Node == "c1" && e.Room == "room-1" })[0]
		for j := i; j < len(h.Events); j++ {
			h.Events[j].Time += 2 * whole
		}
		v := properties.Staleness(whole).Check(h)
		require.Equal(rt, illegal, v.Outcome, v)
		require.Equal(rt, h.Events[i].Step, v.Step, v)
	})
}

func TestReconnectRate(t *testing.T) {
	judge(t, properties.ReconnectRate(1, time.Second), []judgement{
		{"one after the other", "c connected 0|d connected 0|c gone|d gone|c resumed 0|wait 1s|d resumed 0|end", legal, 0, "2 came back, at most 1 within 1s to one server; allowed are 1"},
		{"together", "c connected 0|d connected 0|c gone|d gone|c resumed 0|wait 900ms|d resumed 0|end", illegal, 6,
			`client "d" is the 2. that came back to "" within 1s, since t=5ms; allowed are 1`},
		{"one client, again and again", "c connected 0|c gone|c resumed 0|c gone|c resumed 0", illegal, 5, ""},
		{"first connections", "c connected 0|d connected 0|e connected 0|end", unknown, 0, "nothing to check: nobody came back"},
	})
	h := story(t, "c connected 0|d connected 0|c gone|d gone|c resumed 0|d resumed 0")
	h.Events[4].Peer = "edge-1"
	require.Equal(t, legal, properties.ReconnectRate(1, time.Second).Check(h).Outcome, "to different servers")
	for _, p := range []model.Property{properties.ReconnectRate(0, time.Second), properties.ReconnectRate(1, 0)} {
		v := p.Check(h)
		require.Equal(t, unknown, v.Outcome)
		require.Contains(t, v.Detail, "must be positive")
	}
	for text, want := range map[string]string{
		"ReconnectRate(0, 1s)":   "limit \"0\"; want a whole number from 1",
		"ReconnectRate(3, soon)": "want a positive duration",
		"ReconnectRate(3)":       "takes 2 arguments",
	} {
		_, err := properties.Find(text)
		require.ErrorContains(t, err, want)
	}
}

func TestVacuous(t *testing.T) {
	h := story(t, "c connected 0|end")
	require.True(t, properties.Vacuous(properties.Reconnect(time.Second).Check(h)))
	require.False(t, properties.Vacuous(properties.Reconnect(0).Check(h)), "a bad bound is another matter")
	require.False(t, properties.Vacuous(properties.Reconnect(time.Second).Check(story(t, "c connected 0|c gone|end"))), "it is away")
}

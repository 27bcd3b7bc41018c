package model_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

func ExampleWireCost() {
	poll := model.WireCost{Exchange: 700, Message: 300}
	push := model.WireCost{Exchange: 150, Message: 450}
	const rate = 0.1 // messages per second
	fmt.Printf("polling every second: %.0f B a message; pushing, with a heartbeat a second: %.0f B\n",
		poll.BytesPerMessage(1, rate), push.BytesPerMessage(1, rate))
	fmt.Printf("polling costs less from every %.1f s\n", poll.BreakEven(push, 1, rate).Seconds())
	// Output:
	// polling every second: 7300 B a message; pushing, with a heartbeat a second: 1950 B
	// polling costs less from every 4.2 s
}

func TestWireCost(t *testing.T) {
	c := model.WireCost{Exchange: 600, Message: 100}
	require.NoError(t, c.Validate())
	require.Equal(t, 1300.0, c.BytesPerSecond(2, 1))
	require.Equal(t, 1300.0, c.BytesPerMessage(2, 1))
	require.Equal(t, 100.0, c.BytesPerMessage(0, 0))
	require.True(t, math.IsInf(c.BytesPerMessage(1, 0), 1), "exchanges for nothing")
	require.ErrorContains(t, model.WireCost{Exchange: -1}.Validate(), "Exchange is -1 bytes")
	require.ErrorContains(t, model.WireCost{Message: math.NaN()}.Validate(), "Message is NaN bytes")

	push := model.WireCost{Message: 100}
	require.Equal(t, time.Duration(math.MaxInt64), c.BreakEven(push, 1, 1), "nothing is left to pay polls with")
	require.Zero(t, model.WireCost{}.BreakEven(push, 1, 1), "polls are free")
	require.Equal(t, time.Duration(math.MaxInt64), c.BreakEven(model.WireCost{Message: math.Nextafter(100, 101)}, 0, 1e-9))
}

// Where polling breaks even, both cost the same; a longer interval costs less.
func TestBreakEven(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bytes := rapid.Float64Range(1, 1e4)
		poll := model.WireCost{Exchange: bytes.Draw(rt, "poll exchange"), Message: bytes.Draw(rt, "poll message")}
		push := model.WireCost{Exchange: bytes.Draw(rt, "push exchange"), Message: bytes.Draw(rt, "push message")}
		heartbeats, rate := rapid.Float64Range(0, 10).Draw(rt, "heartbeats"), rapid.Float64Range(0, 100).Draw(rt, "rate")
		interval := poll.BreakEven(push, heartbeats, rate)
		if interval < time.Millisecond || interval > 24*time.Hour {
			return // where a nanosecond's rounding shows, or nobody would wait so long
		}
		pushed := push.BytesPerSecond(heartbeats, rate)
		if polled := poll.BytesPerSecond(1/interval.Seconds(), rate); math.Abs(polled-pushed) > 1e-4*pushed {
			rt.Fatalf("polling every %v costs %v bytes/s, pushing %v", interval, polled, pushed)
		}
		if poll.BytesPerSecond(0.5/interval.Seconds(), rate) > pushed {
			rt.Fatalf("polling every %v costs more than at half the interval", 2*interval)
		}
	})
}

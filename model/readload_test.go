package model_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

func ExampleReadLoad() {
	l := model.ReadLoad{Clients: 1_000_000, Interval: 10 * time.Second}
	fmt.Printf("%.0f reads/s; behind 20 servers, for 500 rooms, %.0f reads/s\n", l.PerSecond(), l.PerRoom(20, 500).PerSecond())
	// Output: 100000 reads/s; behind 20 servers, for 500 rooms, 1000 reads/s
}

// A million clients, each polling in a rhythm of its own, counted one by one.
func TestReadLoadCounted(t *testing.T) {
	l := model.ReadLoad{Clients: 1_000_000, Interval: 10 * time.Second}
	require.NoError(t, l.Validate())
	rng := rand.New(rand.NewPCG(1, 1))
	const span = 25 * time.Second
	reads := 0
	for range l.Clients {
		for at := time.Duration(rng.Int64N(int64(l.Interval))); at < span; at += l.Interval {
			reads++
		}
	}
	require.InEpsilon(t, l.In(span), reads, 1e-3)
}

// Servers poll a room once, however many of their clients are in it.
func TestReadLoadPerRoom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ clients, servers, rooms int }{{50, 4, 25}, {1000, 4, 25}, {10, 10, 1000}, {7, 1, 1}} {
		sum := 0
		const runs = 400
		for range runs {
			polled := map[int]bool{}
			for range c.clients {
				polled[rng.IntN(c.servers*c.rooms)] = true
			}
			sum += len(polled)
		}
		l := model.ReadLoad{Clients: c.clients, Interval: time.Second}.PerRoom(c.servers, c.rooms)
		require.InDelta(t, float64(sum)/runs, l.Clients, 1)
	}
	require.Zero(t, model.ReadLoad{Clients: 5, Interval: 1}.PerRoom(0, 9).Clients)
}

func TestReadLoadBounds(t *testing.T) {
	require.ErrorContains(t, model.ReadLoad{Clients: -1, Interval: 1}.Validate(), "Clients is -1")
	require.ErrorContains(t, model.ReadLoad{Clients: 1}.Validate(), "Interval is 0s")
	l := model.ReadLoad{Clients: 500, Interval: 10 * time.Second}
	mean, greatest := l.Delay()
	require.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second}, []time.Duration{mean, greatest})
	require.InDelta(t, 0.5, l.Utilization(10*time.Millisecond), 1e-12)
}

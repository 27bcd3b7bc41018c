package netsim

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: what wakes no program costs no round of the loop: acknowledgements, and timers that find
// nothing to do.
// Method: a message takes two rounds, one when it is written and one when it arrives, or little more;
// with its delayed acknowledgement and the timers on both sides it would be six or more.
func TestAcknowledgementsCostNoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var arrived int
		n, err := New(Config{Seed: 1, Observe: func(e Event) {
			if e.Kind == Arrived {
				arrived++
			}
		}})
		require.NoError(t, err)
		client, server := pair(t, n, Link{Latency: 50 * time.Millisecond})
		const messages = 1000
		go func() {
			for range messages {
				_, _ = client.Write(make([]byte, 200))
				time.Sleep(300 * time.Millisecond)
			}
		}()
		received := 0
		go func() {
			buf := make([]byte, 200)
			for {
				m, err := server.Read(buf)
				if err != nil {
					return
				}
				received += m
			}
		}()
		_, before := n.Progress()
		arrived = 0
		require.NoError(t, n.RunUntil(n.Now()+messages*300*time.Millisecond))
		_, after := n.Progress()
		require.Equal(t, 200*messages, received)
		require.GreaterOrEqual(t, arrived, 2*messages, "each message and its acknowledgement")
		require.Less(t, float64(after-before)/messages, 4.0, "rounds for a message")
		finish(t, n)
	})
}

// Goal: what a message costs does not depend on how many connections there are.
// Method: rounds of the loop and events planned, for a message, among few connections and among many.
func TestWorkPerMessage(t *testing.T) {
	work := func(connections int, spread bool) (rounds, events float64) {
		synctest.Test(t, func(t *testing.T) {
			n, err := New(Config{Seed: 1})
			require.NoError(t, err)
			received := startTraffic(t, n, connections, spread, 8*time.Second)
			require.NoError(t, n.RunUntil(2*time.Second))
			_, roundsBefore := n.Progress()
			stepBefore, before := n.step, *received
			require.NoError(t, n.RunUntil(7*time.Second))
			_, roundsAfter := n.Progress()
			messages := float64(*received - before)
			require.EqualValues(t, 50*connections, messages)
			rounds, events = float64(roundsAfter-roundsBefore)/messages, float64(n.step-stepBefore)/messages
			finish(t, n)
		})
		return rounds, events
	}
	many := 1000
	if testing.Short() {
		many = 300
	}
	for _, spread := range []bool{false, true} {
		fewRounds, fewEvents := work(20, spread)
		manyRounds, manyEvents := work(many, spread)
		t.Logf("spread %v: %.2f rounds, %.2f events a message among 20 connections; %.2f, %.2f among %d",
			spread, fewRounds, fewEvents, manyRounds, manyEvents, many)
		require.LessOrEqual(t, manyRounds, fewRounds)
		require.InEpsilon(t, fewEvents, manyEvents, 0.02)
	}
}

// Goal: an interruption ends RunUntil soon, and Resume lets it go on.
func TestInterruptAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		n.Schedule(time.Second, n.Interrupt)
		require.ErrorIs(t, n.RunUntil(time.Hour), ErrInterrupted)
		require.Equal(t, time.Second, n.Now())
		require.ErrorIs(t, n.RunUntil(time.Hour), ErrInterrupted)
		n.Resume()
		require.NoError(t, n.RunUntil(time.Hour))
		require.Equal(t, time.Hour, n.Now())
	})
}

// Goal: what hosts do in one instant is taken by host, then rank, then order of arrival; functions are
// scheduled in order of time, then of planning.
func TestCanonicalOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "a", "b")
		var order []string
		note := func(s string) func() { return func() { order = append(order, s) } }
		for range 20 {
			order = nil
			go func() { n.Submit(hosts[1], 0, note("b0")) }()
			go func() {
				n.Submit(hosts[0], 2, note("a2"))
				n.Submit(hosts[0], 1, note("a1 first"))
				n.Submit(hosts[0], 1, note("a1 second"))
			}()
			at := n.Now() + time.Second
			n.Schedule(at, note("later"))
			n.Schedule(at-1, note("sooner"))
			n.Schedule(at, note("latest"))
			require.NoError(t, n.RunUntil(at))
			require.Equal(t, []string{"a1 first", "a1 second", "a2", "b0", "sooner", "later", "latest"}, order)
		}
	})
}

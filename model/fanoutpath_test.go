package model_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// messagesOf draws messages.
func messagesOf(rt *rapid.T) (messages []model.FanoutMessage) {
	at := time.Duration(0)
	for range rapid.IntRange(0, 40).Draw(rt, "messages") {
		at += time.Duration(rapid.IntRange(0, 300).Draw(rt, "apart"))
		messages = append(messages, model.FanoutMessage{
			At: at, Copies: time.Duration(60 * rapid.IntRange(0, 3).Draw(rt, "copies")), Rest: time.Duration(rapid.IntRange(0, 30).Draw(rt, "rest")),
		})
	}
	return messages
}

// Goal: each message's copies leave one after the other when those before have, and what there is to do for a batch
// is done for one receiver after the other.
// Method: they are sent one by one.
func TestFanoutPathIsItsTransmitter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		messages := messagesOf(rt)
		f := model.FanoutPath{Copies: rapid.SampledFrom([]int{1, 2, 3, 5}).Draw(rt, "receivers")}
		if rapid.Bool().Draw(rt, "batches") {
			f.Gather, f.Turn = 20, 50
		}
		free := time.Duration(0)
		var want []time.Duration
		for first := 0; first < len(messages); {
			now := max(free, messages[first].At+f.Gather)
			last := first + 1
			for f.Turn > 0 && last < len(messages) && messages[last].At <= now {
				last++
			}
			sum := make([]time.Duration, last-first)
			for range f.Copies {
				for i, m := range messages[first:last] {
					now += m.Copies / time.Duration(f.Copies)
					sum[i] += now - m.At
				}
			}
			for i, m := range messages[first:last] {
				want = append(want, sum[i]/time.Duration(f.Copies))
				now += m.Rest
			}
			free, first = now+f.Turn, last
		}
		got := f.Delays(messages)
		require.Equal(rt, len(want), len(got))
		for i := range want {
			require.InDelta(rt, want[i], got[i], 3, "message %d", i) // whole nanoseconds
		}
	})
}

// More work delays every message, and none is earlier for it.
func TestFanoutPathGrows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		messages := messagesOf(rt)
		f := model.FanoutPath{Copies: 2}
		before := f.Delays(messages)
		for i := range messages {
			messages[i].Copies += time.Duration(rapid.IntRange(0, 20).Draw(rt, "more"))
		}
		for i, d := range f.Delays(messages) {
			require.GreaterOrEqual(rt, d, before[i])
		}
	})
}

// Goal: without batches it is the path of the queue whose mean over all paths [model.FanoutQueue] gives.
func TestFanoutPathIsAQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := model.QueueWindow{Service: 120}
		var messages []model.FanoutMessage
		for _, m := range messagesOf(rt) {
			w.Arrivals = append(w.Arrivals, m.At)
			w.To = m.At
			messages = append(messages, model.FanoutMessage{At: m.At, Copies: w.Service})
		}
		waits, _ := w.Waits()
		for i, d := range (model.FanoutPath{Copies: 3}).Delays(messages) {
			require.Equal(rt, waits[i]+2*w.Service/3, d)
		}
	})
}

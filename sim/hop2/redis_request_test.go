package hop2

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Publications of one instant share runs of the script, and each gets the position of its own message: those
// whose ID is known, or is in the batch twice, the one it has.
func TestPublishTogether(t *testing.T) {
	for _, name := range []string{"redis-streams", "redis-pubsub"} {
		inBubble(t, func(t *testing.T, n *network) {
			store := NewRedisStore()
			n.serve(t, store)
			s := n.strategy(t, func(c *Config) { c.Remember = 150 })
			if name == "redis-pubsub" {
				var err error
				cfg := s.cfg
				s, err = NewRedisPubSub(cfg)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
			}
			sub := subscribe(t, s, "r", model.Cursor{})
			old := publish(t, s, "r", 7, 7)
			before := store.redis.CommandCount()
			batches := s.Stats().Batches

			const messages = 100
			var mu sync.Mutex
			at := map[int][]uint64{}
			var wg sync.WaitGroup
			for i := range 2 * messages { // 0..99, each twice
				wg.Go(func() {
					cursor, err := s.Publish(within(t, patience), note("r", i/2))
					require.NoError(t, err)
					require.Equal(t, old.Epoch, cursor.Epoch)
					mu.Lock()
					defer mu.Unlock()
					at[i/2] = append(at[i/2], cursor.Seq)
				})
			}
			wg.Wait()
			require.Equal(t, 1, s.Stats().Batches-batches)
			require.Equal(t, []uint64{1, 1}, at[7])
			taken := map[uint64]bool{}
			for i := range messages {
				require.Equal(t, at[i][0], at[i][1], "message %d", i)
				taken[at[i][0]] = true
			}
			require.Len(t, taken, messages)
			seqs, gaps := collect(t, sub, sub.Start().Cursor, model.Cursor{Epoch: old.Epoch, Seq: messages})
			require.Equal(t, simtest.UpTo(1, messages), seqs)
			require.Empty(t, gaps)
			// Each message is added and announced by a command of its own; a run of the script has a handful more.
			runs := (2*messages + maxTogether - 1) / maxTogether
			require.LessOrEqual(t, store.redis.CommandCount()-before, 2*messages+8*runs)

			// What is remembered is bounded, however many come together.
			for i := range messages {
				wg.Go(func() {
					_, err := s.Publish(within(t, patience), note("r", 1000+i))
					require.NoError(t, err)
				})
			}
			wg.Wait()
			ids, err := store.redis.HKeys(s.keys("r")[2])
			require.NoError(t, err)
			order, err := store.redis.List(s.keys("r")[3])
			require.NoError(t, err)
			require.Len(t, order, 150)
			require.ElementsMatch(t, order, ids)
			require.Equal(t, uint64(2*messages+1), publish(t, s, "r", 7, 7).Seq, "forgotten")
		})
	}
}

// Requests keep the order of a room's publications, share no run of the script that would do something else for
// some, and bound how many share one.
func TestRequests(t *testing.T) {
	r := &Redis{streams: true, cfg: Config{Namespace: "ns", History: 5, Remember: 9}}
	var calls []*call
	for i := range 2*maxTogether + 1 {
		calls = append(calls, r.publishCall("a", fmt.Sprint(i), "x"), r.readCall(fmt.Sprint(i), model.Cursor{}, model.Bookmark{}))
	}
	other := r.publishCall("a", "other", "x")
	other.args[2] = "another channel"
	calls = append(calls, other, r.publishCall("a", "last", "x"), r.publishCall("b", "0", "x"))
	requests := requestsFor(calls)

	var published []string
	sizes := map[int]int{}
	answered := 0
	for i, q := range requests {
		sizes[len(q.calls)]++
		q.fields = []string{"e"}
		for j, c := range q.calls {
			answered++
			if c.each == nil {
				continue
			}
			require.Equal(t, q.calls[0].room, c.room)
			require.Equal(t, q.calls[0].args, c.args)
			q.fields = append(q.fields, fmt.Sprintf("%d.%d", i, j))
			if c.room == "a" {
				published = append(published, c.each[0])
			}
		}
	}
	require.Equal(t, len(calls), answered)
	require.Equal(t, map[int]int{maxTogether: 2, 1: 2*maxTogether + 1 + 4}, sizes)
	for i, id := range published[:2*maxTogether+1] {
		require.Equal(t, fmt.Sprint(i), id)
	}
	require.Equal(t, []string{"other", "last"}, published[2*maxTogether+1:])

	answers := answersOf(calls, requests)
	require.Equal(t, []string{"e", "0.0"}, answers[0].fields)
	require.Equal(t, []string{"e"}, answers[1].fields, "a read has all of its answer")
	require.Equal(t, []string{"e", "0.1"}, answers[2].fields)
	requests[0].fields = requests[0].fields[:3]
	require.ErrorIs(t, answersOf(calls, requests)[0].err, errReply, "an answer too short for all must be nobody's")
}

// In a quiet room a look at its end does: the script runs only when something was missed.
func TestQuietLook(t *testing.T) {
	for _, streams := range []bool{true, false} {
		inBubble(t, func(t *testing.T, n *network) {
			n.serve(t, NewRedisStore())
			s := n.strategy(t, nil)
			script := readScript
			if !streams {
				var err error
				s, err = NewRedisPubSub(s.cfg)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				script = countScript
			}
			sub := subscribe(t, s, "r", model.Cursor{})
			at := publish(t, s, "r", 1, 1)
			collect(t, sub, sub.Start().Cursor, at)
			admin, cut, err := s.connect(t.Context(), plain)
			require.NoError(t, err)
			defer cut()
			require.NoError(t, admin.ScriptFlush(t.Context()).Err())
			reads := s.Stats().Reads
			_, err = sub.Next(within(t, 5*time.Second+time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 5, s.Stats().Reads-reads)
			loaded, err := admin.ScriptExists(t.Context(), script.Hash()).Result()
			require.NoError(t, err)
			require.Equal(t, []bool{false}, loaded, "the script ran, with nothing to be read")

			// What is missed is found all the same, by a broker that has to be given its scripts first.
			publishUnheard(t, s, note("r", 2))
			require.NoError(t, admin.ScriptFlush(t.Context()).Err())
			batch, err := sub.Next(within(t, 2*time.Second))
			require.NoError(t, err)
			require.Equal(t, model.Cursor{Epoch: at.Epoch, Seq: 2}, batch.Cursor)
			require.Equal(t, streams, batch.Gap == nil)
		})
	}
}

package hop2

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// Whatever writers append that were behind, forgot, or try again, all readers see the same log, wherever
// they begin to read; and no message twice that its writers knew of.
func TestKafkaLogModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window, keep = 6, 1000
		var partition [][]byte
		writers := []*kafkaLog{newKafkaLog(window, keep), newKafkaLog(window, keep), newKafkaLog(window, keep)}
		read := func(l *kafkaLog, to int) {
			for l.next < int64(to) {
				l.take("r", l.next, partition[l.next])
			}
		}
		var onTheWay [][]byte
		epochs, ids := 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				w := rapid.SampledFrom(writers).Draw(t, "writer")
				id := fmt.Sprintf("m%d", max(0, ids-rapid.IntRange(0, 3).Draw(t, "back")))
				if _, known := w.ids[id]; known {
					t.Skip("the writer has its answer")
				}
				ids++
				e := w.entry(model.Message{ID: id})
				if !w.known {
					epochs++
					e = kafkaEntry{Epoch: fmt.Sprintf("e%d", epochs), Horizon: w.next}
				}
				onTheWay = append(onTheWay, e.encode())
			},
			"land": func(t *rapid.T) {
				if len(onTheWay) == 0 {
					t.Skip("nothing")
				}
				i := rapid.IntRange(0, len(onTheWay)-1).Draw(t, "which")
				partition = append(partition, onTheWay[i])
				if rapid.IntRange(0, 3).Draw(t, "again") > 0 {
					onTheWay = append(onTheWay[:i:i], onTheWay[i+1:]...)
				}
			},
			"garbage": func(t *rapid.T) { partition = append(partition, []byte("{")) },
			"read": func(t *rapid.T) {
				w := rapid.SampledFrom(writers).Draw(t, "reader")
				if n := len(partition) - int(w.next); n > 0 {
					read(w, int(w.next)+rapid.IntRange(1, n).Draw(t, "entries"))
				}
			},
		})
		whole := newKafkaLog(window, keep)
		read(whole, len(partition))
		for _, w := range writers {
			read(w, len(partition))
			require.Equal(t, whole.page(), w.page())
			require.Equal(t, whole.messages, w.messages)
			require.False(t, w.foreign)
		}
		for start := range partition {
			late := newKafkaLog(window, keep)
			late.restart(int64(start))
			read(late, len(partition))
			if !late.known {
				continue // it has seen no entry whose horizon it has
			}
			require.Equal(t, whole.epoch, late.epoch, "from %d", start)
			require.Equal(t, whole.seq, late.seq, "from %d", start)
			require.LessOrEqual(t, len(late.messages), len(whole.messages))
			require.Equal(t, whole.messages[len(whole.messages)-len(late.messages):], late.messages)
		}
		seen := map[string]bool{}
		for i, m := range whole.messages {
			require.Equal(t, uint64(i)+1, m.Seq)
			seen[m.ID] = true
		}
	})
}

// The rules, one by one.
func TestKafkaLogRules(t *testing.T) {
	l := newKafkaLog(4, 3)
	put := func(e kafkaEntry) uint64 {
		l.take("r", l.next, e.encode())
		return l.seq
	}
	msg := func(id, epoch string, horizon int64, seq uint64) kafkaEntry {
		return kafkaEntry{Epoch: epoch, Horizon: horizon, Seq: seq, record: record{ID: id}}
	}
	put(kafkaEntry{Epoch: "e1", Horizon: 0})
	put(kafkaEntry{Epoch: "e2", Horizon: 0})
	require.Equal(t, "e1", l.epoch, "the first who begins does")
	require.Equal(t, uint64(1), put(msg("a", "e1", 2, 0)))
	require.Equal(t, uint64(1), put(msg("a", "e1", 2, 0)), "the same again")
	require.Equal(t, uint64(1), put(msg("b", "e1", 9, 1)), "a horizon in the future")
	require.Equal(t, uint64(1), put(msg("b", "e1", 0, 0)), "a horizon too far back")
	require.Equal(t, uint64(1), put(msg("b", "e1", 4, 7)), "another position than the log's")
	require.Equal(t, uint64(2), put(msg("b", "e1", 4, 1)))
	require.False(t, l.foreign)
	require.Equal(t, uint64(2), put(msg("c", "e7", 7, 2)), "another epoch")
	require.True(t, l.foreign)
	for i := range 4 {
		put(l.entry(model.Message{ID: fmt.Sprint(i)}))
	}
	require.Equal(t, page{epoch: "e1", first: 4, last: 6}, l.page())
	require.Equal(t, l.messages[1:], l.after(4))
	require.NotContains(t, l.ids, "a", "forgotten")
	put(kafkaEntry{Epoch: "e3", Horizon: l.next})
	require.Equal(t, page{epoch: "e3", first: 1, last: 0}, l.page())
	l.foreign = false
	put(msg("late", "e1", l.next-2, 6))
	require.False(t, l.foreign, "an epoch that was is none that was missed")
	require.Zero(t, l.seq)
}

// Whatever is in a partition: no panic, and what is accepted is sound.
func FuzzKafkaEntry(f *testing.F) {
	f.Add([]byte(`{"epoch":"e","horizon":0}`))
	f.Add([]byte(`{"epoch":"e","horizon":1,"seq":3,"id":"m","body":"AA=="}`))
	f.Add([]byte(`{"epoch":":","horizon":-1}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		l := newKafkaLog(4, 4)
		l.take("r", 0, (&kafkaEntry{Epoch: "e", Horizon: 0}).encode())
		l.take("r", 1, value)
		require.Equal(t, int64(2), l.next)
		p := l.page()
		require.Equal(t, len(l.messages), len(l.after(p.first-1)))
		late := newKafkaLog(4, 4)
		late.restart(1)
		late.take("r", 1, value)
		e, err := decodeKafkaEntry(value)
		if err != nil {
			require.False(t, late.known)
			return
		}
		again, err := decodeKafkaEntry(e.encode())
		require.NoError(t, err)
		e.Body, again.Body = append([]byte{}, e.Body...), append([]byte{}, again.Body...)
		require.Equal(t, e, again)
	})
}

// Goal: the canonical order of calls is one, in whatever order they come.
// Method: three calls, one without a message, in all orders.
func TestKafkaCallsHaveOneOrder(t *testing.T) {
	calls := []*kafkaCall{
		{room: "r", message: &model.Message{ID: "b"}}, {room: "r"}, {room: "r", message: &model.Message{ID: "a"}},
	}
	for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		got := []*kafkaCall{calls[order[0]], calls[order[1]], calls[order[2]]}
		slices.SortStableFunc(got, compareKafkaCalls)
		require.Equal(t, []*kafkaCall{calls[1], calls[2], calls[0]}, got, "%v", order)
	}
}

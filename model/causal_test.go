package model_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// conversation draws messages of publishers that read one another, each with all that it follows: those
// that its publisher had published or read.
func conversation(rt *rapid.T) []model.CausalMessage {
	publishers := rapid.IntRange(1, 4).Draw(rt, "publishers")
	known := make([]model.Vector, publishers)
	for i := range known {
		known[i] = model.Vector{}
	}
	var all []model.CausalMessage
	for i := range rapid.IntRange(1, 12).Draw(rt, "messages") {
		p := rapid.IntRange(0, publishers-1).Draw(rt, "publisher")
		if len(all) > 0 && rapid.Bool().Draw(rt, "reads") {
			known[p].Merge(rapid.SampledFrom(all).Draw(rt, "read").Clock)
		}
		name := fmt.Sprint("p", p)
		all = append(all, model.CausalMessage{Publisher: name, Clock: known[p].Tick(name), Message: model.Message{ID: fmt.Sprint("m", i)}})
	}
	return all
}

// requireCausal requires that no message comes twice, or after one that follows it.
func requireCausal(t require.TestingT, got []model.CausalMessage) {
	for j, m := range got {
		for _, before := range got[:j] {
			require.NotEqual(t, before.Message.ID, m.Message.ID)
			require.NotEqual(t, model.After, before.Clock.Compare(m.Clock), "%s before %s", before.Message.ID, m.Message.ID)
		}
	}
}

// Whatever the order in which messages arrive, and however often, each is handed on once, and after
// those that it follows.
func TestCausalBuffer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sent := conversation(rt)
		arriving := rapid.Permutation(slices.Concat(sent, sent)).Draw(rt, "arriving")
		b, err := model.NewCausalBuffer(nil, len(sent))
		require.NoError(rt, err)
		var got []model.CausalMessage
		for _, m := range arriving {
			now, err := b.Take(m)
			require.NoError(rt, err)
			got = append(got, now...)
			requireCausal(rt, got)
			require.Equal(rt, b.Waiting() > 0, len(b.Missing()) > 0, "what waits, waits for something that is missing")
		}
		require.Len(rt, got, len(sent))
		require.Zero(rt, b.Waiting())
	})
}

// Messages that never come are skipped, and the others are handed on in order all the same.
func TestCausalBufferSkips(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sent := conversation(rt)
		var arriving []model.CausalMessage
		for _, m := range sent {
			if rapid.Bool().Draw(rt, "arrives") {
				arriving = append(arriving, m)
			}
		}
		b, err := model.NewCausalBuffer(model.Vector{}, len(sent))
		require.NoError(rt, err)
		var got []model.CausalMessage
		for _, m := range rapid.Permutation(arriving).Draw(rt, "arriving") {
			now, err := b.Take(m)
			require.NoError(rt, err)
			got = append(got, now...)
			if rapid.IntRange(0, 3).Draw(rt, "gives up") == 0 {
				got = append(got, b.Skip(b.Missing())...)
			}
			requireCausal(rt, got)
		}
		got = append(got, b.Skip(b.Missing())...)
		requireCausal(rt, got)
		require.Zero(rt, b.Waiting())
		// Only what came when the client had been told that it would not is dropped.
		require.LessOrEqual(rt, len(got), len(arriving))
		for p, n := range b.At() {
			for _, m := range got {
				if m.Publisher == p {
					require.LessOrEqual(rt, m.Clock[p], n)
				}
			}
		}
	})
}

func TestCausalBufferLimits(t *testing.T) {
	_, err := model.NewCausalBuffer(nil, 0)
	require.EqualError(t, err, "causal buffer: limit is 0; it must be at least 1")

	b, err := model.NewCausalBuffer(model.Vector{"p": 4}, 1)
	require.NoError(t, err)
	take := func(publisher, id string, clock model.Vector) ([]model.CausalMessage, error) {
		return b.Take(model.CausalMessage{Publisher: publisher, Clock: clock, Message: model.Message{ID: id}})
	}
	for _, old := range []uint64{1, 4} {
		got, err := take("p", "old", model.Vector{"p": old})
		require.NoError(t, err)
		require.Empty(t, got)
	}
	got, err := take("p", "six", model.Vector{"p": 6})
	require.NoError(t, err)
	require.Empty(t, got)
	require.Equal(t, model.Vector{"p": 5}, b.Missing())
	_, err = take("q", "reply", model.Vector{"p": 6, "q": 1})
	require.ErrorIs(t, err, model.ErrCausalFull)
	require.ErrorContains(t, err, `message "reply" of "q"`)
	require.ErrorContains(t, err, "p:5 is missing")
	_, err = take("q", "uncounted", model.Vector{"p": 6})
	require.ErrorContains(t, err, "does not count it")
	got, err = take("p", "five", model.Vector{"p": 5})
	require.NoError(t, err, "what others wait for has room")
	require.Len(t, got, 2)
	require.Equal(t, "five", got[0].Message.ID)
	require.Equal(t, model.Vector{"p": 6}, b.At())
	require.Empty(t, b.Skip(model.Vector{"p": 9}))
	require.Equal(t, model.Vector{"p": 9}, b.At())
}

package hop2

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: a store that falls behind has lost the ends of its logs, and their IDs, as if they had never been there.
func TestFallBehind(t *testing.T) {
	s := NewRedisStore()
	require.False(t, s.FallBehind(1), "there is nothing to lose")
	m := s.redis
	for i, id := range []string{"a", "b", "c"} {
		seq := string(rune('1' + i))
		m.HSet("twohop:{r}:life", "epoch", "e", "seq", seq)
		m.HSet("twohop:{r}:ids", id, seq)
		_, err := m.RPush("twohop:{r}:order", id)
		require.NoError(t, err)
		_, err = m.XAdd("twohop:{r}:log", seq+"-0", []string{"m", id})
		require.NoError(t, err)
	}
	m.HSet("twohop:{lossy}:life", "epoch", "e", "seq", "7") // a room without a log

	require.True(t, s.FallBehind(2))
	require.Equal(t, "e", m.HGet("twohop:{r}:life", "epoch"))
	require.Equal(t, "1", m.HGet("twohop:{r}:life", "seq"))
	require.Equal(t, "5", m.HGet("twohop:{lossy}:life", "seq"))
	ids, err := m.HKeys("twohop:{r}:ids")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, ids)
	order, err := m.List("twohop:{r}:order")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, order)
	log, err := m.Stream("twohop:{r}:log")
	require.NoError(t, err)
	require.Len(t, log, 1)
	_, err = m.XAdd("twohop:{r}:log", "2-0", []string{"m", "d"})
	require.NoError(t, err, "another takes the place")

	require.True(t, s.FallBehind(9), "it loses all that there is")
	require.Equal(t, "0", m.HGet("twohop:{r}:life", "seq"))
	require.NotContains(t, m.Keys(), "twohop:{r}:log")
}

package tcp

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A queue is a slice, but for the memory: whatever is done to two of them.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := NewPool()
		var q [2]queue
		var want [2][]byte
		next := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "queue")
				p := make([]byte, rapid.SampledFrom([]int{0, 1, 200, 512, 513, 9000}).Draw(t, "bytes"))
				for k := range p {
					p[k] = next
					next++
				}
				q[i].write(pool, p)
				want[i] = append(want[i], p...)
			},
			"read": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "queue")
				p := make([]byte, rapid.IntRange(0, 3000).Draw(t, "bytes"))
				n := q[i].read(pool, p)
				require.Equal(t, min(len(p), len(want[i])), n)
				require.True(t, bytes.Equal(want[i][:n], p[:n]))
				want[i] = want[i][n:]
			},
			"discard": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "queue")
				n := rapid.IntRange(0, len(want[i])).Draw(t, "bytes")
				q[i].discard(pool, n)
				want[i] = want[i][n:]
			},
			"append": func(t *rapid.T) {
				q[0].append(&q[1])
				want[0], want[1] = append(want[0], want[1]...), nil
			},
			"": func(t *rapid.T) {
				for i := range q {
					require.Equal(t, len(want[i]), q[i].len)
					require.Equal(t, len(want[i]) == 0, q[i].head == nil, "an empty queue holds no memory")
				}
			},
		})
	})
}

// Memory goes back to the pool, and is used again.
func TestPoolReuses(t *testing.T) {
	pool := NewPool()
	var q queue
	work := func() {
		q.write(pool, make([]byte, 300))
		q.write(pool, make([]byte, 20000))
		q.clear(pool)
	}
	work()
	buf := make([]byte, 20000)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		q.write(pool, buf[:300])
		q.write(pool, buf)
		q.clear(pool)
	}))
}

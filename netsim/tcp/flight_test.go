package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever happens to segments, the scoreboard's counts and lists are those of a plain walk over it,
// and the list by time is in order of transmission.
func TestFlight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := NewPool()
		f := pool.flight()
		c := &Conn{una: 0xffffff00, nxt: 0xffffff00, flight: f}
		f.fack = c.una
		now := time.Duration(0)
		pick := func(t *rapid.T, without sentBits) (uint32, bool) {
			if f.first == f.limit {
				return 0, false
			}
			i := f.first + uint32(rapid.IntRange(0, int(f.limit-f.first)-1).Draw(t, "segment"))
			return i, f.at(i).bits&(without|merged) == 0
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				now++
				n := uint32(rapid.IntRange(1, 100).Draw(t, "length"))
				f.add(sent{seq: c.nxt, end: c.nxt + n, at: now})
				c.nxt += n
			},
			"acknowledge": func(t *rapid.T) {
				if f.first != f.limit {
					c.una = f.at(f.first).end
					f.fack = c.una
					f.pop()
				}
			},
			"SACK": func(t *rapid.T) {
				if i, ok := pick(t, sacked); ok {
					f.markSacked(i)
				}
			},
			"lose": func(t *rapid.T) {
				if i, ok := pick(t, sacked); ok {
					f.markLost(i)
				}
			},
			"send again": func(t *rapid.T) {
				i, ok := pick(t, sacked|retrans)
				if !ok || f.at(i).bits&lost == 0 {
					return
				}
				now++
				if j := i + 1; j != f.limit && f.at(j).bits&(sacked|merged) == 0 {
					f.merge(i, j)
				}
				s := f.at(i)
				s.bits |= retrans | everRetrans
				f.retransOut++
				s.at = now
				f.list(i)
			},
			"nothing was lost": func(t *rapid.T) { f.unmarkLost() },
			"": func(t *rapid.T) {
				if f.first == f.limit {
					require.Zero(t, f.packetsOut)
					return
				}
				f.check(c, func(ok bool, format string, args ...any) {
					require.True(t, ok, fmt.Sprintf(format, args...))
				})
				var last *sent
				for i := f.oldest; i != nowhere; i = f.at(i).next {
					require.True(t, last == nil || f.at(i).sentAfter(last.order))
					last = f.at(i)
				}
				at := c.una + (c.nxt-c.una)/2
				i := f.find(at)
				require.True(t, i == f.limit || seqGEQ(f.at(i).seq, at))
				require.True(t, i == f.first || seqLT(f.at(i-1).seq, at))
				require.Zero(t, f.at(f.tail()).bits&merged)
			},
		})
	})
}

// A flight that goes back to the pool is as new, but keeps its memory.
func TestFlightReused(t *testing.T) {
	pool := NewPool()
	f := pool.flight()
	for i := range uint32(100) {
		f.add(sent{seq: i, end: i + 1})
	}
	f.tlp.out = true
	pool.freeFlight(f)
	g := pool.flight()
	require.Same(t, f, g)
	require.Equal(t, flight{ring: g.ring, oldest: nowhere, last: nowhere}, *g)
	require.Len(t, g.ring, 128)
}

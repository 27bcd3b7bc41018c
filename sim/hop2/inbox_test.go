package hop2

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What comes at one instant, and how much of it is dropped, does not depend on when the reader looks.
func TestInboxAtOneInstant(t *testing.T) {
	for _, looks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newInbox[int](3)
			var got []int
			doubts := 0
			take := func() {
				items, d := b.take()
				got = append(got, items...)
				if d {
					doubts++
				}
			}
			for i := range 5 {
				b.push(i)
				if looks {
					take()
				}
			}
			take()
			require.Equal(t, []int{0, 1, 2}, got)
			require.Equal(t, 1, doubts)

			time.Sleep(time.Nanosecond)
			got, doubts = nil, 0
			b.push(5)
			time.Sleep(time.Nanosecond)
			b.push(6)
			b.push(7)
			take()
			require.Equal(t, []int{5, 6, 7}, got)
			require.Zero(t, doubts)
			b.push(8)
			take()
			require.Empty(t, got[3:])
			require.Equal(t, 1, doubts)
		})
	}
}

package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 5681 §3.1, RFC 6298 §5.4: a timeout takes the window down to one segment and sends the first
// again; slow start brings it back up to half of what was in flight.
func TestTimeout(t *testing.T) {
	k := connected(t, Config{Congestion: Reno}, Config{})
	reader(k.b)
	k.links[0].drop = func(seg *Segment) bool { return len(seg.Payload) > 0 }
	k.write(k.a, 10*1448)
	k.pass(600 * ms) // a tail probe, and the timeout after it
	require.Positive(t, k.a.c.Info().Timeouts)
	i := k.a.c.Info()
	require.EqualValues(t, 1, i.Cwnd)
	require.EqualValues(t, 5, i.Ssthresh)
	require.Equal(t, 1, i.InFlight)
	k.links[0].drop = nil
	k.pass(5 * time.Second)
	require.EqualValues(t, 10*1448, k.b.c.Info().BytesIn)
	// RFC 6298 §5.7: the backoff ends with a fresh sample.
	require.Less(t, k.a.c.Info().RTO, 500*ms)
}

// RFC 5682 (F-RTO): the network paused, nothing was lost. The acknowledgement of what was sent once
// ends the recovery, and nothing else is sent twice.
func TestSpuriousTimeout(t *testing.T) {
	for _, c := range []Config{{}, {NoTimestamps: true}} {
		k := connected(t, c, Config{})
		reader(k.b)
		k.links[0].latency = 700 * ms
		k.write(k.a, 20*1448)
		k.pass(time.Second)
		k.links[0].latency = 50 * ms
		k.pass(5 * time.Second)
		i := k.a.c.Info()
		require.Positive(t, i.Timeouts)
		require.Positive(t, i.Undone, "%+v", c)
		require.GreaterOrEqual(t, i.Cwnd, uint32(10))
		require.LessOrEqual(t, i.Retransmits, uint32(1))
		require.EqualValues(t, 20*1448, k.b.c.Info().BytesIn)
	}
}

// RFC 2018 §8: a receiver that has dropped what it had SACKed is served all the same.
func TestReneging(t *testing.T) {
	k := connected(t, Config{}, Config{})
	k.dropNth(k.a, 1)
	k.write(k.a, 4*1448)
	k.pass(70 * ms)
	k.b.c.rcv.dropGaps(k.b.pool)
	k.pass(10 * time.Second)
	require.EqualValues(t, 4*1448, k.b.c.Info().BytesIn)
}

package hop2

import (
	"flag"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

var live = flag.Bool("live", false, "run the tests that need a real broker")

// The scripts, the streams and pub/sub do on a real Redis what they do on miniredis: publish once, resume,
// announce what was trimmed, survive a restart with data and announce one without.
func TestLiveRedis(t *testing.T) {
	if !*live {
		t.Skip("needs redis-server: run with -live")
	}
	binary, err := exec.LookPath("redis-server")
	require.NoError(t, err, "install redis-server (Debian package redis-server)")
	port := freePort(t)
	kept := t.TempDir()
	stop := liveServer(t, binary, redisArgs(port, kept)...)

	s, err := NewRedisStreams(Config{Addr: fmt.Sprintf("127.0.0.1:%d", port), History: 50, Remember: 100, CheckEvery: 100 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	sub := subscribe(t, s, "r", model.Cursor{})
	require.Equal(t, uint64(1), publish(t, s, "r", 1, 1).Seq)
	end := publish(t, s, "r", 1, 120)
	require.Equal(t, uint64(120), end.Seq)
	require.Equal(t, uint64(70), publish(t, s, "r", 70, 70).Seq)
	seqs, gaps := collect(t, sub, sub.Start().Cursor, end)
	require.Equal(t, simtest.UpTo(1, 120), seqs)
	require.Empty(t, gaps)
	late := subscribe(t, s, "r", model.Cursor{Epoch: end.Epoch, Seq: 10})
	require.Equal(t, uint64(70), late.Start().Cursor.Seq)
	require.Contains(t, late.Start().Gap, "trimmed")
	publishUnheard(t, s, note("r", 121))
	end.Seq = 121
	seqs, _ = collect(t, sub, model.Cursor{Epoch: end.Epoch, Seq: 120}, end)
	require.Equal(t, []uint64{121}, seqs)

	stop()
	stop = liveServer(t, binary, redisArgs(port, kept)...)
	next := publish(t, s, "r", 122, 130)
	require.Equal(t, model.Cursor{Epoch: end.Epoch, Seq: 130}, next)
	seqs, gaps = collect(t, sub, end, next)
	require.Equal(t, simtest.UpTo(122, 130), seqs)
	require.Empty(t, gaps)

	stop()
	liveServer(t, binary, redisArgs(port, t.TempDir())...)
	fresh := publish(t, s, "r", 131, 133)
	require.Equal(t, uint64(3), fresh.Seq)
	seqs, gaps = collect(t, sub, next, fresh)
	require.Equal(t, simtest.UpTo(1, 3), seqs)
	require.Len(t, gaps, 1)
}

package plots_test

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/plots"
)

// requireGolden compares a figure with the picture of it in testdata, which -update rewrites.
func requireGolden(t *testing.T, name string, f *plots.Figure) {
	t.Helper()
	require.Empty(t, f.Problem())
	var got bytes.Buffer
	require.NoError(t, f.WritePNG(&got))
	golden := filepath.Join("testdata", name+".png")
	if *update {
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	if !bytes.Equal(want, got.Bytes()) {
		requireAlike(t, want, got.Bytes())
	}
}

func TestBytesPerMessageGolden(t *testing.T) {
	f := plots.BytesPerMessage([]plots.WireBar{
		{Transport: "longpoll", Messages: 1000, Sent: 500_000, Received: 900_000},
		{Transport: "poll", Messages: 1000, Sent: 300_000, Received: 700_000},
		{Transport: "sse", Messages: 1000, Sent: 80_000, Received: 520_000},
		{Transport: "webrtc", Messages: 1000, Sent: 200_000, Received: 640_000},
		{Transport: "ws", Messages: 2000, Sent: 400_000, Received: 1_000_000},
	})
	require.Equal(t, "A delivered message costs 600 bytes with sse, and 1,400 with longpoll", f.Title())
	requireGolden(t, "bytes_per_message", f)
}

// What cannot be drawn says so; what is odd is drawn.
func TestBytesPerMessageProblems(t *testing.T) {
	require.Contains(t, plots.BytesPerMessage(nil).Problem(), "there are no transports")
	require.Contains(t, plots.BytesPerMessage([]plots.WireBar{{Transport: "ws"}}).Problem(), "ws has 0 messages")
	for _, bytes := range []uint64{0, 1, 1 << 40, math.MaxUint64} {
		f := plots.BytesPerMessage([]plots.WireBar{{Transport: "ws", Messages: 1, Received: bytes}, {Messages: 1, Sent: bytes}})
		require.Empty(t, f.Problem())
		require.NoError(t, f.WriteSVG(io.Discard))
	}
}

package plots_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
)

// cursors is a made-up run in which a position is sent every 50 ms over two channels. Each tenth is lost: one
// channel leaves it out, and the other repeats it 200 ms later, with those that waited for it.
func cursors() *model.History {
	var events []model.Event
	add := func(at time.Duration, kind model.Kind, node, channel string, seq int) {
		e := model.Event{Kind: kind, Time: at, Node: node, Room: "cursor-" + channel, ID: fmt.Sprint(seq)}
		if kind == model.Deliver {
			e.Seq, e.Transport = uint64(seq), "cursor, "+channel
		}
		events = append(events, e)
	}
	for seq := 1; seq <= 200; seq++ {
		sent := time.Duration(seq) * 50 * ms
		for _, channel := range []string{"reliable", "unreliable"} {
			add(sent, model.PublishCall, "peer-1", channel, seq)
		}
		arrives := sent + 30*ms
		lost := seq % 10
		if lost != 0 {
			add(arrives, model.Deliver, "peer-2", "unreliable", seq)
		}
		if lost < 5 {
			arrives += time.Duration(200-50*lost) * ms
		}
		add(arrives, model.Deliver, "peer-2", "reliable", seq)
	}
	return inOrder(events, 10*time.Second)
}

func TestStalenessGolden(t *testing.T) {
	f := plots.Staleness(cursors())
	require.Empty(t, f.Problem())
	require.Equal(t, "For 99 % of the time, what is shown is at most 110 ms to 260 ms old", f.Title())
	var got bytes.Buffer
	require.NoError(t, f.WritePNG(&got))
	golden := filepath.Join("testdata", "staleness.png")
	if *update {
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	if !bytes.Equal(want, got.Bytes()) {
		requireAlike(t, want, got.Bytes())
	}
}

// What cannot be drawn says so.
func TestStalenessProblems(t *testing.T) {
	require.Contains(t, plots.Staleness(nil).Problem(), "cannot be drawn: no history")
	require.Contains(t, plots.Staleness(&model.History{}).Problem(), "nothing was delivered")
	require.NoError(t, plots.Staleness(&model.History{}).WriteSVG(io.Discard))
}

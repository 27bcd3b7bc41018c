package plots_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
)

var update = flag.Bool("update", false, "rewrite the golden pictures in testdata")

var three = []string{"longpoll", "sse", "ws"}

// Each figure looks as it did when somebody last looked at it. After a change on purpose, run
// go test ./plots -update and look again.
func TestGolden(t *testing.T) {
	outage := chat{clients: 200, transports: three, end: 15 * time.Second, crash: true, noise: 0.01}
	calm := chat{clients: 60, transports: []string{"ws"}, end: 8 * time.Second}
	all := chat{clients: 150, transports: []string{"poll", "longpoll", "sse", "webrtc", "ws", "carrier-pigeon"}, end: 12 * time.Second, noise: 0.02}
	tests := []struct {
		name   string
		figure *plots.Figure
	}{
		{"timeline_outage", plots.Timeline(outage.history())},
		{"timeline_calm", plots.Timeline(calm.history())},
		{"timeline_faults", plots.Timeline(manyFaults())},
		{"cdf_outage", plots.DeliveryCDF(outage.history())},
		{"cdf_calm", plots.DeliveryCDF(calm.history())},
		{"cdf_transports", plots.DeliveryCDF(all.history())},
		{"scaling", plots.Scaling(scaleEvents())},
		{"empty", plots.DeliveryCDF(&model.History{})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, tt.figure.WritePNG(&got))
			golden := filepath.Join("testdata", tt.name+".png")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			if !bytes.Equal(want, got.Bytes()) {
				requireAlike(t, want, got.Bytes())
			}
		})
	}
}

// requireAlike allows for another processor's rounding at the edges of shapes, and no more.
func requireAlike(t *testing.T, want, got []byte) {
	t.Helper()
	a, err := png.Decode(bytes.NewReader(want))
	require.NoError(t, err)
	b, err := png.Decode(bytes.NewReader(got))
	require.NoError(t, err)
	require.Equal(t, a.Bounds(), b.Bounds())
	differ, box := 0, a.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			for _, d := range []int{int(r1) - int(r2), int(g1) - int(g2), int(b1) - int(b2)} {
				if d < -0x0400 || d > 0x0400 {
					differ++
					break
				}
			}
		}
	}
	require.LessOrEqual(t, differ, box.Dx()*box.Dy()/100_000, "pixels that differ from the golden picture; see -update")
}

// manyFaults is a run with overlapping, repeated, unfinished and unbegun faults, and long names.
func manyFaults() *model.History {
	h := chat{clients: 60, transports: []string{"sse", "ws"}, end: 10 * time.Second, crash: true}.history()
	events := h.Events[:len(h.Events)-1]
	fault := func(kind model.Kind, at time.Duration, note string) {
		events = append(events, model.Event{Kind: kind, Time: at, Note: note})
	}
	fault(model.FaultEnd, 700*ms, "pause(broker)")
	fault(model.FaultBegin, 2*time.Second, "loss(edge-1→client-*, 3/100)")
	fault(model.FaultEnd, 6*time.Second, "loss(edge-1→client-*, 3/100)")
	fault(model.FaultBegin, 5500*ms, "partition(edge-0 | broker)")
	fault(model.FaultEnd, 5900*ms, "partition(edge-0 | broker)")
	fault(model.FaultBegin, 9*time.Second, "latency(publisher→edge-*, 250ms ± 100ms)")
	events = append(events, model.Event{Kind: model.Discontinuity, Node: "c1", Room: "room-1", Seq: 3, Transport: "sse", Time: 6200 * ms})
	return inOrder(events, 10*time.Second)
}

// The same history gives the same files, and they are well-formed.
func TestSave(t *testing.T) {
	h := chat{clients: 40, transports: three, end: 10 * time.Second, crash: true, noise: 0.02}.history()
	for name, figure := range map[string]func(*model.History) *plots.Figure{"cdf": plots.DeliveryCDF, "timeline": plots.Timeline} {
		var files [2][2][]byte
		for i := range files {
			dir := t.TempDir()
			require.NoError(t, plots.Save(dir, name, figure(h)))
			for j, ending := range []string{".png", ".svg"} {
				b, err := os.ReadFile(filepath.Join(dir, name+ending))
				require.NoError(t, err)
				files[i][j] = b
			}
		}
		require.Equal(t, files[0], files[1], "byte for byte")

		config, err := png.DecodeConfig(bytes.NewReader(files[0][0]))
		require.NoError(t, err)
		require.Equal(t, 1440, config.Width)
		require.NoError(t, readXML(files[0][1]))
		require.Contains(t, string(files[0][1]), "Delivery latency (ms, log scale)")
		require.NotContains(t, string(files[0][1]), "font-family:Liberation Sans;", "there is a font to fall back to")
	}
}

func readXML(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestSaveErrors(t *testing.T) {
	f := plots.DeliveryCDF(&model.History{})
	for _, name := range []string{"", ".", "..", "a/b", "../a", ".hidden"} {
		require.ErrorContains(t, plots.Save(t.TempDir(), name, f), "is not the name of a file")
	}
	require.ErrorIs(t, plots.Save(filepath.Join(t.TempDir(), "none"), "a", f), os.ErrNotExist)
}

// A history that cannot be drawn says so in the picture's place, whatever is wrong with it.
func TestProblems(t *testing.T) {
	undelivered := &model.History{Events: []model.Event{{Step: 1, Kind: model.PublishCall, Node: "p", Room: "r", ID: "a"}}}
	for _, figure := range []func(*model.History) *plots.Figure{plots.DeliveryCDF, plots.Timeline} {
		require.Contains(t, figure(nil).Problem(), "cannot be drawn: no history")
		require.Contains(t, figure(&model.History{Events: make([]model.Event, 2)}).Problem(), "Step is 0 after 0")
		require.Contains(t, figure(undelivered).Problem(), "no message was delivered")
		require.NoError(t, figure(nil).WriteSVG(io.Discard))
	}
}

// Odd histories are drawn without a panic: a single delivery, no time at all, no transport, extremes.
func TestOddHistories(t *testing.T) {
	for _, at := range []time.Duration{0, 1, time.Microsecond, time.Hour, 1 << 62} {
		for _, transport := range []string{"", "ws", strings.Repeat("long ", 50)} {
			h := &model.History{Events: []model.Event{
				{Step: 1, Kind: model.FaultBegin, Note: strings.Repeat("x", 500)},
				{Step: 2, Kind: model.PublishCall, Node: "p", Room: "r", ID: "a"},
				{Step: 3, Kind: model.Connected, Node: "c", Room: "r", Transport: transport},
				{Step: 4, Kind: model.Deliver, Node: "c", Room: "r", ID: "a", Seq: 1, Transport: transport, Time: at},
				{Step: 5, Kind: model.RunEnd, Time: at},
			}}
			for range 40 {
				n := len(h.Events)
				h.Events[n-1] = model.Event{Step: uint64(n), Kind: model.FaultBegin, Note: fmt.Sprint("fault ", n), Time: at}
				h.Events = append(h.Events, model.Event{Step: uint64(n + 1), Kind: model.RunEnd, Time: at})
			}
			for _, f := range []*plots.Figure{plots.DeliveryCDF(h), plots.Timeline(h)} {
				require.Empty(t, f.Problem())
				require.NoError(t, f.WriteSVG(io.Discard))
			}
		}
	}
}

func ExampleTimeline() {
	h := &model.History{Events: []model.Event{
		{Step: 1, Time: 0, Kind: model.Connected, Node: "c7", Room: "room-1", Transport: "sse"},
		{Step: 2, Time: 100 * ms, Kind: model.PublishCall, Node: "p1", Room: "room-1", ID: "a"},
		{Step: 3, Time: 140 * ms, Kind: model.Deliver, Node: "c7", Room: "room-1", Transport: "sse", Seq: 1, ID: "a"},
		{Step: 4, Time: time.Second, Kind: model.RunEnd},
	}}
	f := plots.Timeline(h)
	if err := plots.Save(os.TempDir(), "twohop-example", f); err != nil {
		fmt.Println(err)
	}
	fmt.Println(f.Title())
	// Output: 1.00 s without faults: every connection held
}

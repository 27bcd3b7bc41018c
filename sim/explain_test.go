package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// noThird is broken by the third delivery, and can draw that.
type noThird struct{}

func (noThird) Name() string { return "NoThird" }

func (noThird) Check(h *model.History) model.Verdict {
	v, n := model.Verdict{Property: "NoThird", Outcome: model.Ok}, 0
	for _, e := range h.Events {
		if e.Kind == model.Deliver {
			n++
		}
		if n == 3 {
			return model.Verdict{Property: "NoThird", Outcome: model.Illegal, Step: e.Step, Detail: "it was one too many"}
		}
	}
	return v
}

func (noThird) Visualize(h *model.History, v model.Verdict, w io.Writer) error {
	_, err := fmt.Fprintf(w, "step %d of %d events", v.Step, len(h.Events))
	return err
}

// Goal: a failure's banner and report have all that DESIGN promises, and the step that they name is that of the
// files.
func TestFailure(t *testing.T) {
	res := sim.Run(t, sim.Config{Seed: 7}, func(w *sim.World) error {
		w.Link("*", "*", netsim.Link{Latency: 20 * time.Millisecond})
		w.Node("p", func(ctx context.Context, n *sim.Node) error {
			for i := 1; i <= 5; i++ {
				time.Sleep(time.Second)
				id := fmt.Sprint("m-", i)
				n.Record(model.Event{Kind: model.PublishCall, Room: "r", ID: id})
				n.Record(model.Event{Kind: model.PublishOK, Room: "r", ID: id, Seq: uint64(i)})
			}
			<-ctx.Done()
			return nil
		})
		w.Node("edge", func(ctx context.Context, n *sim.Node) error {
			for i := 1; i <= 5; i++ {
				time.Sleep(time.Second + 10*time.Millisecond)
				n.Trail(model.Event{Kind: model.Copy, Room: "r", ID: fmt.Sprint("m-", i), Seq: uint64(i), Peer: "c"})
			}
			<-ctx.Done()
			return nil
		})
		w.Node("c", func(ctx context.Context, n *sim.Node) error {
			n.Record(model.Event{Kind: model.Connected, Room: "r", Peer: "edge", Transport: "ws"})
			for i := 1; i <= 5; i++ {
				time.Sleep(time.Second + 20*time.Millisecond)
				n.Record(model.Event{Kind: model.Deliver, Room: "r", ID: fmt.Sprint("m-", i), Seq: uint64(i), Peer: "edge", Transport: "ws"})
			}
			<-ctx.Done()
			return nil
		})
		w.At(2*time.Second, sim.Crash("edge"))
		w.At(2500*time.Millisecond, netsim.Partition("p", "c"))
		w.RunFor(6 * time.Second)
		w.Check(noThird{})
		return nil
	})
	require.NoError(t, res.Err)
	require.False(t, res.Ok())
	step := res.Verdicts[0].Step

	dir := filepath.Join(t.TempDir(), "new")
	kept, err := res.WriteFiles(dir)
	require.NoError(t, err)
	files, err := res.WriteReport(dir, sim.Report{Title: "a test", Replay: "go test .", Files: kept})
	require.NoError(t, err)
	var names []string
	for _, f := range append(files, kept...) {
		names = append(names, filepath.Base(f))
	}
	require.Equal(t, []string{"report.html", "spacetime.svg", "nothird.html", "trace.jsonl", "history.jsonl", "trail.jsonl"}, names)

	banner := res.Banner(append(files, kept...), "go test .")
	for _, want := range []string{
		"Illegal: NoThird: it was one too many\n", fmt.Sprintf("  step %d · t=3.06000", step), "s · deliver · ws · edge→c · r#3\n", `journey of r#3 (message "m-3") to c:`,
		"p calls publish", "c gets it over ws from edge", "  c has got it 60ms after the call of publish.", "  Faults begun and not ended: crash(edge), partition(p, c).", "steps of c:\n",
		"faults: crash(edge) 2s · partition(p, c) 2.5s\n", "files: " + files[0], "\nreplay: go test .",
	} {
		require.Contains(t, banner, want)
	}
	for _, name := range []string{"trace.jsonl", "history.jsonl"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		found := false
		for line := range strings.Lines(string(data)) {
			var s struct {
				Step uint64
				Kind string
			}
			require.NoError(t, json.Unmarshal([]byte(line), &s))
			found = found || s.Step == step && s.Kind == "deliver"
		}
		require.True(t, found, "%s has step %d, the delivery", name, step)
	}
	report, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for _, want := range []string{"a test", "it was one too many", "Journey of r#3", "crash(edge) 2s", `<a href="nothird.html">`, `<a href="trail.jsonl">`, "data:image/svg"} {
		require.Contains(t, string(report), want)
	}
	drawn, err := os.ReadFile(filepath.Join(dir, "nothird.html"))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("step %d of %d events", step, len(res.History.Events)), string(drawn))

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	_, err = res.WriteReport(filepath.Join(file, "x"), sim.Report{})
	require.Error(t, err)
}

// Goal: a run that went well has a report too, which explains nothing.
func TestReportOfSuccess(t *testing.T) {
	res := sim.Run(t, sim.Config{}, func(w *sim.World) error {
		w.RunFor(time.Second)
		w.Check(noThird{})
		return nil
	})
	require.True(t, res.Ok())
	files, err := res.WriteReport(t.TempDir(), sim.Report{Title: "fine"})
	require.NoError(t, err)
	require.Len(t, files, 1)
	report, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Contains(t, string(report), "fine")
	require.NotContains(t, string(report), "Journey")
}

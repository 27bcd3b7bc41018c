package scenarios_test

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Goal: the figure in the README is what the run beside it draws.
func TestReadmeFigure(t *testing.T) {
	if testing.Short() {
		t.Skip("draws the whole chat")
	}
	const golden = "testdata/chat-timeline.png"
	report, res := scenarios.Execute(t, scenarios.NewChat(), "", sim.Config{Seed: 1})
	require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
	var drawn bytes.Buffer
	require.NoError(t, plots.Timeline(res.History).WritePNG(&drawn))
	if *update {
		require.NoError(t, os.WriteFile(golden, drawn.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	if differ := pixelsThatDiffer(t, want, drawn.Bytes()); differ > 100 { // processors round differently
		t.Errorf("%d pixels differ from %s; look at both, then run this test with -update", differ, golden)
	}
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), "(scenarios/"+golden+")")
}

func pixelsThatDiffer(t *testing.T, a, b []byte) int {
	var images [2]image.Image
	for i, data := range [][]byte{a, b} {
		var err error
		images[i], err = png.Decode(bytes.NewReader(data))
		require.NoError(t, err)
	}
	require.Equal(t, images[0].Bounds(), images[1].Bounds())
	differ := 0
	for y := range images[0].Bounds().Dy() {
		for x := range images[0].Bounds().Dx() {
			if images[0].At(x, y) != images[1].At(x, y) {
				differ++
			}
		}
	}
	return differ
}

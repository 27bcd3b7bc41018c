package plots

import (
	"fmt"
	"image/color"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Goal: up to eight names have eight colours, and a name that is not ours takes none of a transport's.
func TestInks(t *testing.T) {
	all := [][]string{
		{"jetstream", "kafka", "nats", "pull", "redis-pubsub", "redis-streams", "ring"},
		{"a", "b", "c", "d", "e", "f", "g", "h"},
		{"a", "b", "c", "longpoll", "poll", "sse", "webrtc", "ws"},
	}
	for _, names := range all {
		of := map[color.NRGBA]string{}
		for name, ink := range inks(names) {
			require.Empty(t, of[ink], "%s has the colour of another", name)
			of[ink] = name
			if own, known := transportInk[name]; known {
				require.Equal(t, own, ink, name)
			}
		}
		require.Len(t, of, len(names))
	}
	require.Len(t, inks([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}), 9)
	dashes := map[string]bool{}
	for i := range 8 {
		dashes[fmt.Sprint(curveStyle(i, ink).Dashes)] = true
	}
	require.Len(t, dashes, 8, "so do their strokes differ")
}

// Goal: every series is in the legend, whatever room it takes, and no entry is wider than the figure.
func TestSwatchesWrap(t *testing.T) {
	var rows []model.Distribution
	for _, name := range []string{"jetstream", "kafka", "nats", "pull", "redis-pubsub", "redis-streams", "ring", "a name that is far too long for any legend, and for every other place that there is in a figure, and goes on still"} {
		rows = append(rows, model.Distribution{Transport: name, Sorted: make([]time.Duration, 1000)})
	}
	s := swatches{nil, rows}
	texts, at := s.place(width - 2*margin)
	require.Len(t, texts, len(rows))
	for i := range at {
		require.NotEmpty(t, texts[i])
		require.LessOrEqual(t, at[i].X+11+bodyStyle.Width(texts[i]), width-2*margin)
	}
	require.Equal(t, 2*swatchRow+18, s.height())
	require.Equal(t, swatchRow+4, swatches{nil, rows[:2]}.height())
}

// Goal: faults that coincide have their names side by side, and none is left out without being counted.
func TestFaultLabels(t *testing.T) {
	var faults []fault
	for _, node := range []string{"jetstream", "kafka", "nats", "store", "redis-pubsub", "redis", "source"} {
		faults = append(faults, fault{note: "crash(" + node + ")", begin: 7 * time.Second, end: 9 * time.Second, healed: true})
	}
	faults = append(faults, fault{note: "loss", begin: 7 * time.Second, end: 8 * time.Second})
	l := faultLabels{faults, 20 * time.Second, 0}
	labels, unnamed := l.place(0, 500)
	require.Zero(t, unnamed)
	names := 0
	for _, lb := range labels {
		names += lb.names
		require.LessOrEqual(t, faultStyle.Width(lb.text), width/2)
	}
	require.Equal(t, len(faults), names)
	require.Less(t, len(labels), mostRows)
	require.Equal(t, "loss", labels[len(labels)-1].text)
	labels, unnamed = l.place(0, 60)
	require.Len(t, labels, mostRows)
	require.Equal(t, len(faults)-mostRows, unnamed)
}

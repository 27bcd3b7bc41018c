package model_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

// occurrence is an event of a random execution, with its time on each clock.
type occurrence struct {
	node   string
	before map[int]bool // the events that happened before it, by index
	at     time.Duration
	stamp  model.Stamp
	vector model.Vector
	hybrid model.Timestamp
	wall   time.Duration
}

// clocks are those of one node.
type clocks struct {
	lamport model.Lamport
	vector  model.Vector
	hybrid  model.HLC
	skew    model.Skew
	past    map[int]bool
}

// maxSkew is how wrong the physical clocks of an execution are at most.
const maxSkew = 50 * time.Millisecond

// execution draws nodes that do things, send messages and receive them, late and out of order, by
// clocks that are wrong.
func execution(rt *rapid.T) []occurrence {
	nodes := make([]clocks, rapid.IntRange(1, 4).Draw(rt, "nodes"))
	for i := range nodes {
		offset := time.Duration(rapid.IntRange(-int(maxSkew), int(maxSkew)).Draw(rt, "skew"))
		nodes[i] = clocks{lamport: model.Lamport{Node: fmt.Sprint("n", i)}, vector: model.Vector{}, skew: model.Skew{Offset: offset}, past: map[int]bool{}}
	}
	var all []occurrence
	var sent []int
	now := time.Second
	for i := range rapid.IntRange(1, 25).Draw(rt, "events") {
		now += time.Duration(rapid.IntRange(0, 2).Draw(rt, "pause")) * 10 * time.Millisecond
		n := &nodes[rapid.IntRange(0, len(nodes)-1).Draw(rt, "node")]
		o := occurrence{node: n.lamport.Node, before: map[int]bool{}, at: now, wall: n.skew.Read(now)}
		if what := rapid.IntRange(0, 2).Draw(rt, "what"); what == 0 && len(sent) > 0 {
			m := rapid.SampledFrom(sent).Draw(rt, "message")
			n.past[m] = true
			for e := range all[m].before {
				n.past[e] = true
			}
			n.vector.Merge(all[m].vector)
			o.stamp = n.lamport.Witness(all[m].stamp)
			var err error
			o.hybrid, err = n.hybrid.Update(o.wall, all[m].hybrid)
			require.NoError(rt, err)
		} else {
			o.stamp, o.hybrid = n.lamport.Tick(), n.hybrid.Now(o.wall)
			if what == 1 {
				sent = append(sent, i)
			}
		}
		o.vector = n.vector.Tick(o.node)
		for e := range n.past {
			o.before[e] = true
		}
		n.past[i] = true
		all = append(all, o)
	}
	return all
}

// Goal: the clocks keep their conditions.
// Method: compare them with what happened before what, in random executions.
func TestClockConditions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := execution(rt)
		for j, f := range all {
			for i, e := range all {
				before := f.before[i]
				if before {
					require.Negative(rt, e.stamp.Compare(f.stamp), "Lamport: %v, %v", e.stamp, f.stamp)
					require.Negative(rt, e.hybrid.Compare(f.hybrid), "hybrid: %v, %v", e.hybrid, f.hybrid)
				}
				require.Equal(rt, i == j, e.stamp.Compare(f.stamp) == 0, "stamps are unique")
				require.Equal(rt, before, e.vector.Compare(f.vector) == model.Before, "vectors tell exactly: %v, %v", e.vector, f.vector)
				require.Equal(rt, before, f.vector.Compare(e.vector) == model.After)
				require.Equal(rt, i == j, e.vector.Compare(f.vector) == model.Same)
			}
			require.GreaterOrEqual(rt, f.hybrid.Wall, f.wall, "theorem 2")
			require.LessOrEqual(rt, f.hybrid.Wall, f.at+maxSkew, "corollary 1")
		}
	})
}

// Goal: show what the hybrid clock is for.
// Method: the same executions by wall clocks alone, which do put effects before causes.
func TestWallClocksBreakTheClockCondition(t *testing.T) {
	executions := rapid.Custom(execution)
	broken := 0
	for seed := range 50 {
		all := executions.Example(seed)
		for _, f := range all {
			for i := range f.before {
				if all[i].wall >= f.wall {
					broken++
				}
			}
		}
	}
	require.NotZero(t, broken)
}

func TestHLCLimits(t *testing.T) {
	h := model.HLC{MaxAhead: 10 * time.Millisecond}
	first := h.Now(time.Second)
	require.Equal(t, model.Timestamp{Wall: time.Second}, first)
	_, err := h.Update(time.Second, model.Timestamp{Wall: time.Second + 10*time.Millisecond + 1})
	require.ErrorIs(t, err, model.ErrClockAhead)
	require.Equal(t, model.Timestamp{Wall: time.Second, Logical: 1}, h.Now(0), "a clock that goes back, and a rejected message, do no harm")
	got, err := h.Update(time.Second, model.Timestamp{Wall: time.Second + 10*time.Millisecond, Logical: 7})
	require.NoError(t, err)
	require.Equal(t, model.Timestamp{Wall: time.Second + 10*time.Millisecond, Logical: 8}, got)
	got, err = h.Update(time.Second, model.Timestamp{Wall: time.Second + 10*time.Millisecond, Logical: math.MaxUint32})
	require.NoError(t, err)
	require.Equal(t, model.Timestamp{Wall: time.Second + 10*time.Millisecond + 1}, got, "no overflow")

	require.NoError(t, model.Skew{Drift: 50e-6}.Validate())
	require.Error(t, model.Skew{Drift: -1}.Validate())
	require.Error(t, model.Skew{Drift: math.NaN()}.Validate())
	require.Equal(t, 10*time.Second+500*time.Microsecond-time.Millisecond, model.Skew{Offset: -time.Millisecond, Drift: 50e-6}.Read(10*time.Second))
}

func TestParseTimestamp(t *testing.T) {
	for _, ts := range []model.Timestamp{{}, {Wall: time.Second, Logical: 3}, {Wall: math.MaxInt64, Logical: math.MaxUint32}} {
		got, err := model.ParseTimestamp(ts.String())
		require.NoError(t, err)
		require.Equal(t, ts, got)
	}
	for _, text := range []string{"", "1", "1.", ".1", "-1.0", "01.0", "1.00", "1.0.0", "1.4294967296", "9223372036854775808.0", "+1.0", "a.b"} {
		_, err := model.ParseTimestamp(text)
		require.ErrorContains(t, err, "want nanoseconds", "%q", text)
	}
}

func TestParseVector(t *testing.T) {
	for _, v := range []model.Vector{{}, {"a": 1}, {"a": 3, "b-2": math.MaxUint64}} {
		got, err := model.ParseVector(v.String())
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	require.Equal(t, "b:1", model.Vector{"b": 1, "a": 0}.String())
	for text, want := range map[string]string{
		"a":       "no colon",
		"a:1,":    "no colon",
		":1":      "it has 0 bytes",
		"a:0":     "not a decimal number from 1",
		"a:01":    "not a decimal number",
		"a:":      "not a decimal number",
		"b:1,a:1": `"a" after "b"`,
		"a:1,a:1": `"a" after "a"`,
		"a b:1":   "it has ' '",
	} {
		_, err := model.ParseVector(text)
		require.ErrorContains(t, err, want, "%q", text)
	}
}

// Whatever is read, is written as it was.
func FuzzParseClocks(f *testing.F) {
	for _, text := range []string{"", "a:1", "a:3,b:1", "a:0", "1500000000.2", "0.0", "-1.0", "b:1,a:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := model.ParseVector(text); err == nil {
			require.Equal(t, text, v.String())
		}
		if ts, err := model.ParseTimestamp(text); err == nil {
			require.Equal(t, text, ts.String())
		}
	})
}

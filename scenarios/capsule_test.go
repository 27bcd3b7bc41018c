package scenarios_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

var capsuleFlag = flag.String("capsule", "", "a capsule that TestCapsule makes the run of")

// TestCapsule makes the run of a capsule, as explore and shrink write them, and fails as it does:
//
//	go test ./scenarios -run '^TestCapsule$' -capsule FILE
func TestCapsule(t *testing.T) {
	if *capsuleFlag == "" {
		t.Skip("there is no capsule to run: name one with -capsule")
	}
	f, err := os.Open(*capsuleFlag)
	require.NoError(t, err)
	defer f.Close()
	c, err := scenarios.ReadCapsule(f)
	require.NoError(t, err)
	report, res, err := c.Run(t, sim.Config{Repeat: 2})
	require.NoError(t, err)
	if report.Outcome() != model.Ok {
		t.Error(res.Banner(nil, "go run ./cmd/twohop "+c.Command()))
	}
}

// Goal: a capsule holds all of a run: the same again has the same trace.
func TestCapsuleHoldsTheRun(t *testing.T) {
	chat := smallChat()
	require.NoError(t, scenarios.Set(chat, "loss", "5%"))
	require.NoError(t, scenarios.ChooseFaults(chat, "heavy", 5))
	added, err := sim.ParseSchedule("pause(edge-1)@3s for 100ms")
	require.NoError(t, err)
	report, _ := scenarios.Execute(t, chat, "", sim.Config{Seed: 5, Faults: added})
	c, err := scenarios.NewCapsule(chat, "", 5, added)
	require.NoError(t, err)
	c.Judge(report)
	require.Empty(t, c.Property)

	var stored bytes.Buffer
	require.NoError(t, c.Write(&stored))
	again, err := scenarios.ReadCapsule(&stored)
	require.NoError(t, err)
	require.Equal(t, c.Command(), again.Command())
	require.Contains(t, c.Command(), "run chat --seed 5 --set clients=20")
	repeated, _, err := again.Run(t, sim.Config{})
	require.NoError(t, err)
	require.Equal(t, report.TraceHash, repeated.TraceHash)
}

// Goal: whatever is in the file, there is an error or a capsule that can be built and written.
func FuzzReadCapsule(f *testing.F) {
	f.Add([]byte(`{"version": 1, "scenario": "chat", "seed": 3, "params": {"clients": "5"}, "faults": "crash(edge-1)@5s for 3s"}`))
	f.Add([]byte(`{"version": 1, "scenario": "fidelity", "mutant": "x", "added": "heal()@1s"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := scenarios.ReadCapsule(bytes.NewReader(data))
		if err != nil {
			return
		}
		var stored bytes.Buffer
		require.NoError(t, c.Write(&stored))
		again, err := scenarios.ReadCapsule(&stored)
		require.NoError(t, err)
		require.Equal(t, c.Command(), again.Command())
	})
}

package scenarios_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// Goal: a broker's network card is a queue as the closed form has it, with one broker and another, and too much load
// delays messages without bound; the run reproduces itself.
// Method: each load for a few seconds; what the table says is read back.
func TestBrokerLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of messages")
	}
	for i, strategy := range []string{"redis-streams", "nats"} {
		t.Run(strategy, func(t *testing.T) {
			l := scenarios.NewBrokerLoad()
			l.Hop2, l.Each, l.Edges, l.Uplink = strategy, 10*time.Second, 2, 1.6
			cfg := sim.Config{Seed: 8, Repeat: 1}
			if i == 0 {
				cfg.Repeat = 2
			}
			report, res := scenarios.Execute(t, l, "", cfg)
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Contains(t, report.Verdicts[len(report.Verdicts)-1].Detail, "9 loads, their mean latencies within ")
			require.Len(t, report.Tables, 1)
			rows := report.Tables[0].Rows
			require.Len(t, rows, 10)
			cell := func(row, column int) time.Duration {
				d, err := time.ParseDuration(strings.ReplaceAll(rows[row][column], " ", ""))
				require.NoError(t, err)
				return d
			}
			mean := func(row int) time.Duration { return cell(row, 3) }
			for row := range 9 {
				within := 0.06
				if strategy == "nats" { // whose messages share no packets
					within = 0.015
				}
				require.InEpsilon(t, cell(row, 4), mean(row), within, rows[row])
			}
			require.Greater(t, mean(8), 2*mean(0), "a card that is nearly full")
			require.Greater(t, mean(9), 300*time.Millisecond, "more than it can take")
			require.Equal(t, "without bound", rows[9][5])
			figures := l.Figures(res.History)
			require.Len(t, figures, 1)
			require.Empty(t, figures[0].Figure.Problem())
			require.NoError(t, figures[0].Figure.WriteSVG(io.Discard))
		})
	}
	empty := scenarios.NewBrokerLoad()
	require.Empty(t, empty.Tables(&model.History{}))
	require.NotEmpty(t, empty.Figures(&model.History{})[0].Figure.Problem())
}

// Goal: a card that is slower than its rate is noticed, and a queue that has no room for what waits is not judged.
func TestBrokerLoadMutant(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of messages")
	}
	l := scenarios.NewBrokerLoad()
	l.Each, l.Edges, l.Uplink = 10*time.Second, 2, 1.6
	m := l.Mutants()[0]
	require.NoError(t, l.Mutate(m.Name))
	report, res := scenarios.Execute(t, l, m.Name, sim.Config{Seed: 3})
	require.Equal(t, model.Illegal, report.Outcome())
	require.Equal(t, model.Illegal, l.ClosedForm().Check(res.History).Outcome)
	l.Queue = time.Millisecond
	v := l.ClosedForm().Check(res.History)
	require.Equal(t, model.Unknown, v.Outcome)
	require.Equal(t, "too little to judge: 0 loads that the card's queue has room for; it takes 3", v.Detail)
}

package scenarios

import (
	"fmt"
	"slices"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/sim/hop2"
)

// Figures implements [Illustrator].
func (b *Brokers) Figures(h *model.History) []plots.Named {
	p := plots.StrategyPlot{Subtitle: b.subtitle(), Limit: mostAdded, Outage: b.recovers()}
	for _, strategy := range b.strategies() {
		tally := b.tally(h, strategy)
		if len(tally.undisturbed) == 0 {
			continue
		}
		d, used, n := distribution(tally.undisturbed), b.used[strategy], float64(max(tally.published, 1))
		p.Rows = append(p.Rows, plots.StrategyRow{
			Name: strategy, Median: d.Quantile(0.5), P99: d.Quantile(0.99),
			Bytes: float64(used.Bytes()) / n, Packets: float64(used.PacketsSent+used.PacketsReceived) / n,
			Back: tally.recovered, Lost: tally.missing > 0,
		})
	}
	return []plots.Named{{Name: "brokers", Figure: plots.Strategies(p)}}
}

// recovers tells whether the fault is one that all recover from when it ends.
func (b *Brokers) recovers() bool { return b.Fault == faultRestart || b.Fault == faultPartition }

// subtitle says what was simulated.
func (b *Brokers) subtitle() string {
	s := fmt.Sprintf("%d publishers; a message of %d bytes goes to %d edges", b.Publishers, b.Body, b.Edges)
	if slices.Contains(b.strategies(), hop2.RingName) {
		s += ", by ring to one of them"
	}
	switch b.Fault {
	case faultRestart:
		s += fmt.Sprintf(". The broker is away for %v", b.Outage)
	case faultPartition:
		s += fmt.Sprintf(". The broker is cut off for %v", b.Outage)
	}
	return s
}

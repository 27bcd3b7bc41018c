package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim/kernel"
	"github.com/twohop/twohop/plots"
)

// KernelTolerance is how far a quantile of the simulation may be off the kernel's before LikeKernel objects.
const KernelTolerance = 0.10

// fidelityQuantiles are those that are compared.
var fidelityQuantiles = []float64{0.50, 0.90, 0.95, 0.99}

// What LikeKernel takes to judge: runs to estimate from how much chance there is in a quantile, and runs so
// long that they are like the measured ones, which do not only consist of their beginning.
const (
	enoughRuns     = 5
	enoughMessages = 1000
)

// LikeKernel is the property that messages take as long as with a real kernel: the median and the 90th, 95th
// and 99th percentile of their latency are within [KernelTolerance] of those of all that was measured
// ([kernel.Reference]).
//
// Formally: let F(t) be the fraction of all messages that took at most t, and e(t) its standard error, from
// how the fractions of the single connections differ. For each percentile p, with a and b as its bounds,
// F(b) ≥ p - 3·e(b) and F(a-1ns) ≤ p + 3·e(a-1ns). So it is rejected if chance cannot explain it: losses make
// messages late in groups, and the share of late ones differs from connection to connection.
//
// It is part of this scenario and not of package properties because it is a statement about this
// experiment: it depends on parameters that a history does not tell, and on measurements.
//
// It can only judge what was measured. With other parameters, fewer than 5 runs, or runs of fewer than 1,000
// messages, it is Ok and says that there is nothing to compare with. It does not cover fetches: the time
// that a megabyte takes at 1 % loss varies so much that the measured ten do not pin it down.
func (f *Fidelity) LikeKernel() model.Property { return likeKernel{*f} }

type likeKernel struct{ f Fidelity }

// Name implements [model.Property].
func (likeKernel) Name() string { return "LikeKernel" }

// Check implements [model.Property].
func (k likeKernel) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: k.Name(), Outcome: model.Unknown}
	if err := model.WellFormed(h); err != nil {
		v.Detail = "malformed history: " + err.Error()
		return v
	}
	reference, err := kernel.Reference(k.f.Loss, k.f.Congestion)
	switch {
	case !k.f.measured(), errors.Is(err, kernel.ErrNotMeasured):
		v.Outcome, v.Detail = model.Ok, "no measurement at these parameters"
	case err != nil:
		v.Detail = err.Error()
	case k.f.Runs < enoughRuns || k.f.Messages < enoughMessages:
		v.Outcome = model.Ok
		v.Detail = fmt.Sprintf("too little to compare: it takes %d runs of %d messages", enoughRuns, enoughMessages)
	default:
		k.compare(&v, h, reference.Times)
	}
	return v
}

// compare holds the messages of a history against the kernel's.
func (k likeKernel) compare(v *model.Verdict, h *model.History, reference kernel.Distribution) {
	runs := k.f.messages(h)
	all := kernel.Pool(runs...)
	if sent := k.f.Runs * k.f.Messages; !h.Complete() || len(all) != sent {
		v.Detail = fmt.Sprintf("it cannot be judged yet: %d of %d messages have arrived", len(all), sent)
		return
	}
	var differences []string
	for _, p := range fidelityQuantiles {
		got, want := all.Quantile(p), reference.Quantile(p)
		least := time.Duration(float64(want) * (1 - KernelTolerance))
		most := time.Duration(float64(want) * (1 + KernelTolerance))
		late, lateError := share(runs, most)
		early, earlyError := share(runs, least-1)
		if 1-late < p-3*lateError || 1-early > p+3*earlyError {
			v.Outcome, v.Step = model.Illegal, h.Events[len(h.Events)-1].Step
			v.Detail = fmt.Sprintf("p%.0f of %d messages is %v, and %v with a real kernel; allowed are %v to %v", 100*p, len(all), got, want, least, most)
			return
		}
		differences = append(differences, fmt.Sprintf("p%.0f %.1f ms (%+.1f %%)", 100*p, inMillis(got), 100*(float64(got)/float64(want)-1)))
	}
	v.Outcome, v.Detail = model.Ok, "relative to a real kernel: "+strings.Join(differences, ", ")
}

// share is the fraction of messages that took longer than t, and the standard error of that by how the runs,
// which are equally long, differ.
func share(runs []kernel.Distribution, t time.Duration) (mean, stdErr float64) {
	shares := make([]float64, len(runs))
	for i, r := range runs {
		shares[i] = r.Later(t)
	}
	mean, stdDev := stat.MeanStdDev(shares, nil)
	return mean, stat.StdErr(stdDev, float64(len(runs)))
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measured reports whether the messages are those that were measured, loss and congestion control aside.
func (f *Fidelity) measured() bool {
	return f.Latency == kernel.Latency && f.Size == kernel.MessageSize && f.Interval == kernel.MessageInterval
}

// messages gives the latencies of the messages of each connection, without the fetches.
func (f *Fidelity) messages(h *model.History) []kernel.Distribution {
	byRoom := make(map[string]kernel.Distribution)
	for _, l := range model.Latencies(h) {
		if l.Transport == f.label() {
			byRoom[l.Room] = append(byRoom[l.Room], l.Value())
		}
	}
	var runs []kernel.Distribution
	for _, room := range slices.Sorted(maps.Keys(byRoom)) {
		slices.Sort(byRoom[room])
		runs = append(runs, byRoom[room])
	}
	return runs
}

// Figures implements [Illustrator]: the latencies of messages over those of the kernel, if they were
// measured.
func (f *Fidelity) Figures(h *model.History) []plots.Named {
	reference, err := kernel.Reference(f.Loss, f.Congestion)
	if !f.measured() || err != nil {
		return nil // LikeKernel says so
	}
	c := plots.Comparison{
		Subtitle: fmt.Sprintf("%d B every %g ms over TCP (%s), %g ms each way, %g %% of packets lost each way",
			f.Size, inMillis(f.Interval), f.Congestion, inMillis(f.Latency), 100*f.Loss),
		Simulated: kernel.Pool(f.messages(h)...),
		Name:      "Linux 6.18",
		Noise:     kernel.Noise,
		Quantiles: slices.Clone(fidelityQuantiles),
		Pooled:    reference.Times,
		Runs:      reference.Runs,
	}
	for _, r := range reference.Single {
		c.Measured = append(c.Measured, r)
	}
	return []plots.Named{{Name: "fidelity", Figure: plots.Fidelity(c)}}
}

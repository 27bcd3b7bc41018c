package scenarios_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim/kernel"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// fidelityAt is the measured workload under a condition, as often as tests take it.
func fidelityAt(c kernel.Condition) *scenarios.Fidelity {
	f := scenarios.NewFidelity()
	f.Loss, f.Congestion = c.Loss, c.Congestion
	f.Runs, f.Fetches = 30, 30
	return f
}

// Goal: programs on the simulated network see what they would see on a real kernel.
// Method: 30 connections of 3,000 messages and 30 fetches of each kind, in one world, against what was
// measured: quantiles of latency (by LikeKernel), the share of late messages, and the times of fetches.
func TestFidelity(t *testing.T) {
	if testing.Short() {
		t.Skip("some minutes of virtual time")
	}
	for _, c := range kernel.Measured() {
		t.Run(c.String(), func(t *testing.T) {
			f := fidelityAt(c)
			var sys *scenarios.FidelitySystem
			res := sim.Run(t, configured(f), func(w *sim.World) error {
				sys = f.Build(w)
				for !sys.Done() && w.Now() < f.Length()+10*time.Minute {
					w.RunFor(time.Second)
				}
				w.Check(f.Properties()...)
				return nil
			})
			require.True(t, res.Ok(), "%s", res.Banner(nil, ""))
			compareLate(t, c, f, res.History)
			compareFetches(t, c, sys)
		})
	}
}

func configured(f *scenarios.Fidelity) sim.Config {
	cfg := sim.Config{Seed: 1, DropTrace: true}
	f.Configure(&cfg)
	return cfg
}

func compareLate(t *testing.T, c kernel.Condition, f *scenarios.Fidelity, h *model.History) {
	runs, err := kernel.Messages(c.Loss, c.Congestion)
	require.NoError(t, err)
	var simulated kernel.Distribution
	for _, d := range model.Distributions(model.Latencies(h)) {
		if d.Transport == "tcp "+c.Congestion {
			simulated = d.Sorted
		}
	}
	require.Len(t, simulated, f.Runs*f.Messages)
	const late = 60 * time.Millisecond
	least, most := 1.0, 0.0
	for _, r := range runs {
		least, most = min(least, r.Later(late)), max(most, r.Later(late))
	}
	if c.Loss == 0 {
		least = 0 // what was late without loss was the measurement
	}
	slack := (most - least) / 5
	t.Logf("later than %v: %.2f %%, kernel %.2f to %.2f %%", late, 100*simulated.Later(late), 100*least, 100*most)
	require.GreaterOrEqual(t, simulated.Later(late), least-slack)
	require.LessOrEqual(t, simulated.Later(late), most+slack)
}

func compareFetches(t *testing.T, c kernel.Condition, sys *scenarios.FidelitySystem) {
	small, large, err := kernel.Fetches(c.Loss, c.Congestion)
	require.NoError(t, err)
	for size, measured := range map[int][]kernel.Fetch{kernel.SmallSize: small, kernel.LargeSize: large} {
		times := func(of func(kernel.Fetch) time.Duration) (got, want kernel.Distribution) {
			return kernel.Times(sys.Fetches(size), of), kernel.Times(measured, of)
		}
		got, want := times(func(f kernel.Fetch) time.Duration { return f.Connect })
		require.InEpsilon(t, want.Median(), got.Median(), 0.02, "connect, %d B", size)
		got, want = times(func(f kernel.Fetch) time.Duration { return f.FirstByte })
		require.InEpsilon(t, want.Median(), got.Median(), 0.02, "first byte, %d B", size)
		got, want = times(func(f kernel.Fetch) time.Duration { return f.Total })
		t.Logf("%d B: quartiles %v, %v, %v; kernel %v", size, got.Quantile(0.25), got.Median(), got.Quantile(0.75), want.Median())
		if size == kernel.SmallSize || c.Loss == 0 {
			require.InEpsilon(t, want.Median(), got.Median(), 0.10, "%d B", size)
			continue
		}
		require.LessOrEqual(t, got.Quantile(0.25), want.Median(), "the kernel's median of %d B is below the quartiles", size)
		require.GreaterOrEqual(t, got.Quantile(0.75), want.Median(), "the kernel's median of %d B is above the quartiles", size)
	}
}

// Goal: each mutant is caught by LikeKernel, under every condition in which it shows, and by nothing else.
func TestFidelityMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred thousand messages")
	}
	for _, m := range scenarios.NewFidelity().Mutants() {
		for _, c := range kernel.Measured() {
			if m.Name == "no-sack" && c.Loss == 0 {
				continue // where nothing is lost, nothing is recovered
			}
			t.Run(m.Name+" "+c.String(), func(t *testing.T) {
				for seed := range uint64(3) {
					f := fidelityAt(c)
					f.Runs, f.Messages, f.Fetches = 5, 1000, 2
					require.NoError(t, f.Mutate(m.Name))
					report, res := scenarios.Execute(t, f, m.Name, sim.Config{Seed: seed, DropTrace: true})
					require.NoError(t, res.Err)
					for _, v := range report.Verdicts {
						want := model.Ok
						if v.Property == m.Catcher {
							want = model.Illegal
							require.Contains(t, v.Detail, "with a real kernel; allowed are")
							require.NotZero(t, v.Step)
						}
						require.Equal(t, want, v.Outcome, "seed %d: %v", seed, v)
					}
				}
			})
		}
	}
}

// Goal: LikeKernel judges what was measured and nothing else, and never by half a history.
func TestLikeKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("thirty seeds")
	}
	verdict := func(change func(*scenarios.Fidelity)) model.Verdict {
		f := scenarios.NewFidelity()
		f.Runs, f.Messages, f.Fetches = 5, 1000, 1
		change(f)
		require.NoError(t, f.Validate())
		report, res := scenarios.Execute(t, f, "", sim.Config{Seed: 4, DropTrace: true})
		require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
		require.Equal(t, "LikeKernel", report.Verdicts[3].Property)
		return report.Verdicts[3]
	}
	require.Contains(t, verdict(func(*scenarios.Fidelity) {}).Detail, "relative to a real kernel: p50 50.0 ms (-0.3 %)")
	const unmeasured = "no measurement at these parameters"
	for _, change := range []func(*scenarios.Fidelity){
		func(f *scenarios.Fidelity) { f.Loss = 0.025 },
		func(f *scenarios.Fidelity) { f.Latency = 60 * time.Millisecond },
		func(f *scenarios.Fidelity) { f.Size = 300 },
		func(f *scenarios.Fidelity) { f.Interval = 10 * time.Millisecond },
		func(f *scenarios.Fidelity) { f.Loss, f.Congestion = 0, "reno" },
	} {
		require.Equal(t, unmeasured, verdict(change).Detail)
	}
	for _, change := range []func(*scenarios.Fidelity){
		func(f *scenarios.Fidelity) { f.Runs = 4 },
		func(f *scenarios.Fidelity) { f.Messages = 999 },
	} {
		require.Equal(t, "too little to compare: it takes 5 runs of 1000 messages", verdict(change).Detail)
	}

	p := scenarios.NewFidelity().LikeKernel()
	require.Equal(t, model.Unknown, p.Check(nil).Outcome)
	require.Contains(t, p.Check(nil).Detail, "malformed history: no history")
	ended := &model.History{Events: []model.Event{{Step: 1, Kind: model.RunEnd}}}
	require.Equal(t, model.Unknown, p.Check(ended).Outcome)
	require.Contains(t, p.Check(ended).Detail, "it cannot be judged yet: 0 of 30000 messages have arrived")
}

// Goal: the comparison is drawn where there is one, from the run's own messages.
func TestFidelityFigure(t *testing.T) {
	f := scenarios.NewFidelity()
	f.Runs, f.Messages, f.Fetches = 5, 1000, 1
	_, res := scenarios.Execute(t, f, "", sim.Config{Seed: 1, DropTrace: true})
	figures := scenarios.Illustrator(f).Figures(res.History)
	require.Len(t, figures, 1)
	require.Equal(t, "fidelity", figures[0].Name)
	require.Empty(t, figures[0].Figure.Problem())
	require.Regexp(t, `^Simulated latency is within \d+ % of Linux 6\.18 at the median, p90, p95 and p99$`, figures[0].Figure.Title())
	require.NotEmpty(t, f.Figures(&model.History{})[0].Figure.Problem(), "a history without messages")
	f.Loss = 0.025
	require.Empty(t, f.Figures(res.History))
}

// Goal: the same seed gives the same run, and every connection has luck of its own.
func TestFidelityReproduces(t *testing.T) {
	f := scenarios.NewFidelity()
	f.Runs, f.Messages, f.Fetches = 3, 300, 2
	cfg := configured(f)
	cfg.Repeat = 3
	res := sim.Run(t, cfg, f.Run)
	require.True(t, res.Ok(), "%s", res.Banner(nil, ""))
	times := make(map[string][]time.Duration)
	for _, l := range model.Latencies(res.History) {
		times[l.Room] = append(times[l.Room], l.Value())
	}
	require.Len(t, times, 3+2*2)
	require.NotEqual(t, times["run-1"], times["run-2"])
	require.NotEqual(t, times["run-2"], times["run-3"])
}

// Goal: extreme parameters run, or are refused with what is allowed.
func TestFidelityParameters(t *testing.T) {
	for name, change := range map[string]func(*scenarios.Fidelity){
		"smallest": func(f *scenarios.Fidelity) { f.Runs, f.Messages, f.Size, f.Fetches = 1, 1, 8, 0 },
		"instant":  func(f *scenarios.Fidelity) { f.Latency, f.Runs, f.Messages = 0, 2, 50 },
		"lossy":    func(f *scenarios.Fidelity) { f.Loss, f.Runs, f.Messages, f.Fetches = 0.2, 2, 50, 1 },
		"blocked":  func(f *scenarios.Fidelity) { f.Size, f.Interval, f.Runs, f.Messages = 65536, time.Millisecond, 1, 50 },
	} {
		t.Run(name, func(t *testing.T) {
			f := scenarios.NewFidelity()
			f.Fetches = 1
			change(f)
			require.NoError(t, f.Validate())
			report, res := scenarios.Execute(t, f, "", sim.Config{Seed: 2})
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))
			require.Equal(t, f.Runs*f.Messages+2*f.Fetches, report.Delivered)
		})
	}
	f := scenarios.NewFidelity()
	require.ErrorContains(t, scenarios.Set(f, "size", "7"), `parameter size: "7" is not allowed: want a whole number, 8 to 65536`)
	f.Runs, f.Messages = 1000, 100000
	require.ErrorContains(t, f.Validate(), "parameter messages: 100000 is not allowed with 1000 runs: want at most 5000000 in all")
}

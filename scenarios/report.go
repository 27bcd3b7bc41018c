package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/plots"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
)

// Report sums up a run. As JSON it is what "twohop run --json" prints.
type Report struct {
	Scenario string         `json:"scenario"`
	Seed     uint64         `json:"seed"`
	Mutant   string         `json:"mutant,omitempty"`
	Params   map[string]any `json:"params"`

	TraceHash string `json:"trace_hash"`
	Steps     uint64 `json:"steps"`
	// Runs is how often the run was made with the same trace hash, or, if it is Inexact, the same outcome.
	Runs     int     `json:"runs"`
	Inexact  bool    `json:"inexact,omitempty"`
	VirtualS float64 `json:"virtual_s"`
	WallS    float64 `json:"wall_s"`
	// Partial says that the run was interrupted.
	Partial bool `json:"partial,omitempty"`

	// Published counts messages that publishers know to be in a log, Delivered what clients got.
	Published int `json:"published"`
	Delivered int `json:"delivered"`
	// Reconnects counts connections after a client's first, Resumed those of them that went on from
	// its cursor, and Discontinuities the gaps that clients were told of.
	Reconnects      int `json:"reconnects"`
	Resumed         int `json:"resumed"`
	Discontinuities int `json:"discontinuities"`

	// LatencyMS is the time from the call to publish until delivery, per transport.
	LatencyMS map[string]Quantiles `json:"latency_ms"`
	// Metrics is what each transport cost and did.
	Metrics map[string]*Metrics `json:"metrics"`
	// Tables are those of the scenario itself, and Warnings what it finds odd about its parameters.
	Tables   []Table         `json:"tables,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Faults   []FaultReport   `json:"faults"`
	Verdicts []model.Verdict `json:"verdicts"`
	// Error says why the run failed, if it did other than by a property.
	Error string `json:"error,omitempty"`
	// Parts are the reports of the scenario's parts; see [Composite].
	Parts []*Report `json:"parts,omitempty"`

	err      error
	scenario Scenario
	result   *sim.Result
}

// Quantiles sums up a distribution, in milliseconds.
type Quantiles struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// FaultReport is a fault that befell the run. Times are in seconds of virtual time; UntilS is
// 0 if nothing ended the fault.
type FaultReport struct {
	Fault  string  `json:"fault"`
	AtS    float64 `json:"at_s"`
	UntilS float64 `json:"until_s,omitempty"`
	Bites  int     `json:"bites"`
}

// Execute runs a scenario and sums it up. The mutant, if any, has been chosen before; mutant is its
// name for the report. The run is judged by further properties besides the scenario's own. The parts of a [Composite] run after it, unless it failed or was interrupted.
func Execute(t *testing.T, s Scenario, mutant string, cfg sim.Config, besides ...model.Property) (*Report, *sim.Result) {
	ofPart := cfg
	s.Configure(&cfg)
	if s, ok := s.(Inexact); ok {
		cfg.Outcome = s.Outcome()
	}
	res := sim.Run(t, cfg, s.Run)
	if len(besides) > 0 {
		res.Verdicts = append(res.Verdicts, properties.Check(res.History, besides...)...)
	}
	r := report(s, mutant, &cfg, res)
	if c, ok := s.(Composite); ok && res.Err == nil && !res.Partial {
		ofPart.Capture, ofPart.Progress = nil, nil // those are of the whole
		for _, part := range c.Parts() {
			p, _ := Execute(t, part, "", ofPart)
			r.Parts = append(r.Parts, p)
		}
	}
	if m, ok := s.(measured); ok && res.Err == nil && !res.Partial {
		m.measure(t, r)
	}
	return r, res
}

// measured is a scenario that measures what depends on the machine, too, once its run is over.
type measured interface {
	measure(t *testing.T, r *Report)
}

// Result is the run that the report sums up.
func (r *Report) Result() *sim.Result { return r.result }

// Figures draws what the run and its parts show besides what every history does.
func (r *Report) Figures() []plots.Named {
	return append(r.wireFigure(), r.ownFigures()...)
}

// ownFigures are those of the scenario and its parts.
func (r *Report) ownFigures() []plots.Named {
	var figures []plots.Named
	if s, ok := r.scenario.(Illustrator); ok {
		figures = s.Figures(r.result.History)
	}
	for _, p := range r.Parts {
		figures = append(figures, p.ownFigures()...)
	}
	return figures
}

func report(s Scenario, mutant string, cfg *sim.Config, res *sim.Result) *Report {
	r := &Report{
		Scenario: s.Name(), Seed: res.Seed, Mutant: mutant, Params: make(map[string]any),
		TraceHash: fmt.Sprintf("%016x", res.Trace.Hash()), Steps: res.Trace.Steps(), Runs: max(cfg.Repeat, 1),
		VirtualS: res.Virtual.Seconds(), WallS: res.Wall.Seconds(), Partial: res.Partial, Inexact: cfg.Outcome != nil,
		LatencyMS: latencies(res.History), Metrics: metrics(res), Faults: []FaultReport{}, Verdicts: res.Verdicts,
		err: res.Err, scenario: s, result: res,
	}
	if s, ok := s.(Tabulator); ok {
		r.Tables = s.Tables(res.History)
	}
	if s, ok := s.(Warner); ok {
		r.Warnings = s.Warnings()
	}
	for _, p := range s.Params() {
		r.Params[p.Name] = p.Value.JSON()
	}
	for _, f := range res.Faults {
		if !f.Begun() || f.EndsOthers() {
			continue
		}
		r.Faults = append(r.Faults, FaultReport{f.Fault.String(), f.At.Seconds(), f.Until.Seconds(), f.Bites})
	}
	if r.Verdicts == nil {
		r.Verdicts = []model.Verdict{}
	}
	if res.Err != nil {
		r.Error = res.Err.Error()
	}
	r.count(res.History)
	return r
}

func (r *Report) count(h *model.History) {
	connected := make(map[string]bool)
	for i := range h.Events {
		e := &h.Events[i]
		switch e.Kind {
		case model.PublishOK:
			r.Published++
		case model.Deliver:
			r.Delivered++
		case model.Discontinuity:
			r.Discontinuities++
		case model.Connected:
			if connected[e.Node] {
				r.Reconnects++
			}
			connected[e.Node] = true
			if e.Resumed {
				r.Resumed++
			}
		}
	}
}

func latencies(h *model.History) map[string]Quantiles {
	byTransport := make(map[string][]time.Duration)
	for _, l := range model.Latencies(h) {
		byTransport[l.Transport] = append(byTransport[l.Transport], l.Value())
	}
	quantiles := make(map[string]Quantiles)
	for transport, ds := range byTransport {
		quantiles[transport] = quantilesOf(ds)
	}
	return quantiles
}

// micro rounds milliseconds to whole microseconds.
func micro(ms float64) float64 { return math.Round(ms*1000) / 1000 }

// Outcome is the run's outcome in one word: that of the worst verdict, its parts' included, or Unknown if
// the run failed.
func (r *Report) Outcome() model.Outcome {
	worst := r.own()
	for _, p := range r.Parts {
		switch p.Outcome() {
		case model.Illegal:
			return model.Illegal
		case model.Unknown:
			if worst == model.Ok {
				worst = model.Unknown
			}
		}
	}
	return worst
}

// own is the outcome without the parts.
func (r *Report) own() model.Outcome {
	worst := model.Ok
	if r.err != nil || r.Partial || len(r.Verdicts) == 0 {
		worst = model.Unknown
	}
	for _, v := range r.Verdicts {
		if v.Outcome == model.Illegal {
			return model.Illegal
		}
		if v.Outcome == model.Unknown {
			worst = model.Unknown
		}
	}
	return worst
}

// Diverged reports whether the run failed because it did not reproduce itself.
func (r *Report) Diverged() bool {
	_, ok := errors.AsType[*sim.DivergenceError](r.err)
	return ok
}

// Transports lists the transports that have latencies, in order of name.
func (r *Report) Transports() []string {
	names := make([]string, 0, len(r.LatencyMS))
	for name := range r.LatencyMS {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	return names
}

package sim

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/tcp"
)

// Config says how a world is run. Its zero value is one run with seed 0.
type Config struct {
	// Seed is what all of the run's luck is derived from.
	Seed uint64
	// TCP configures every host's TCP; the zero value is Linux's defaults.
	TCP tcp.Config
	// Fidelity says how closely connections are modelled; the zero value is netsim.TCP.
	Fidelity netsim.Fidelity
	// Faults befall the world besides those that its function asks for.
	Faults Schedule
	// Repeat is how often the run is made; the trace hashes of all must be equal (but see Outcome). 0 means once.
	// Every second run has all processors, and the others have one.
	Repeat int
	// Outcome, if set, is what repetitions must agree on instead of the trace hash: lines that say what came
	// of a run. It is for programs that are known not to be byte-exact, such as WebRTC, and for nothing
	// else. A run without any lines is a failure.
	Outcome func(*model.History) []string
	// DropTrace keeps only the hash of the trace, not its steps. A run that differs from another can
	// then not say where.
	DropTrace bool
	// WallLimit is how long, in wall time, the run may make no progress before it is abandoned: a
	// goroutine spins, or waits for something that virtual time cannot end, such as a mutex. 0 means
	// 30 s.
	WallLimit time.Duration
	// Capture, if set, is where the packets of the run (of the first, if it is repeated) are written to,
	// as pcapng.
	Capture io.Writer
	// Interrupt, when it is closed, ends the run early; what it has found until then is its result.
	// The channel must not have been made inside a bubble.
	Interrupt <-chan struct{}
	// Progress, if set, is called now and then, from outside the bubble, with the number of the
	// repetition, from 0, and the virtual time that has passed in it.
	Progress func(repetition int, now time.Duration)
}

// Result is what came of a run.
type Result struct {
	Seed    uint64
	History *model.History
	Trace   *Trace
	// Trail is what [Node.Trail] was told, in order of Time; the Step of each is the last one of the trace by
	// then.
	Trail  []model.Event
	Faults []*FaultRecord
	// Verdicts are those of the properties that the world's function asked for by World.Check.
	Verdicts []model.Verdict
	// Virtual is how much virtual time the run took, and Wall how much real time.
	Virtual, Wall time.Duration
	// Usage is what each host used of the network, by name.
	Usage map[string]Usage
	// Partial says that the run was interrupted.
	Partial bool
	// Err says why the run failed, if it did: the first error of the world's function, of a node, or of
	// the world itself. A *LeakError, *HangError or *DivergenceError tells those cases.
	Err error

	properties []model.Property // of the verdicts
}

// LeakError says that goroutines did not end when the run was over.
type LeakError struct {
	// Goroutines names them, one each: what it waits for, where, and who started it.
	Goroutines []string
}

func (e *LeakError) Error() string {
	return fmt.Sprintf("sim: %d goroutines have not ended with the run:%s", len(e.Goroutines), list(e.Goroutines))
}

// HangError says that the run stood still in wall time.
type HangError struct {
	At         time.Duration // the virtual time at which it did
	Wall       time.Duration // for how long it was given the chance to go on
	Goroutines []string      // those that kept virtual time from passing
}

func (e *HangError) Error() string {
	return fmt.Sprintf("sim: no progress for %v of wall time at t=%v; virtual time cannot pass while a goroutine runs, or waits for a mutex or for something outside the world:%s",
		e.Wall, e.At, list(e.Goroutines))
}

// DivergenceError says that two runs of one seed went different ways.
type DivergenceError struct {
	Run          int    // the repetition that differed from the first, counting from 2
	Outcome      bool   // outcomes were compared, not traces: First and Other are their first lines that differ
	Hash, Second uint64 // of the first and of that one
	Step         uint64 // the first step that differs; 0 if the traces were not kept
	First, Other string // that step in the first run and in the other
}

func (e *DivergenceError) Error() string {
	if e.Outcome {
		return fmt.Sprintf("sim: not reproducible: the outcome of run %d differs from the first\n    run 1: %s\n    run %d: %s", e.Run, e.First, e.Run, e.Other)
	}
	s := fmt.Sprintf("sim: not reproducible: run 1 has trace hash %016x, run %d has %016x", e.Hash, e.Run, e.Second)
	if e.Step == 0 {
		return s
	}
	return s + fmt.Sprintf("\n  first difference at step %d:\n    run 1: %s\n    run %d: %s", e.Step, e.First, e.Run, e.Other)
}

func list(lines []string) string {
	const most = 20
	var s string
	for i, l := range lines {
		if i == most {
			return s + fmt.Sprintf("\n  … and %d more", len(lines)-most)
		}
		s += "\n  " + l
	}
	return s
}

// Run makes a world and runs f in it, in virtual time, as often as cfg says. It does not fail the
// test t, but reports what came of it; see [Test] for the other way.
//
// A run seeds the randomness of the whole process, and sets how many processors it has, so runs of one process go one
// after the other.
func Run(t *testing.T, cfg Config, f func(*World) error) *Result {
	if cfg.Repeat < 0 {
		wrong := fmt.Errorf("sim: Repeat is %d; want 0 or more", cfg.Repeat)
		f = func(*World) error { return wrong }
	}
	first := runOnce(t, &cfg, 0, f)
	cfg.Capture = nil
	for i := 1; i < cfg.Repeat && first.Err == nil && !first.Partial; i++ {
		next := runOnce(t, &cfg, i, f)
		first.Wall += next.Wall
		if next.Partial {
			break
		}
		if next.Err != nil {
			first.Err = fmt.Errorf("run %d of %d failed, unlike the first: %w", i+1, cfg.Repeat, next.Err)
		} else if err := cfg.compare(first, next, i+1); err != nil {
			first.Err = err
		}
	}
	first.properties = first.checks
	for _, p := range first.checks {
		first.Verdicts = append(first.Verdicts, p.Check(first.History))
	}
	return &first.Result
}

// compare holds a repetition against the first run.
func (cfg *Config) compare(first, next *outcome, run int) error {
	if cfg.Outcome == nil {
		return compare(first.Trace, next.Trace, run)
	}
	return compareOutcomes(cfg.Outcome(first.History), cfg.Outcome(next.History), run)
}

func compareOutcomes(a, b []string, run int) error {
	if len(a) == 0 {
		return errors.New("sim: the run has no outcome that a repetition could be compared with")
	}
	line := func(lines []string, i int) string {
		if i < len(lines) {
			return lines[i]
		}
		return "(nothing)"
	}
	for i := range max(len(a), len(b)) {
		if first, other := line(a, i), line(b, i); first != other {
			return &DivergenceError{Run: run, Outcome: true, First: first, Other: other}
		}
	}
	return nil
}

func compare(a, b *Trace, run int) error {
	if a.Hash() == b.Hash() && a.Steps() == b.Steps() {
		return nil
	}
	e := &DivergenceError{Run: run, Hash: a.Hash(), Second: b.Hash(), Step: a.FirstDifference(b)}
	text := func(t *Trace) string {
		if s, ok := t.At(e.Step); ok {
			return s.String()
		}
		return "(the run is over)"
	}
	e.First, e.Other = text(a), text(b)
	return e
}

// outcome is a Result with the properties that are still to be checked.
type outcome struct {
	Result
	checks []model.Property
}

// runOnce runs f in one bubble, watched from outside: a bubble whose goroutines will not end cannot
// be ended either, only left behind.
func runOnce(t *testing.T, cfg *Config, repetition int, f func(*World) error) *outcome {
	seedProcess(t, cfg.Seed)
	if repetition%2 == 0 {
		// In a run one goroutine at a time does anything: to hand over to another processor, and to look for work on
		// it, costs more than it gains. But what comes of the run must not depend on that.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	began := time.Now()
	b := &bubble{done: make(chan *outcome, 1)}
	go b.run(t, cfg, f)
	out := b.watch(cfg, repetition)
	out.Seed = cfg.Seed
	out.Wall = time.Since(began)
	return out
}

// bubble is a run as seen from outside.
type bubble struct {
	world atomic.Pointer[World]
	id    atomic.Pointer[string] // as it stands in goroutine dumps
	done  chan *outcome
}

// run is everything that happens inside; it reports once on done: when the bubble is gone, or when it
// will not go.
func (b *bubble) run(t *testing.T, cfg *Config, f func(*World) error) {
	var out *outcome
	forever := make(chan struct{}) // outside the bubble: waiting for it is not durable
	defer func() {
		if p := recover(); p != nil && out == nil {
			out = failed(fmt.Errorf("sim: %v", p)) // synctest itself gave up
		}
		b.done <- out
	}()
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t, cfg)
		if err != nil {
			out = failed(err)
			return
		}
		id := bubbleID()
		b.id.Store(&id)
		b.world.Store(w)
		returned := false
		defer func() {
			if !returned {
				w.Fail(errors.New("sim: the world's function ended its goroutine, as t.FailNow does"))
			}
			leaked := w.end()
			o := w.outcome()
			if len(leaked) == 0 {
				out = o
				return
			}
			if o.Err == nil {
				o.Err = &LeakError{leaked}
			}
			b.done <- o
			<-forever // the bubble is frozen: its other goroutines would keep it going for ever
		}()
		w.Plan(cfg.Faults)
		w.Fail(w.call(f))
		returned = true
	})
}

// failed is the outcome of a run that came to nothing.
func failed(err error) *outcome {
	return &outcome{Result: Result{History: &model.History{Partial: true}, Trace: &Trace{}, Err: err}}
}

func (w *World) outcome() *outcome {
	return &outcome{
		Result: Result{
			History: &w.history, Trace: &w.trace, Trail: w.trailed, Faults: w.faults, Virtual: w.virtual, Partial: w.partial, Err: w.err,
			Usage: w.used,
		},
		checks: w.checks,
	}
}

// watch waits for the bubble's report, and makes one itself if the bubble stands still.
func (b *bubble) watch(cfg *Config, repetition int) *outcome {
	limit := cfg.WallLimit
	if limit == 0 {
		limit = 30 * time.Second
	}
	const interval = 50 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	interrupt := cfg.Interrupt
	var lastRounds uint64
	lastProgress := time.Now()
	for {
		select {
		case o := <-b.done:
			return o
		case <-interrupt:
			if w := b.world.Load(); w != nil {
				w.net.Interrupt()
				interrupt = nil
			}
		case now := <-ticker.C:
			w := b.world.Load()
			if w == nil {
				continue
			}
			virtual, rounds := w.net.Progress()
			if rounds != lastRounds {
				lastRounds, lastProgress = rounds, now
			}
			if cfg.Progress != nil {
				cfg.Progress(repetition, virtual)
			}
			if now.Sub(lastProgress) > limit {
				return hung(*b.id.Load(), virtual, limit)
			}
		}
	}
}

// hung reports a bubble that stands still. Its world cannot be looked into: it still belongs to it.
func hung(id string, at, limit time.Duration) *outcome {
	o := failed(&HangError{At: at, Wall: limit, Goroutines: awake(goroutinesOf(id))})
	o.Virtual = at
	return o
}

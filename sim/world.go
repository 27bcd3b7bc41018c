package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
)

// World is one run: a network, the nodes on it, the faults they suffer, and what came of it. Its
// methods are for the function that sim.Test or sim.Run was given, and the goroutine that runs it.
// Programs use their [Node].
//
// Methods that can be misused do not return an error: the run fails with the first one.
type World struct {
	t       *testing.T
	seed    uint64
	net     *netsim.Network
	trace   Trace
	trail   trail
	history model.History
	nodes   map[string]*Node      // by name: the current incarnation
	order   []string              // the nodes' names in order of creation
	clocks  map[string]*hostClock // by node
	scalers map[string]func(by int) error
	groups  []string               // that can be scaled, in the order in which that was said
	disks   map[string]func() bool // how each node's is lost
	faults  []*FaultRecord
	checks  []model.Property
	err     error
	virtual time.Duration // that the run took
	partial bool
	ended   bool
	used    map[string]Usage // by the end of the run
	trailed []model.Event    // by the end of the run

	metersMu sync.Mutex
	meters   map[string]*meter // by host
}

func newWorld(t *testing.T, cfg *Config) (*World, error) {
	w := &World{
		t: t, seed: cfg.Seed, nodes: make(map[string]*Node), meters: make(map[string]*meter),
		clocks: make(map[string]*hostClock), scalers: make(map[string]func(int) error), disks: make(map[string]func() bool),
	}
	w.trace.keep, w.trail.keep = !cfg.DropTrace, !cfg.DropTrace
	var err error
	w.net, err = netsim.New(netsim.Config{Seed: cfg.Seed, TCP: cfg.TCP, Fidelity: cfg.Fidelity, Capture: cfg.Capture, Observe: w.observe})
	return w, err
}

func (w *World) observe(e netsim.Event) {
	if !w.ended {
		w.trace.network(e)
	}
}

// T is the test that the world runs in, for assertions inside the world. It is not for the goroutines
// of nodes.
func (w *World) T() *testing.T { return w.t }

// Seed is what all luck of the run is derived from.
func (w *World) Seed() uint64 { return w.seed }

// Net is the world's network.
func (w *World) Net() *netsim.Network { return w.net }

// Now is the virtual time since the run began.
func (w *World) Now() time.Duration { return w.net.Now() }

// Rand returns a generator of its own for what name says; see [netsim.NewRand].
func (w *World) Rand(name string) *rand.Rand { return netsim.NewRand(w.seed, name) }

// Link sets the link between two sets of hosts, both ways; see [netsim.Network.SetLink].
func (w *World) Link(a, b string, l netsim.Link) { w.Fail(w.net.SetLink(a, b, l)) }

// RunFor lets virtual time pass. If the run is interrupted it returns early, and from then on at once.
func (w *World) RunFor(d time.Duration) {
	if w.err != nil || w.partial {
		return
	}
	err := w.net.RunUntil(w.net.Now() + d)
	if errors.Is(err, netsim.ErrInterrupted) {
		w.partial = true
		return
	}
	w.Fail(err)
}

// Interrupted reports whether the run was interrupted, so that RunFor has no effect any more.
func (w *World) Interrupted() bool { return w.partial }

// Record enters an event in the history in the world's own name. Programs use [Node.Record].
func (w *World) Record(e model.Event) {
	if w.ended {
		return
	}
	e.Time = w.net.Now()
	w.enter(e)
}

// enter gives an event its step.
func (w *World) enter(e model.Event) {
	w.trace.note(e.Time, string(e.Kind), e.Node, describe(&e))
	e.Step = w.trace.Steps()
	w.history.Events = append(w.history.Events, e)
}

// describe is an event's text in the trace.
func describe(e *model.Event) string {
	text := e.Note
	if e.Room != "" {
		text = e.Room
		if e.Seq != 0 {
			text += fmt.Sprintf("#%d", e.Seq)
		}
		if e.ID != "" {
			text += " " + e.ID
		}
		if e.Transport != "" {
			text += " " + e.Transport
		}
		if e.Note != "" {
			text += " (" + e.Note + ")"
		}
	}
	if e.Object != "" {
		text = strings.TrimSpace(fmt.Sprintf("%s %s", e.Object, text))
		if e.Value != 0 || e.Limit != 0 {
			text += fmt.Sprintf(" %d/%d", e.Value, e.Limit)
		}
	}
	switch e.Kind {
	case model.Copy:
		text += " to " + e.Peer
	case model.Announce, model.Commit:
		text += " from " + e.Peer
	}
	return text
}

// Check has properties judge the run's history when it is over.
func (w *World) Check(properties ...model.Property) { w.checks = append(w.checks, properties...) }

// Fail makes the run fail with err, unless err is nil or the run has failed before.
func (w *World) Fail(err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
}

// Failf makes the run fail.
func (w *World) Failf(format string, args ...any) { w.Fail(fmt.Errorf(format, args...)) }

// end ends the run and takes the world down. It returns the goroutines that would not end.
func (w *World) end() (leaked []string) {
	if w.partial {
		w.history.Partial = true
		w.net.Resume()
	}
	w.net.Settle()
	w.virtual = w.net.Now()
	w.used = w.usage()
	w.Record(model.Event{Kind: model.RunEnd})
	w.trace.names = w.hostNames()
	w.ended = true
	w.trailed = w.trail.sorted(&w.trace)
	return w.takeDown()
}

// call runs f, turning a panic into an error.
func (w *World) call(f func(*World) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError("the world's function", p)
		}
	}()
	return f(w)
}

func (w *World) hostNames() []string {
	var names []string
	for _, h := range w.net.Hosts() {
		names = append(names, h.Name())
	}
	return names
}

// How long programs have, in virtual time, to end when the run is over: first of themselves, then
// with all their connections closed, and at last until every timer that a library may have set (such
// as net/http's 90 s for idle connections) has run out.
const (
	endGrace   = time.Second
	closeGrace = time.Second
	timerGrace = 5 * time.Minute
)

var errRunOver = errors.New("sim: the run is over")

func (w *World) takeDown() (leaked []string) {
	defer func() { w.Fail(w.net.CloseCapture()) }() // with the connections' ends, which dissectors wait for
	for _, name := range w.order {
		w.nodes[name].cancel(errRunOver)
	}
	w.pass(endGrace)
	for _, h := range w.net.Hosts() {
		h.CloseAll()
	}
	w.pass(closeGrace)
	if len(bubbleGoroutines()) == 0 {
		return nil
	}
	w.pass(timerGrace)
	return bubbleGoroutines()
}

// pass lets virtual time pass during take-down; an interruption has no say in that.
func (w *World) pass(d time.Duration) {
	end := w.net.Now() + d
	for errors.Is(w.net.RunUntil(end), netsim.ErrInterrupted) {
		w.net.Resume()
	}
}

package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
)

// Fault is something that goes wrong in a world, or gets well again, as a value: [Crash], [Restart],
// [Stop], [Skew], [Scale], [LoseDisk], and all of [netsim.Fault].
type Fault interface {
	// Kind is the fault's name without arguments, such as "crash".
	Kind() string
	// String is the fault as it stands in schedules, such as "crash(edge-1)".
	String() string
}

// nodeFault is a fault of this package.
type nodeFault struct {
	kind, node string
	more       string // further arguments, as they print
	apply      func(w *World, n *Node, bite func()) error
}

func (f nodeFault) Kind() string   { return f.kind }
func (f nodeFault) String() string { return f.kind + "(" + f.node + f.more + ")" }

// Crash takes the power from a node's host: its process and connections are gone without a word to
// the other ends, until [Restart].
func Crash(node string) Fault {
	return nodeFault{kind: "crash", node: node, apply: func(w *World, n *Node, bite func()) error {
		if !n.host.Up() {
			return fmt.Errorf("the host is down already")
		}
		if n.running {
			bite()
		}
		n.crash()
		return nil
	}}
}

func (n *Node) crash() {
	n.setAlive(false)
	n.running = false
	n.cancel(errCrashed)
	n.host.Crash()
}

// Stop tells a node's process to end, by its context; connections that it leaves open when it does
// are closed as a kernel closes them.
func Stop(node string) Fault {
	return nodeFault{kind: "stop", node: node, apply: func(w *World, n *Node, bite func()) error {
		if n.running {
			bite()
		}
		n.cancel(errStopped)
		return nil
	}}
}

// Restart starts a node's program again, after it has booted its host if that has crashed. A process that is
// still running is killed first: its connections are closed as a kernel closes them.
func Restart(node string) Fault {
	return nodeFault{kind: "restart", node: node, apply: func(w *World, n *Node, bite func()) error {
		bite()
		n.setAlive(false)
		if n.running {
			n.running = false
			n.cancel(errKilled)
			n.host.CloseAll()
		}
		n.host.Boot()
		w.boot(n.host, n.program, n.life+1)
		return nil
	}}
}

// FaultRecord is a fault that the world's schedule holds, and what came of it.
type FaultRecord struct {
	// At is when it takes hold, and Until when it was ended by its opposite, in virtual time since the
	// run began; Until is 0 if it was not.
	At, Until time.Duration
	Fault     Fault
	// Bites counts how often the fault changed what would have happened: a partition once for each
	// packet that it swallowed, a crash once if a process died of it.
	Bites int
	begun bool
	ended bool // it did no more than end others
}

// Begun reports whether the run came as far as the fault.
func (r *FaultRecord) Begun() bool { return r.begun }

// EndsOthers reports whether the fault did no more than end earlier ones, as a restart after a crash does.
func (r *FaultRecord) EndsOthers() bool { return r.ended }

// String is the fault with its times, as it stands in a failure's banner.
func (r *FaultRecord) String() string {
	if r.Until > 0 {
		return fmt.Sprintf("%v %v–%v", r.Fault, r.At, r.Until)
	}
	return fmt.Sprintf("%v %v", r.Fault, r.At)
}

// At schedules faults for a virtual time since the run began.
func (w *World) At(at time.Duration, faults ...Fault) {
	for _, f := range faults {
		if at < w.net.Now() {
			w.Failf("sim: %v is scheduled for %v, which has passed; it is %v", f, at, w.net.Now())
			return
		}
		r := &FaultRecord{At: at, Fault: f}
		w.faults = append(w.faults, r)
		w.net.Schedule(at, func() { w.inflict(r) })
	}
}

// Inflict makes faults happen now.
func (w *World) Inflict(faults ...Fault) { w.At(w.net.Now(), faults...) }

// FaultError says that a fault could not happen, most often since it names what the world does not have.
type FaultError struct {
	Fault *FaultRecord
	Err   error
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("sim: %v at %v: %v", e.Fault.Fault, e.Fault.At, e.Err)
}

// Unwrap gives why.
func (e *FaultError) Unwrap() error { return e.Err }

// nodeList offers the names of nodes to whoever misspelt one.
func (w *World) nodeList() string {
	const most = 8
	if len(w.order) > most {
		return fmt.Sprintf("the nodes are %s and %d more", strings.Join(w.order[:most], ", "), len(w.order)-most)
	}
	return "the nodes are " + strings.Join(w.order, ", ")
}

// inflict applies a fault that is due.
func (w *World) inflict(r *FaultRecord) {
	if w.ended {
		return
	}
	r.begun = true
	bite := func() { r.Bites++ }
	var err error
	switch f := r.Fault.(type) {
	case nodeFault:
		n := w.nodes[f.node]
		if n == nil {
			err = fmt.Errorf("there is no node %q; %s", f.node, w.nodeList())
			break
		}
		err = f.apply(w, n, bite)
	case scaleFault:
		err = f.apply(w, bite)
	case netsim.Fault:
		err = f.ApplyTo(w.net, bite)
	default:
		err = fmt.Errorf("%T is neither a fault of sim nor of netsim", f)
	}
	if err != nil {
		w.Fail(&FaultError{r, err})
		return
	}
	if r.ended = w.endOpposites(r); r.ended {
		return
	}
	w.Record(model.Event{Kind: model.FaultBegin, Note: r.Fault.String()})
	if slices.Contains(momentary, r.Fault.Kind()) {
		w.Record(model.Event{Kind: model.FaultEnd, Note: r.Fault.String()})
	}
}

// momentary are the kinds of faults that happen in an instant. A history that had them go on to the end would
// excuse the system for the rest of the run.
var momentary = []string{"ipchange", "rebind", "restart", "heal", "nic-up"}

// endOpposites notes the end of the faults that this one undoes. It reports whether there were any.
func (w *World) endOpposites(end *FaultRecord) bool {
	found := false
	for _, r := range w.faults {
		if r != end && r.begun && r.Until == 0 && undoes(end.Fault, r.Fault) {
			r.Until = end.At
			w.Record(model.Event{Kind: model.FaultEnd, Note: r.Fault.String()})
			found = true
		}
	}
	return found
}

// undoes reports whether a fault ends an earlier one.
func undoes(end, earlier Fault) bool {
	switch end := end.(type) {
	case nodeFault:
		n, ok := earlier.(nodeFault)
		return ok && n.node == end.node && (end.kind == "restart" && (n.kind == "crash" || n.kind == "stop" || n.kind == "disk-lose") ||
			end.kind == "skew" && n.kind == "skew")
	case scaleFault:
		s, ok := earlier.(scaleFault)
		return ok && s.group == end.group && s.by == -end.by
	case netsim.Fault:
		n, ok := earlier.(netsim.Fault)
		return ok && end.Ends(n)
	}
	return false
}

// MustHaveBitten makes the run fail unless some fault of a kind has changed what would have happened:
// a run in which a fault did nothing is no test of it. Call it after RunFor.
func (w *World) MustHaveBitten(kinds ...string) {
	if w.partial {
		return
	}
	for _, kind := range kinds {
		bites, scheduled := 0, false
		for _, r := range w.faults {
			if r.Fault.Kind() == kind {
				scheduled = true
				bites += r.Bites
			}
		}
		switch {
		case !scheduled:
			w.Failf("sim: no fault of kind %q was scheduled", kind)
		case bites == 0:
			w.Failf("sim: %q did not bite: it changed nothing in this run", kind)
		}
	}
}

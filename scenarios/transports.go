package scenarios

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// Transports compares all transports on one workload, in one run: the chat, whose clients use each of them
// in turn, so that every room has as many of one as of another. Rooms, publishers, network and the crash
// of an edge are the same for all. [NewTransports] gives it its defaults.
//
// Its parts show what sets the polling transports apart: [CallbackGap] and [PollInterval].
type Transports struct {
	// Chat is the workload. Its Transport is "all", or a single one.
	Chat
	// Memory is how many idle connections of each transport are made to measure what they take, in worlds
	// of their own; 0 means that nothing is measured.
	Memory int
}

// NewTransports gives the comparison of the catalogue: 100 clients in 5 rooms.
func NewTransports() *Transports {
	t := &Transports{Chat: *NewChat(), Memory: 200}
	t.Transport, t.Clients, t.Rooms = everyTransport, 100, 5
	return t
}

// Name implements [Scenario].
func (*Transports) Name() string { return "transports" }

// Summary implements [Scenario].
func (*Transports) Summary() string {
	return "all transports on one workload: latency, bytes, handshakes, and how long a crash cuts them off"
}

// Params implements [Scenario]: those of the chat, and its own.
func (t *Transports) Params() []Param {
	params := t.Chat.Params()
	for i := range params {
		if p := &params[i]; p.Name == "transport" {
			p.Help = "what clients use; all is each of them in turn"
			p.Value = choiceValue{&t.Transport, append([]string{everyTransport}, hop1.Transports()...)}
		}
	}
	return append(params, Param{
		"memory", "idle connections of each transport to measure memory with; 0 measures none", intValue{&t.Memory, 0, 10000, "connections"},
	})
}

// Mutants implements [Scenario]: those of clients.
func (*Transports) Mutants() []Mutant { return mutantsOf(clientMutants) }

// Mutate implements [Scenario].
func (t *Transports) Mutate(name string) error { return mutate(t, name, &t.mutant) }

// compared lists the transports that clients use.
func (t *Transports) compared() []string {
	if t.Transport == everyTransport {
		return hop1.Transports()
	}
	return []string{t.Transport}
}

func (t *Transports) compares(transport string) bool {
	return t.Transport == everyTransport || t.Transport == transport
}

// Validate implements [Scenario].
func (t *Transports) Validate() error {
	if all := len(t.compared()); t.Clients < all {
		return fmt.Errorf("parameter clients: %d is not allowed: want at least %d, one for each transport", t.Clients, all)
	}
	return t.Chat.Validate()
}

// Warnings implements [Warner].
func (t *Transports) Warnings() []string {
	if warning := hop1.HoldWarning(t.Hold, t.Idle); warning != "" && t.compares("longpoll") {
		return []string{warning}
	}
	return nil
}

// Parts implements [Composite].
func (t *Transports) Parts() []Scenario {
	var parts []Scenario
	if t.compares("longpoll") {
		parts = append(parts, NewCallbackGap())
	}
	if t.compares("poll") {
		parts = append(parts, NewPollInterval())
	}
	return parts
}

// measure implements measured.
func (t *Transports) measure(tt *testing.T, r *Report) {
	if t.Memory == 0 {
		return
	}
	for _, transport := range t.compared() {
		bytes, err := connectionMemory(tt, transport, t.Memory)
		if err != nil {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the memory of %s was not measured: %v", transport, err))
			continue
		}
		if m := r.Metrics[transport]; m != nil {
			m.MemoryBytes = bytes
		}
	}
}

// memoryRamp is the time from one client's start to the next, while memory is measured.
const memoryRamp = 5 * time.Millisecond

// connectionMemory measures what an idle connection takes: both ends, their goroutines and buffers, and the
// simulated network between them. It depends on the runtime's mood, by some percent.
func connectionMemory(t *testing.T, transport string, connections int) (bytes int, err error) {
	var before, after uint64
	opened := 0
	res := sim.Run(t, sim.Config{Fidelity: netsim.TCP, DropTrace: true}, func(w *sim.World) error {
		l := newLab(w)
		w.RunFor(time.Second)
		before = memoryInUse()
		for i := range connections {
			l.client(fmt.Sprintf("client-%d", i+1), 10*time.Millisecond, time.Duration(i)*memoryRamp, hop1.ClientConfig{Room: "idle", Transport: transport})
		}
		w.RunFor(2*time.Second + time.Duration(connections)*memoryRamp)
		after = memoryInUse()
		opened = l.connected()
		return nil
	})
	switch {
	case res.Err != nil:
		return 0, res.Err
	case opened != connections:
		return 0, fmt.Errorf("%d of %d clients have connected", opened, connections)
	case after < before:
		return 0, fmt.Errorf("the process had %d bytes before, and %d with %d connections", before, after, connections)
	}
	return int(after-before) / connections, nil
}

// memoryInUse is what the process has in use for its heap and its stacks, garbage apart.
func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers have freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
)

// Program is what a node runs. It should return when ctx ends; if it returns before, its node's
// process has ended, and an error makes the run fail. Everything it wants of the world it gets from
// its Node.
type Program func(ctx context.Context, n *Node) error

// Node is a process on a host of its own name, in one of its lives: after a restart the program is
// given a new one. The network as the node sees it dies with it: goroutines that outlive a crash can
// neither dial, nor listen, nor record.
type Node struct {
	w       *World
	host    *netsim.Host
	program Program
	life    int // 1 for the first
	cancel  context.CancelCauseFunc
	clock   *hostClock

	mu      sync.Mutex
	alive   bool
	running bool
	records []model.Event
}

// These are the causes for which a program's context ends.
var (
	errCrashed = errors.New("sim: the node has crashed")
	errStopped = errors.New("sim: the node was told to stop")
	errKilled  = errors.New("sim: the node's process was killed")
)

// Node adds a host with a process on it, which starts now.
func (w *World) Node(name string, program Program) {
	host, err := w.net.NewHost(name)
	if err != nil {
		w.Fail(err)
		return
	}
	w.order = append(w.order, name)
	w.clocks[name] = new(hostClock)
	w.boot(host, program, 1)
}

// boot starts a process. Each host starts at an offset of its own below a microsecond, so that
// periodic timers of different hosts do not fall on the same instant.
func (w *World) boot(host *netsim.Host, program Program, life int) {
	ctx, cancel := context.WithCancelCause(context.Background())
	n := &Node{w: w, host: host, program: program, life: life, cancel: cancel, clock: w.clocks[host.Name()], alive: true, running: true}
	w.nodes[host.Name()] = n
	offset := time.Duration(w.Rand("boot " + host.Name()).Uint64N(uint64(time.Microsecond)))
	w.net.Schedule(w.net.Now()+offset, func() {
		if n.isAlive() {
			go n.run(ctx)
		}
	})
}

func (n *Node) run(ctx context.Context) {
	err := n.call(ctx)
	n.w.net.Submit(n.host, rankExit, func() { n.exited(ctx, err) })
}

// The order in which a host's submissions of one instant are taken.
const (
	rankRecords = iota
	rankExit
)

func (n *Node) call(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError("node "+n.Name(), p)
		}
	}()
	return n.program(ctx, n)
}

func panicError(who string, p any) error {
	return fmt.Errorf("%s panicked: %v\n%s", who, p, debug.Stack())
}

// exited is the end of the process: the kernel closes what it left open.
func (n *Node) exited(ctx context.Context, err error) {
	if !n.isAlive() {
		return // it was not this life that ended
	}
	n.running = false
	if ctx.Err() == nil && err != nil {
		n.w.Fail(fmt.Errorf("node %s: %w", n.Name(), err))
	}
	n.host.CloseAll()
}

func (n *Node) isAlive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.alive
}

func (n *Node) setAlive(alive bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alive = alive
}

// Name is the node's name, which is its host's.
func (n *Node) Name() string { return n.host.Name() }

// Life counts the node's starts: 1 at first, 2 after the first restart.
func (n *Node) Life() int { return n.life }

// Host is the machine that the node runs on. It is for the world's function; the program of a node
// uses the node, which dies with it.
func (n *Node) Host() *netsim.Host { return n.host }

// Now is the virtual time since the run began.
func (n *Node) Now() time.Duration { return n.w.net.Now() }

// Rand returns a generator of the node's own for what purpose says.
func (n *Node) Rand(purpose string) *rand.Rand {
	return n.w.Rand(fmt.Sprintf("node %s/%d: %s", n.Name(), n.life, purpose))
}

// Listen announces on a port of the node's host; see [netsim.Host.Listen].
func (n *Node) Listen(network, address string) (net.Listener, error) {
	if !n.isAlive() {
		return nil, n.dead("listen", network)
	}
	return n.host.Listen(network, address)
}

// Dial connects to another node; see [netsim.Host.Dial].
func (n *Node) Dial(network, address string) (net.Conn, error) {
	return n.DialContext(context.Background(), network, address)
}

// DialContext connects to another node; see [netsim.Host.DialContext].
func (n *Node) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !n.isAlive() {
		return nil, n.dead("dial", network)
	}
	return n.host.DialContext(ctx, network, address)
}

// ListenPacket opens a UDP socket of the node's host; see [netsim.Host.ListenPacket].
func (n *Node) ListenPacket(network, address string) (net.PacketConn, error) {
	if !n.isAlive() {
		return nil, n.dead("listen", network)
	}
	return n.host.ListenPacket(network, address)
}

// LookupHost finds the addresses of a name; see [netsim.Host.LookupHost].
func (n *Node) LookupHost(ctx context.Context, name string) ([]string, error) {
	if !n.isAlive() {
		return nil, n.dead("lookup", "ip4")
	}
	return n.host.LookupHost(ctx, name)
}

// Addr is the address of the node's host.
func (n *Node) Addr() netip.Addr { return n.host.Addr() }

func (n *Node) dead(op, network string) error {
	return &net.OpError{Op: op, Net: network, Err: fmt.Errorf("%s: %w", n.Name(), netsim.ErrHostDown)}
}

// HTTPClient returns a client whose connections start at this node. Each call returns one with a pool
// of connections of its own.
func (n *Node) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.DialContext}}
}

// Record enters an event in the world's history, at this instant. Its Node is the node's name unless
// it is given. What several goroutines of a node record in one instant keeps the order in which they
// did; what different nodes do is ordered by node.
func (n *Node) Record(e model.Event) {
	e.Time = n.w.net.Now()
	if e.Node == "" {
		e.Node = n.Name()
	}
	n.mu.Lock()
	first := len(n.records) == 0
	if n.alive {
		n.records = append(n.records, e)
	}
	n.mu.Unlock()
	if first {
		n.w.net.Note(n.host, rankRecords, n.takeRecords)
	}
}

// takeRecords is the loop's half of Record.
func (n *Node) takeRecords() {
	n.mu.Lock()
	records := n.records
	n.records = nil
	n.mu.Unlock()
	if n.w.ended {
		return
	}
	for i := range records {
		n.w.enter(records[i])
	}
}

package coord

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/twohop/twohop/sim/hop2/disk"
)

// Mutant is a deliberate bug; the zero value is none.
type Mutant string

// ErrLogLost: the node has no memory of what it has acknowledged, as after its disk was replaced. It must not take
// part under its ID again: what it acknowledged before could be undone by those who believe it now. The others
// go on without it, as long as they are a majority.
var ErrLogLost = errors.New("coord: the node has lost its log; a machine that is put in its place needs an ID of its own")

// StaleReads: a node answers reads from what it knows, without asking whether the others know more.
const StaleReads Mutant = "stale-reads"

// Config configures a [Node]. ID, Peers, Disk and Dial are needed.
type Config struct {
	// ID is the node's, 1 to the number of Peers.
	ID int
	// Peers are the addresses at which the nodes listen for each other, in order of ID, this one's included.
	Peers []string
	// Disk is where the node keeps its log, from life to life.
	Disk *disk.Disk
	// Dial makes the connections to peers.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Tick is raft's unit of time: a leader gives a sign of life every Tick, and a node that hears none for
	// ten to twenty ticks calls an election. 0 means 50 ms.
	Tick time.Duration
	// SnapshotEvery is after how many changes the log is cut short. 0 means 1000.
	SnapshotEvery int
	// Mutant is a deliberate bug.
	Mutant Mutant
}

// electionTicks is after how many silent ticks a node calls an election, at least.
const electionTicks = 10

func (c *Config) validate() error {
	if len(c.Peers) == 0 || len(c.Peers) > 9 {
		return fmt.Errorf("coord: Peers: there are %d; want 1 to 9", len(c.Peers))
	}
	if c.ID < 1 || c.ID > len(c.Peers) {
		return fmt.Errorf("coord: ID: %d; want 1 to %d, the number of Peers", c.ID, len(c.Peers))
	}
	if c.Disk == nil || c.Dial == nil {
		return errors.New("coord: Disk and Dial are needed")
	}
	if c.Tick == 0 {
		c.Tick = 50 * time.Millisecond
	}
	if c.Tick < time.Millisecond {
		return fmt.Errorf("coord: Tick: %v; want 0 (meaning 50ms), or 1ms or more", c.Tick)
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 1000
	}
	if c.SnapshotEvery < 1 {
		return fmt.Errorf("coord: SnapshotEvery: %d; want 0 (meaning 1000) or more", c.SnapshotEvery)
	}
	if c.Mutant != "" && c.Mutant != StaleReads {
		return fmt.Errorf("coord: Mutant: %.40q; want none or %q", string(c.Mutant), StaleReads)
	}
	return nil
}

// Node is one replica. One goroutine, run, owns everything but the mailbox.
type Node struct {
	cfg   Config
	mail  mailbox
	peers []*peer // by ID-1; nil for the node itself

	raft     *raft.RawNode
	storage  *storage
	registry *registry
	applied  uint64
	cutAt    uint64 // what was applied when the log was last cut

	waiting  map[string][]*ask // for a change to be applied, by request ID
	reads    map[string]*ask   // for the leader to be confirmed, by request ID
	ready    []read            // confirmed; for changes up to an index to be applied
	watches  []*ask            // for news
	leads    bool
	deadline map[string]time.Time // of each lease, if this node leads
	stats    Stats
}

// read is a read that may be answered when index is applied.
type read struct {
	index uint64
	ask   *ask
}

// ask is a request under way. It is answered once, or not at all.
type ask struct {
	Request
	answer chan Reply // has room for the one answer
}

// Stats is a snapshot of what a [Node] does.
type Stats struct {
	// Leads says whether it thinks that it leads, Term and Leader what it knows of that; Leader is 0 if it
	// knows of none.
	Leads  bool
	Term   uint64
	Leader uint64
	// Applied counts changes, Expired leases that it let expire, Snapshots how often it cut its log.
	Applied, Expired, Snapshots int
}

// Start makes a node of what its disk has. Run must follow.
func Start(cfg Config) (*Node, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, mail: mailbox{wake: make(chan struct{}, 1)}, registry: newRegistry(), peers: make([]*peer, len(cfg.Peers)),
		waiting: map[string][]*ask{}, reads: map[string]*ask{}, deadline: map[string]time.Time{},
	}
	var err error
	if n.storage, err = openStorage(cfg.Disk, len(cfg.Peers)); err != nil {
		return nil, err
	}
	snap, err := n.storage.Snapshot()
	if err != nil {
		return nil, err
	}
	if err := n.registry.restore(snap.GetData()); err != nil {
		return nil, err
	}
	n.applied = snap.GetMetadata().GetIndex()
	n.cutAt = n.applied
	n.raft, err = raft.NewRawNode(&raft.Config{
		ID: uint64(cfg.ID), ElectionTick: electionTicks, HeartbeatTick: 1, Storage: n.storage, Applied: n.applied,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: math.MaxUint64, MaxInflightMsgs: 64,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	if err != nil {
		return nil, fmt.Errorf("coord: %w", err)
	}
	limit := electionTicks * cfg.Tick
	for i, addr := range cfg.Peers {
		if i != cfg.ID-1 {
			n.peers[i] = &peer{addr: addr, dial: cfg.Dial, queue: make(chan []byte, peerQueue), limit: limit, pause: cfg.Tick}
		}
	}
	return n, nil
}

// Run serves until ctx ends, or the disk fails: peers on one listener, clients on another. It closes both,
// and returns when all that it started has ended, with ctx's error or what failed.
func (n *Node) Run(ctx context.Context, peers, clients net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	for _, p := range n.peers {
		if p != nil {
			tasks.Go(func() { p.run(ctx) })
		}
	}
	server := &http.Server{Handler: n.handler(), BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() {
		_ = peers.Close() // nobody has use for the errors
		_ = server.Close()
	})
	defer stop()
	tasks.Go(func() { cancel(n.accept(ctx, peers, &tasks)) })
	tasks.Go(func() { cancel(server.Serve(clients)) })
	cancel(n.loop(ctx))
	tasks.Wait()
	return context.Cause(ctx)
}

// accept takes connections of peers.
func (n *Node) accept(ctx context.Context, l net.Listener, tasks *sync.WaitGroup) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		tasks.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			for {
				m, err := readMessage(conn)
				if err != nil {
					return // the peer dials again
				}
				n.mail.put(letter{message: m})
			}
		})
	}
}

// loop owns the node's state.
func (n *Node) loop(ctx context.Context) error {
	ticker := time.NewTicker(n.cfg.Tick)
	defer ticker.Stop()
	for {
		if err := n.settle(); err != nil {
			return err
		}
		// One at a time: whether the second of two messages that came in one packet is there already is the scheduler's
		// choice, and must make no difference to what is sent.
		for _, l := range n.mail.take() {
			if n.forgot(l.message) {
				return n.lost(ctx)
			}
			n.open(l)
			if err := n.settle(); err != nil {
				return err
			}
		}
		select {
		case <-n.mail.wake:
		case <-ticker.C:
			n.raft.Tick()
			n.expire()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// forgot tells whether a message shows that the node has acknowledged more than it has. A leader's heartbeat says
// only that to be committed which the node has said to be on its disk.
func (n *Node) forgot(m *pb.Message) bool {
	if m == nil || m.GetType() != pb.MsgHeartbeat {
		return false
	}
	last, err := n.storage.LastIndex()
	return err == nil && m.GetCommit() > last
}

// lastWords is how long a node that has lost its log goes on, so that what it has said before it knew that is on its
// way, all of it, whatever its goroutines' turns are.
const lastWords = time.Microsecond

// lost ends a node that has lost its log.
func (n *Node) lost(ctx context.Context) error {
	select {
	case <-time.After(lastWords):
	case <-ctx.Done():
	}
	return ErrLogLost
}

// open reads a letter.
func (n *Node) open(l letter) {
	switch {
	case l.message != nil:
		_ = n.raft.Step(l.message) // what it does not want of a message, it leaves
	case l.stats != nil:
		status := n.raft.BasicStatus()
		s := n.stats
		s.Leads, s.Term, s.Leader = n.leads, status.GetTerm(), status.Lead
		l.stats <- s
	case l.gone != nil:
		n.forget(l.gone)
	default:
		n.begin(l.ask)
	}
}

// begin begins to answer a request.
func (n *Node) begin(a *ask) {
	err := a.check()
	if a.Op == opExpire {
		err = errors.New("expire: that is the leader's to say")
	}
	if err != nil {
		a.answer <- Reply{Error: err.Error()}
		return
	}
	switch {
	case a.Op == opWatch:
		n.watches = append(n.watches, a)
		n.serveWatches()
	case n.cfg.Mutant == StaleReads && !a.Op.writes():
		a.answer <- n.registry.get(&a.Request)
	case !n.leads:
		a.answer <- Reply{Leader: n.raft.BasicStatus().Lead, Error: errNotLeader}
	case a.Op.writes():
		n.waiting[a.ID] = append(n.waiting[a.ID], a)
		n.propose(&a.Request)
	default:
		n.reads[a.ID] = a
		n.raft.ReadIndex([]byte(a.ID))
	}
}

// errNotLeader is the error of a reply that says who leads.
const errNotLeader = "not the leader"

// forget drops a request whose client has gone.
func (n *Node) forget(a *ask) {
	isIt := func(o *ask) bool { return o == a }
	n.watches = slices.DeleteFunc(n.watches, isIt)
	if w := slices.DeleteFunc(n.waiting[a.ID], isIt); len(w) > 0 {
		n.waiting[a.ID] = w
	} else {
		delete(n.waiting, a.ID)
	}
	if n.reads[a.ID] == a {
		delete(n.reads, a.ID)
	}
}

// propose has a change replicated. If raft drops it, its client will ask again.
func (n *Node) propose(r *Request) {
	_ = n.raft.Propose(encode(r))
}

// settle does what raft wants done, in the order that it demands: save, then send, then apply.
func (n *Node) settle() error {
	for n.raft.HasReady() {
		rd := n.raft.Ready()
		if err := n.storage.save(rd); err != nil {
			return fmt.Errorf("coord: node %d: %w", n.cfg.ID, err)
		}
		if err := n.send(rd.Messages); err != nil {
			return err
		}
		if rd.SoftState != nil {
			n.lead(rd.SoftState.RaftState == raft.StateLeader)
		}
		if err := n.advance(rd); err != nil {
			return err
		}
		n.raft.Advance(rd)
	}
	return n.cut()
}

func (n *Node) send(messages []*pb.Message) error {
	for _, m := range messages {
		if err := n.peers[m.GetTo()-1].send(m); err != nil {
			return err
		}
		if m.GetType() == pb.MsgSnap {
			n.raft.ReportSnapshot(m.GetTo(), raft.SnapshotFinish) // if it is lost, raft finds out
		}
	}
	return nil
}

// lead notes whether the node leads. What clients wait for from one that does not any more, they will ask
// another for. Leases start afresh with a new leader.
func (n *Node) lead(leads bool) {
	if leads == n.leads {
		return
	}
	n.leads = leads
	clear(n.deadline)
	if leads {
		for name, l := range n.registry.Leases {
			n.deadline[name] = time.Now().Add(l.TTL)
		}
		return
	}
	for _, id := range slices.Sorted(maps.Keys(n.waiting)) {
		for _, a := range n.waiting[id] {
			a.answer <- Reply{Error: errNotLeader}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(n.reads)) {
		n.reads[id].answer <- Reply{Error: errNotLeader}
	}
	clear(n.waiting)
	clear(n.reads)
}

// advance applies what is committed, and answers what waited for it.
func (n *Node) advance(rd raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := n.registry.restore(rd.Snapshot.GetData()); err != nil {
			return fmt.Errorf("coord: node %d: %w", n.cfg.ID, err)
		}
		n.applied = rd.Snapshot.GetMetadata().GetIndex()
		n.cutAt = n.applied
	}
	for _, e := range rd.CommittedEntries {
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			if err := n.apply(e.GetData()); err != nil {
				return fmt.Errorf("coord: node %d: entry %d: %w", n.cfg.ID, e.GetIndex(), err)
			}
		}
		n.applied = e.GetIndex()
	}
	for _, rs := range rd.ReadStates {
		if a := n.reads[string(rs.RequestCtx)]; a != nil {
			delete(n.reads, a.ID)
			n.ready = append(n.ready, read{rs.Index, a})
		}
	}
	n.ready = slices.DeleteFunc(n.ready, func(r read) bool {
		if r.index > n.applied {
			return false
		}
		r.ask.answer <- n.registry.get(&r.ask.Request)
		return true
	})
	n.serveWatches()
	return nil
}

func (n *Node) apply(data []byte) error {
	r, err := decodeRequest(data)
	if err != nil {
		return err
	}
	reply := n.registry.apply(r)
	n.stats.Applied++
	if n.leads {
		if l, found := n.registry.Leases[r.Lease]; found && r.Op == opGrant {
			n.deadline[r.Lease] = time.Now().Add(l.TTL)
		} else if !found {
			delete(n.deadline, r.Lease)
		}
	}
	for _, a := range n.waiting[r.ID] {
		a.answer <- reply
	}
	delete(n.waiting, r.ID)
	return nil
}

// expire proposes the end of leases that were not renewed in time. The ID makes it happen once.
func (n *Node) expire() {
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(n.deadline)) {
		if now.Before(n.deadline[name]) {
			continue
		}
		renewal := n.registry.Leases[name].Renewal
		n.propose(&Request{ID: fmt.Sprintf("expire %s %d", name, renewal), Op: opExpire, Lease: name, Renewal: renewal})
		n.deadline[name] = now.Add(electionTicks * n.cfg.Tick) // if raft drops it, again then
		n.stats.Expired++
	}
}

// serveWatches answers the watches for which there is something new.
func (n *Node) serveWatches() {
	n.watches = slices.DeleteFunc(n.watches, func(a *ask) bool {
		if !n.registry.newer(a.Key, a.After) {
			return false
		}
		a.answer <- n.registry.get(&Request{ID: a.ID, Op: opList, Key: a.Key})
		return true
	})
}

// cut cuts the log short when it has grown long.
func (n *Node) cut() error {
	if n.applied-n.cutAt < uint64(n.cfg.SnapshotEvery) {
		return nil
	}
	data, err := n.registry.snapshot()
	if err == nil {
		err = n.storage.cut(n.applied, data)
	}
	if err != nil {
		return fmt.Errorf("coord: node %d: cut the log at %d: %w", n.cfg.ID, n.applied, err)
	}
	n.cutAt = n.applied
	n.stats.Snapshots++
	return nil
}

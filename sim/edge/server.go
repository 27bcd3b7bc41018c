package edge

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/twohop/twohop/sim/hop1"
)

// Server is an endpoint server. It is a [hop1.Feed].
type Server struct {
	cfg      Config
	handler  http.Handler
	presence *presence // nil without

	alive context.Context // ends when the server drains
	drain context.CancelFunc
	tasks sync.WaitGroup // rooms, subscriptions and publishes; none begins once the server drains
	idle  chan struct{}  // closed when it drains and all tasks have ended

	mu        sync.Mutex // never held while waiting; taken before a room's, if both are
	draining  bool
	rooms     map[string]*room
	clients   int
	upstreams int
	high      int // greatest lag in rooms that are closed
	held      int // most messages kept for a client there

	slowMu sync.Mutex // taken last
	slow   SlowStats
}

// Stats is a snapshot of what a [Server] does.
type Stats struct {
	// Clients is how many subscriptions are open, Rooms how many rooms, those that linger included.
	Clients, Rooms int
	// Upstreams is how many subscriptions to hop 2 are open: one a room, and one for each client that is
	// being brought up from beyond the cache.
	Upstreams int
	// QueueHigh is how far any client was ever behind, in messages.
	QueueHigh int
	// Slow is what became of slow consumers.
	Slow SlowStats
}

// New makes a server. The error names the field that is wrong.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, rooms: map[string]*room{}, idle: make(chan struct{})}
	streams, err := hop1.Handler(hop1.ServerConfig{
		Feed: s, Name: cfg.Name, Heartbeat: cfg.Heartbeat, IdleTimeout: cfg.IdleTimeout,
		WriteTimeout: cfg.WriteTimeout, Hold: cfg.Hold, WebRTC: cfg.WebRTC,
		RetryHint: cfg.RetryHint, RetrySpread: cfg.RetrySpread, UserTimeout: cfg.UserTimeout,
		Compression: cfg.Compression, Guard: cfg.Guard, Publish: s.publishOver, MaxBody: cfg.MaxBody,
	})
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	gate, err := hop1.NewGate(cfg.Guard, cfg.RetryHint)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /rooms/{room}/messages", gate.Protect(http.HandlerFunc(s.servePublish)))
	mux.HandleFunc("OPTIONS /rooms/{room}/messages", gate.Preflight)
	mux.HandleFunc("GET /health", s.serveHealth)
	if cfg.Presence != nil {
		s.presence = newPresence(s, *cfg.Presence)
		mux.Handle("GET /rooms/{room}/members", gate.Protect(http.HandlerFunc(s.serveMembers)))
		mux.HandleFunc("OPTIONS /rooms/{room}/members", gate.Preflight)
	}
	mux.Handle("/", streams)
	s.handler = hop1.ConfiguredBy(mux, streams)
	s.alive, s.drain = context.WithCancel(context.Background())
	return s, nil
}

// Handler serves subscriptions, as [hop1.Handler] says, with publishing over WebSocket connections, and
//
//	POST /rooms/{room}/messages   a [hop1.PublishRequest] in JSON
//	GET  /health                  200, or 503 if the server drains
//	GET  /rooms/{room}/members    a [MembersReply], with [Presence]
//
// A publish is answered with 200 and a [hop1.PublishReply], with 400 and a sentence if it cannot be
// published, or with 503 and a Retry-After if the broker is out of reach or the server drains. The
// [hop1.Guard] is the same for all but /health.
func (s *Server) Handler() http.Handler { return s.handler }

// Shutdown drains the server: from now on it refuses subscriptions and publishes, and every open
// subscription ends with [hop1.ErrDraining]. It returns when the subscriptions are closed, the publishes
// under way are answered, and all that the server started has ended, or with ctx's error. It can be
// called again. A server that was made and never used needs no Shutdown.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.draining {
		s.draining = true
		for _, rm := range s.rooms {
			rm.stopLinger()
		}
		s.drain()
		go func() { s.tasks.Wait(); close(s.idle) }()
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("edge: still draining, with %d clients: %w", s.Stats().Clients, ctx.Err())
	}
}

// Stats gives a snapshot.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Clients: s.clients, Rooms: len(s.rooms), Upstreams: s.upstreams, QueueHigh: s.high}
	s.countSlow(func(slow *SlowStats) { st.Slow = *slow })
	for _, rm := range s.rooms {
		lag, _ := rm.greatest()
		st.QueueHigh = max(st.QueueHigh, lag)
	}
	return st
}

// begin begins a task, unless the server drains.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.tasks.Add(1)
	return true
}

// enter takes a place in a room, which it opens if need be. leave must follow.
func (s *Server) enter(name string) (*room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, hop1.ErrDraining
	}
	rm := s.rooms[name]
	if rm == nil {
		rm = newRoom(s, name)
		s.rooms[name] = rm
		s.tasks.Go(rm.serve)
	}
	rm.stopLinger()
	rm.places++
	s.clients++
	s.tasks.Add(1)
	return rm, nil
}

// leave gives a place back. The last one who leaves has the room linger.
func (s *Server) leave(rm *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rm.places--
	s.clients--
	s.tasks.Done()
	if rm.places == 0 && !s.draining && s.rooms[rm.name] == rm && s.cfg.Mutant != Zombie {
		rm.linger = time.AfterFunc(s.cfg.Linger, func() { s.expire(rm) })
	}
}

// expire closes a room that nobody came back to.
func (s *Server) expire(rm *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rm.places == 0 {
		s.forgetLocked(rm)
	}
}

// forget closes a room for good: whoever comes next opens another.
func (s *Server) forget(rm *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(rm)
}

func (s *Server) forgetLocked(rm *room) {
	rm.stop()
	if s.rooms[rm.name] == rm {
		delete(s.rooms, rm.name)
		lag, held := rm.greatest()
		s.high, s.held = max(s.high, lag), max(s.held, held)
	}
}

// countUpstream counts subscriptions to hop 2.
func (s *Server) countUpstream(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upstreams += n
}

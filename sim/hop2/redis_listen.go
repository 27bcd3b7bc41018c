package hop2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// listener keeps the pub/sub connection subscribed to the channels of all rooms that somebody reads.
// It is one goroutine, and one more that receives while there is a session.
type listener struct {
	r *Redis
}

// run serves until ctx ends. The first room that is wanted wakes it, in company of those of the same
// instant.
func (l *listener) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		rooms := l.wanted()
		if failures == 0 || len(rooms) == 0 {
			if _, err := l.r.rooms.take(ctx); err != nil {
				return
			}
			rooms = l.wanted()
		}
		if len(rooms) == 0 {
			continue
		}
		s := &session{r: l.r, subscribed: map[string]bool{}, awaiting: map[string]int{}, done: make(chan struct{})}
		err := s.run(ctx, rooms)
		l.r.sessionEnded()
		if ctx.Err() != nil {
			return
		}
		l.r.failure(fmt.Errorf("pub/sub: %w", err))
		if s.confirmed() {
			failures = 0
		}
		failures++
		if l.r.pause(ctx, l.r.cfg.backoff(failures)) != nil {
			return
		}
	}
}

// wanted lists the rooms that have subscriptions, sorted.
func (l *listener) wanted() []string {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return slices.Sorted(maps.Keys(l.r.subs))
}

// sessionEnded takes note that no live messages come any more.
func (r *Redis) sessionEnded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rm := range r.subs {
		if rm.live {
			rm.live, rm.ready = false, make(chan struct{})
		}
	}
}

// commandLimit is how many bytes of commands may wait for the broker to take them: some half a million rooms.
const commandLimit = 64 << 20

// session is one pub/sub connection's life.
type session struct {
	r          *Redis
	ps         *redis.PubSub
	subscribed map[string]bool // rooms, by what was last sent
	done       chan struct{}   // the receiver has ended
	failed     error           // why; to be read once done is closed

	began time.Time
	heard atomic.Int64 // nanoseconds since began

	mu       sync.Mutex
	awaiting map[string]int // room → confirmations of SUBSCRIBE to come
	any      bool           // one has come
}

// run subscribes to the rooms, and keeps the subscriptions in step with what is wanted, until the
// connection fails or ctx ends.
//
// go-redis holds a PubSub's lock while it writes. In virtual time nobody may wait for a lock until the
// network moves, so the connection is one whose writes never block.
func (s *session) run(ctx context.Context, rooms []string) error {
	if err := s.r.pause(ctx, listenApart); err != nil {
		return err
	}
	client, cut, err := s.r.connect(ctx, func(conn net.Conn) net.Conn { return newOutbox(conn, commandLimit) })
	if err != nil {
		return err
	}
	defer cut()
	s.began = time.Now()
	s.ps = client.Subscribe(ctx)
	err = s.subscribe(ctx, rooms)
	if err == nil {
		go s.receive(ctx)
		err = s.attend(ctx)
	} else {
		close(s.done)
	}
	err = errors.Join(err, s.ps.Close(), client.Close())
	<-s.done
	return err
}

// attend follows what is wanted and probes the connection when nothing was heard for a while. What is due at
// one instant is done in a fixed order: rooms, then the probe.
func (s *session) attend(ctx context.Context) error {
	every := s.r.cfg.CheckEvery
	probe := s.began.Add(every)
	t := time.NewTimer(time.Until(probe))
	defer t.Stop()
	for {
		if err := s.follow(ctx, s.r.rooms.grab()); err != nil {
			return err
		}
		if now := time.Now(); !now.Before(probe) {
			heard := s.began.Add(time.Duration(s.heard.Load()))
			if probe = heard.Add(every); !now.Before(probe) {
				if now.Sub(heard) > every+s.r.cfg.Timeout {
					return fmt.Errorf("silent broker: nothing heard for %v", every+s.r.cfg.Timeout)
				}
				if err := s.ps.Ping(ctx); err != nil {
					return err
				}
				probe = now.Add(every)
			}
		}
		next := probe
		if due, ok := s.r.rooms.due(); ok && due.Before(next) {
			next = due
		}
		t.Reset(time.Until(next))
		select {
		case <-t.C:
		case <-s.r.rooms.wake:
		case <-s.done:
			return s.failed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow brings the subscriptions to the rooms that changed in step with what is wanted.
func (s *session) follow(ctx context.Context, changed []string) error {
	slices.Sort(changed)
	var join, leave []string
	for _, room := range slices.Compact(changed) {
		wanted := s.r.isWanted(room)
		switch {
		case wanted && !s.subscribed[room]:
			join = append(join, room)
		case !wanted && s.subscribed[room]:
			leave = append(leave, room)
		case wanted:
			s.confirm(room, 0) // it left and came back before anybody noticed
		}
	}
	return errors.Join(s.subscribe(ctx, join), s.unsubscribe(ctx, leave))
}

func (r *Redis) isWanted(room string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.subs[room] != nil
}

func (s *session) subscribe(ctx context.Context, rooms []string) error {
	if len(rooms) == 0 {
		return nil
	}
	s.mu.Lock()
	for _, room := range rooms {
		s.awaiting[room]++
	}
	s.mu.Unlock()
	for _, room := range rooms {
		s.subscribed[room] = true
	}
	ctx, cancel := context.WithTimeout(ctx, s.r.cfg.Timeout)
	defer cancel()
	return s.ps.Subscribe(ctx, s.channels(rooms)...)
}

func (s *session) unsubscribe(ctx context.Context, rooms []string) error {
	if len(rooms) == 0 {
		return nil // to go-redis it would mean: all
	}
	for _, room := range rooms {
		delete(s.subscribed, room)
	}
	return s.ps.Unsubscribe(ctx, s.channels(rooms)...)
}

func (s *session) channels(rooms []string) []string {
	channels := make([]string, len(rooms))
	for i, room := range rooms {
		channels[i] = s.r.channel(room)
	}
	return channels
}

// receive takes what the broker sends until the connection fails.
func (s *session) receive(ctx context.Context) {
	defer close(s.done)
	for {
		got, err := s.ps.Receive(ctx)
		if err != nil {
			s.failed = err
			return
		}
		s.heard.Store(int64(time.Since(s.began)))
		switch got := got.(type) {
		case *redis.Subscription:
			if got.Kind == "subscribe" {
				s.confirm(s.r.roomOf(got.Channel), 1)
			}
		case *redis.Message:
			s.r.liveMessage(s.r.roomOf(got.Channel), got.Payload)
		}
	}
}

// confirm takes n confirmations of a room's channel. When none is outstanding the room is live. From
// then on nothing is missed, but what was published before may have been.
func (s *session) confirm(room string, n int) {
	s.mu.Lock()
	s.awaiting[room] -= n
	outstanding := s.awaiting[room]
	if outstanding == 0 {
		delete(s.awaiting, room)
	}
	first := n > 0 && !s.any
	s.any = s.any || n > 0
	s.mu.Unlock()

	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if first {
		r.stats.Sessions++
	}
	rm := r.subs[room]
	if rm == nil || rm.live || outstanding > 0 {
		return
	}
	rm.live = true
	close(rm.ready)
	for _, sub := range rm.subs {
		sub.live().suspect()
	}
}

// confirmed tells whether the broker confirmed anything.
func (s *session) confirmed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any
}

// liveMessage hands a live message, or an announced count, to the room's subscriptions. One that cannot
// be read was not written by this package; if it stands for something in the log, the log will tell.
func (r *Redis) liveMessage(room, payload string) {
	item, err := decodeLive(room, payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.subs[room]
	if rm == nil {
		return
	}
	for _, sub := range rm.subs {
		if err != nil {
			sub.live().suspect()
		} else {
			sub.live().push(item)
		}
	}
}

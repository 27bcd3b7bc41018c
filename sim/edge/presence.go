package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// PresenceRoom is the room of hop 2 in which edges tell each other who is where. Edges with [Presence] have no
// such room for clients.
const PresenceRoom = "_presence"

// Presence has an edge know who is in each room, at whichever edge, by the [hop1.Identity] that its Guard's
// Authenticate gives; clients without one are not counted. GET /rooms/{room}/members tells, and
// [Server.Members].
//
// Edges tell each other over hop 2, in [PresenceRoom]: at once who joins and who leaves, and every Beat, as a
// census, all their members, which renews their lease. So a member is seen everywhere within Gather and hop 2's
// delay; one whose last connection ended is gone after Grace and the same delay; the members of an edge that
// crashed are gone Lease after its last census; and what hop 2 loses is made good by the next census. A census
// costs some 20 bytes a member, for each edge that hears it.
type Presence struct {
	// Lease is for how long an edge is believed without a word of it. 0 means 5 s.
	Lease time.Duration
	// Beat is how often an edge takes a census, at most half of Lease. 0 means a third of it.
	Beat time.Duration
	// Grace is how long a member stays after its last connection ended, so that who reconnects, or polls, is
	// not seen to leave. 0 means 2 s, and less than that nothing.
	Grace time.Duration
	// Gather is for how long who joins and leaves is gathered before others are told. 0 means 50 ms.
	Gather time.Duration
	// Mutant is a deliberate bug; the zero value is none.
	Mutant Mutant
}

// PresenceNeverLeaves: nobody is ever taken off the list, neither who disconnects nor who was at an edge that
// crashed.
const PresenceNeverLeaves Mutant = "presence-never-leaves"

// validate checks the configuration and fills in defaults.
func (p *Presence) validate() error {
	for _, f := range []struct {
		name             string
		value            *time.Duration
		byDefault, least time.Duration
	}{
		{"Lease", &p.Lease, 5 * time.Second, 10 * time.Millisecond},
		{"Beat", &p.Beat, p.Lease / 3, time.Millisecond},
		{"Grace", &p.Grace, 2 * time.Second, 0},
		{"Gather", &p.Gather, 50 * time.Millisecond, 0},
	} {
		if f.name == "Beat" {
			f.byDefault = p.Lease / 3
		}
		if *f.value == 0 {
			*f.value = f.byDefault
		}
		if *f.value < f.least {
			return fieldError("Presence."+f.name, *f.value, fmt.Sprintf("0 (meaning %v), or %v or more", f.byDefault, f.least))
		}
	}
	if p.Beat > p.Lease/2 {
		return fieldError("Presence.Beat", p.Beat, "at most half of Lease, "+p.Lease.String())
	}
	if p.Mutant != "" && p.Mutant != PresenceNeverLeaves {
		return fieldError("Presence.Mutant", fmt.Sprintf("%.40q", string(p.Mutant)), fmt.Sprintf("none, or %q", PresenceNeverLeaves))
	}
	return nil
}

// presence keeps a roster up to date. A nil one counts nobody.
type presence struct {
	cfg  Presence
	srv  *Server
	once sync.Once // starts it

	mu      sync.Mutex // never held while waiting; taken last
	roster  *roster
	news    map[place]bool // since others were told: true for who joined
	changed chan struct{}  // has room for one

	told    int           // notices so far; for the telling goroutine only
	hearing chan struct{} // closed when the first subscription to the notices was made, or failed
}

func newPresence(s *Server, cfg Presence) *presence {
	life := strconv.FormatInt(time.Now().UnixNano(), 36)
	return &presence{
		cfg: cfg, srv: s, roster: newRoster(s.cfg.Name, life, cfg.Lease, cfg.Grace, cfg.Mutant),
		news: map[place]bool{}, changed: make(chan struct{}, 1), hearing: make(chan struct{}),
	}
}

// start starts it, unless the server drains.
func (p *presence) start() {
	p.once.Do(func() {
		if p.srv.begin() {
			go func() { defer p.srv.tasks.Done(); p.tell() }()
		}
		if p.srv.begin() {
			go func() { defer p.srv.tasks.Done(); p.listen() }()
		}
	})
}

// enter counts a client's subscription, and gives what is to be called when it ends.
func (p *presence) enter(room, member string) (leave func()) {
	if p == nil || member == "" {
		return func() {}
	}
	at := place{room, member}
	p.mu.Lock()
	if p.roster.enter(at) {
		p.news[at] = true
	}
	p.mu.Unlock()
	p.start() // after it, so that the first census has the member
	p.wake()
	return func() {
		p.mu.Lock()
		p.roster.leave(at, time.Now())
		p.mu.Unlock()
		p.wake()
	}
}

func (p *presence) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// members lists who is in a room, sorted.
func (p *presence) members(room string) []string {
	p.start()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.roster.members(room, time.Now())
}

// tell tells other edges, until the server drains, and then that it has stopped. It hears before it tells.
func (p *presence) tell() {
	ctx := p.srv.alive
	select {
	case <-p.hearing:
	case <-ctx.Done():
		return
	}
	census := time.Now()
	for ctx.Err() == nil {
		p.await(ctx, census)
		now := time.Now()
		if !now.Before(census) {
			p.publish(ctx, p.census())
			census = now.Add(p.cfg.Beat)
			continue
		}
		p.publish(ctx, p.changes(now))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.srv.cfg.PublishTimeout)
	defer cancel()
	p.publish(last, []notice{{Closed: true}})
}

// await waits until something is to be told, and gathers more, but for no longer than to the next census.
func (p *presence) await(ctx context.Context, census time.Time) {
	p.mu.Lock()
	departure, due := p.roster.nextDeparture()
	p.mu.Unlock()
	next := census
	if due && departure.Before(census) {
		next = departure
	}
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	select {
	case <-p.changed:
		p.mu.Lock()
		news := len(p.news) > 0
		p.mu.Unlock()
		if news {
			_ = pause(ctx, min(p.cfg.Gather, max(0, time.Until(census)))) // the caller looks at ctx
		}
	case <-t.C:
	case <-ctx.Done():
	}
}

// changes gives what others have not been told, in one notice; none if there is nothing.
func (p *presence) changes(now time.Time) []notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.roster.departed(now) {
		p.news[at] = false
	}
	if len(p.news) == 0 {
		return nil
	}
	var n notice
	for _, at := range sortedPlaces(p.news) {
		if p.news[at] {
			n.add(&n.Here, at)
		} else {
			n.add(&n.Left, at)
		}
	}
	clear(p.news)
	return []notice{n}
}

// censusPart is how many members one notice of a census has at most: that is some 32 KiB, if their names have 64
// bytes.
const censusPart = 500

// census gives all of the edge's members, which includes what others have not been told.
func (p *presence) census() []notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roster.departed(time.Now())
	clear(p.news)
	parts := []notice{{Census: true, First: true}}
	for i, at := range p.roster.here() {
		if i > 0 && i%censusPart == 0 {
			parts = append(parts, notice{Census: true})
		}
		n := &parts[len(parts)-1]
		n.add(&n.Here, at)
	}
	parts[len(parts)-1].Last = true
	return parts
}

func (n *notice) add(to *map[string][]string, at place) {
	if *to == nil {
		*to = map[string][]string{}
	}
	(*to)[at.room] = append((*to)[at.room], at.member)
}

// publish tells others. What does not get through the next census makes good.
func (p *presence) publish(ctx context.Context, notices []notice) {
	for _, n := range notices {
		n.Edge, n.Life = p.roster.self, p.roster.life
		body, err := json.Marshal(n)
		if err != nil {
			return // it cannot: strings and maps of them always can be written
		}
		p.told++
		within, cancel := context.WithTimeout(ctx, p.cfg.Lease/2)
		_, err = p.srv.cfg.Strategy.Publish(within, model.Message{
			Room: PresenceRoom, ID: fmt.Sprintf("%s/%s/%d", n.Edge, n.Life, p.told), Publisher: n.Edge, Body: body,
		})
		cancel()
		if err != nil {
			return
		}
	}
}

// listen hears what other edges tell, until the server drains.
func (p *presence) listen() {
	ctx := p.srv.alive
	heard := sync.OnceFunc(func() { close(p.hearing) })
	for ctx.Err() == nil {
		if errors.Is(p.hear(ctx, heard), hop2.ErrClosed) {
			return
		}
		if pause(ctx, upstreamPause) != nil {
			return
		}
	}
}

// hear takes notices until the subscription fails. Gaps are made good by the next census.
func (p *presence) hear(ctx context.Context, began func()) error {
	opening, cancel := context.WithTimeout(ctx, p.cfg.Lease)
	up, err := p.srv.upstream(opening, PresenceRoom, model.Cursor{})
	cancel()
	began()
	if err != nil {
		return err
	}
	defer up.end()
	for {
		b, err := up.Next(ctx)
		if err != nil {
			return err
		}
		p.mu.Lock()
		for _, m := range b.Messages {
			if n, err := decodeNotice(m); err == nil { // what else is there is not an edge's
				p.roster.take(n, time.Now())
			}
		}
		p.mu.Unlock()
	}
}

// decodeNotice reads what an edge told.
func decodeNotice(m model.Message) (notice, error) {
	var n notice
	if err := json.Unmarshal(m.Body, &n); err != nil {
		return notice{}, fmt.Errorf("notice: %w", err)
	}
	if n.Edge == "" || n.Edge != m.Publisher || n.Life == "" {
		return notice{}, fmt.Errorf("notice of edge %.40q, life %.40q, published by %.40q", n.Edge, n.Life, m.Publisher)
	}
	return n, nil
}

// Members lists who is in a room, at whichever edge, sorted; see [Presence], without which it is nil.
func (s *Server) Members(room string) []string {
	if s.presence == nil {
		return nil
	}
	return s.presence.members(room)
}

// MembersReply is the answer to GET /rooms/{room}/members.
type MembersReply struct {
	Room string `json:"room"`
	// Members are who is there, sorted.
	Members []string `json:"members"`
}

// serveMembers answers GET /rooms/{room}/members.
func (s *Server) serveMembers(w http.ResponseWriter, r *http.Request) {
	room := r.PathValue("room")
	if err := s.checkRoom(room); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	members := s.Members(room)
	if members == nil {
		members = []string{}
	}
	_ = json.NewEncoder(w).Encode(MembersReply{Room: room, Members: members}) // if it cannot be written the client is gone
}

// checkRoom reports whether clients may have a room of that name.
func (s *Server) checkRoom(room string) error {
	if err := model.CheckRoom(room); err != nil {
		return err
	}
	if s.presence != nil && room == PresenceRoom {
		return fmt.Errorf("%w: %s is the edges' own", hop1.ErrNoRoom, room)
	}
	return nil
}

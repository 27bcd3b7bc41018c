package scenarios

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// talk is the room of the history: what members read, put in order. Its messages lie in the rooms of the logs.
const talk = "talk"

func logOf(i int) string { return fmt.Sprintf("log-%d", i+1) }

// connectPace is the time from one of a member's connections to its next: two that are made in one instant could be
// either's first.
const connectPace = 20 * time.Millisecond

// typingTime is how long a member takes for a message.
const typingTime = 20 * time.Millisecond

// tick begins the number of a message that says nothing but the time, which has others know that nothing earlier is
// to come (Chandy and Misra, Distributed Simulation, 1979). tickEvery is how often a silent member sends one.
const (
	tick      = "tick"
	tickEvery = 500 * time.Millisecond
)

// stamp is when a message was published, by the clock that orders messages. Ties are between members.
type stamp struct {
	wall    time.Duration // of a hybrid clock, or a wall clock's time
	logical uint64        // of a hybrid clock, or a Lamport clock's time
	node    string
}

func (s stamp) compare(t stamp) int {
	return cmp.Or(cmp.Compare(s.wall, t.wall), cmp.Compare(s.logical, t.logical), cmp.Compare(s.node, t.node))
}

// message is a message as it arrived. An application of this kind has nothing but IDs, so all is in those.
type message struct {
	id, node string
	stamp    stamp
	vector   model.Vector
}

// member is a member of an [Order].
type member struct {
	order *Order
	index int

	n    *sim.Node
	luck *rand.Rand

	mu      sync.Mutex
	lamport model.Lamport
	hlc     model.HLC
	last    stamp   // of the member's own messages
	flying  []stamp // of those that have not come back from the log yet, in order
	sent    uint64
	buffer  *model.CausalBuffer
	waiting []message        // by stamp
	heard   map[string]stamp // by member, the stamp of the last that came
	answers int              // that the member wants to give
}

func (m *member) run(ctx context.Context, n *sim.Node) error {
	o := m.order
	m.n, m.luck = n, n.Rand("member")
	m.lamport.Node, m.heard = n.Name(), map[string]stamp{}
	var err error
	if m.buffer, err = model.NewCausalBuffer(nil, 1<<20); err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for i := range o.Members {
		client, err := hop1.NewClient(hop1.ClientConfig{
			Name: n.Name(), Room: logOf(i), BaseURL: "http://lb", Transport: "ws", HTTP: n.HTTPClient(),
			Rand: n.Rand("client of " + logOf(i)), Backoff: hop1.Backoff{Max: time.Second},
			Observe: func(e model.Event) {
				if e.Kind == model.Deliver {
					m.receive(e.ID)
				}
			},
		})
		if err != nil {
			return err
		}
		tasks.Go(func() {
			if sleep(ctx, time.Duration(i)*connectPace) {
				_ = client.Run(ctx) // returns when ctx ends, and says so
			}
		})
	}
	m.publish(ctx)
	return nil
}

// publish publishes one message after the other, so that the member's log has them in order of their stamps.
func (m *member) publish(ctx context.Context) {
	o := m.order
	publisher := hop1.Publisher{Name: m.n.Name(), BaseURL: "http://lb", HTTP: m.n.HTTPClient(), AttemptTimeout: 2 * time.Second}
	next := func() time.Duration {
		return time.Duration(-math.Log(1-m.luck.Float64()) / o.Rate * float64(time.Second))
	}
	if !sleep(ctx, time.Second) { // for members to connect
		return
	}
	spoke, due := m.n.Now(), m.n.Now()+next()
	for sleep(ctx, typingTime) {
		now := m.n.Now()
		silent := now >= o.Duration-4*time.Second
		kind := tick
		switch {
		case !silent && m.wantsToAnswer():
			kind = ""
		case !silent && now >= due:
			kind, due = "", now+next()
		case now < spoke+tickEvery:
			continue
		}
		spoke = now
		id, room := m.compose(kind)
		if kind == "" {
			m.n.Record(model.Event{Kind: model.PublishCall, Room: talk, ID: id})
		}
		publisher.Rand = m.n.Rand("publish " + id)
		if _, err := publisher.Publish(ctx, room, id, nil); err != nil {
			return // the run has ended
		}
		if kind == "" {
			m.n.Record(model.Event{Kind: model.PublishOK, Room: talk, ID: id})
		}
	}
}

func (m *member) wantsToAnswer() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == 0 {
		return false
	}
	m.answers--
	return true
}

// compose gives a message's ID, with its stamp, and the log that it goes to.
func (m *member) compose(kind string) (id, room string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent++
	number := kind + strconv.FormatUint(m.sent, 10)
	at := m.index
	if m.order.mutant == mutantRoundRobin {
		at = int(m.sent) % m.order.Members
	}
	return fmt.Sprintf("%s/%s@%s", m.n.Name(), number, m.stamped()), logOf(at)
}

// stamped is the stamp of the member's next message, as text.
func (m *member) stamped() string {
	if m.order.By == byVector {
		clock := m.buffer.At()
		clock[m.n.Name()] = m.sent
		return clock.String()
	}
	s := stamp{node: m.n.Name()}
	switch {
	case m.order.mutant == mutantWallClock:
		s.wall = max(m.clock(), m.last.wall+1)
	case m.order.By == byHLC:
		t := m.hlc.Now(m.clock())
		s.wall, s.logical = t.Wall, uint64(t.Logical)
	default:
		s.logical = m.lamport.Tick().Time
	}
	m.last, m.flying = s, append(m.flying, s)
	return fmt.Sprintf("%d.%d", int64(s.wall), s.logical)
}

// clock tells the time by the member's own clock.
func (m *member) clock() time.Duration {
	began := time.Now().Add(-m.n.Now())
	return time.Hour + m.n.Clock().Sub(began) // positive, however wrong
}

// receive takes a message from a log, and hands on what can be.
func (m *member) receive(id string) {
	msg, err := parseTalk(id, m.order.By)
	if err != nil {
		return // not a member's
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.order.mutant == mutantArrivalOrder || m.order.mutant == mutantRoundRobin:
		m.handOn(msg)
	case m.order.By == byVector:
		ready, err := m.buffer.Take(model.CausalMessage{Publisher: msg.node, Clock: msg.vector, Message: model.Message{ID: id}})
		if err != nil {
			return // it is none
		}
		for _, r := range ready {
			m.handOn(message{id: r.Message.ID, node: r.Publisher})
		}
	default:
		m.sort(msg)
	}
}

// sort holds a message back until every member's log has something later.
func (m *member) sort(msg message) {
	if m.order.mutant != mutantNoWitness && m.order.mutant != mutantWallClock && msg.node != m.n.Name() {
		m.lamport.Witness(model.Stamp{Time: msg.stamp.logical, Node: msg.node})
		// With no limit to how far it may be ahead, it is always believed.
		_, _ = m.hlc.Update(m.clock(), model.Timestamp{Wall: msg.stamp.wall, Logical: uint32(msg.stamp.logical)})
	}
	m.heard[msg.node] = msg.stamp
	m.flying = slices.DeleteFunc(m.flying, func(s stamp) bool { return s == msg.stamp })
	at, _ := slices.BinarySearchFunc(m.waiting, msg, func(a, b message) int { return a.stamp.compare(b.stamp) })
	m.waiting = slices.Insert(m.waiting, at, msg)
	for len(m.waiting) > 0 && m.stable(m.waiting[0].stamp) {
		m.handOn(m.waiting[0])
		m.waiting = m.waiting[1:]
	}
}

// stable reports whether nothing earlier than a stamp is to come. What the member itself is yet to publish is
// later, as its clock has seen the stamp.
func (m *member) stable(s stamp) bool {
	for i := range m.order.Members {
		name := m.order.member(i)
		if last, known := m.heard[name]; name != m.n.Name() && (!known || last.compare(s) < 0) {
			return false
		}
	}
	return len(m.flying) == 0 || s.compare(m.flying[0]) < 0
}

// handOn has the member read a message, which it may answer.
func (m *member) handOn(msg message) {
	if strings.Contains(msg.id, "/"+tick) {
		return
	}
	m.n.Record(model.Event{Kind: model.Deliver, Room: talk, ID: msg.id})
	if msg.node == m.n.Name() || m.n.Rand("answer to "+msg.id).Float64() >= m.order.Answers/float64(m.order.Members-1) {
		return
	}
	m.answers++
}

// parseTalk reads a message's ID.
func parseTalk(id, by string) (message, error) {
	name, text, found := strings.Cut(id, "@")
	node, _, numbered := strings.Cut(name, "/")
	if !found || !numbered {
		return message{}, fmt.Errorf("order: message %.80q: want member/number@stamp", id)
	}
	msg := message{id: id, node: node}
	if by == byVector {
		var err error
		msg.vector, err = model.ParseVector(text)
		return msg, err
	}
	wall, logical, _ := strings.Cut(text, ".")
	w, err := strconv.ParseInt(wall, 10, 64)
	l, err2 := strconv.ParseUint(logical, 10, 64)
	if err != nil || err2 != nil {
		return message{}, fmt.Errorf("order: message %.80q: want a stamp such as 1500.2", id)
	}
	msg.stamp = stamp{time.Duration(w), l, node}
	return msg, nil
}

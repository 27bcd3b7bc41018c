package hop2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/twohop/twohop/model"
)

// The times of groups: how often a member says that it is there, as the broker tells it, and after how long a
// silence it is taken for dead. Kafka has 5 s and 45 s, which would be most of an experiment's time.
const (
	kafkaHeartbeat = 500 * time.Millisecond
	kafkaSession   = 3 * time.Second
)

// kafkaMember is a strategy's membership in the group of one room: from when it subscribes until the subscription
// ends. Then it leaves.
type kafkaMember struct {
	g           *KafkaGroup
	room, topic string
	group, id   string
	ctx         context.Context // ends with the membership
	cancel      context.CancelFunc
	ready       chan struct{}  // closed when the room is this member's
	begun       chan struct{}  // closed when the group knows a position
	committed   model.Bookmark // of the group, when ready is closed
	topicID     [16]byte       // when the room is this member's
	coordinator int            // -1 if it is not known
	due         time.Time      // of the next heartbeat
	interval    time.Duration  // between heartbeats
	failures    int            // in a row
	epoch       int32          // 0 if the group does not know the member
	has         bool           // the room is this member's, and the group has been told
	kept        model.Bookmark // the position that the group knows

	mu    sync.Mutex
	hurry bool           // the next heartbeat is due now
	lease time.Time      // until when the room is this member's
	at    model.Bookmark // up to where it has been read
	why   error          // why the membership ended
}

// join begins a membership.
func (g *KafkaGroup) join(room string) (*kafkaMember, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if g.members[room] != nil {
		return nil, fmt.Errorf("%w: member %s has it already", ErrInvalid, g.cfg.Member)
	}
	sum := sha256.Sum256([]byte(room + "\x00" + g.cfg.Member))
	m := &kafkaMember{
		g: g, room: room, topic: g.kafka.room(room).topic, ready: make(chan struct{}), begun: make(chan struct{}), coordinator: -1,
		group: g.cfg.Namespace + "." + g.cfg.Group + "." + room, id: hex.EncodeToString(sum[:8]) + "-" + g.cfg.Member,
	}
	m.ctx, m.cancel = context.WithCancel(g.ctx)
	g.members[room] = m
	g.poke()
	return m, nil
}

// end ends the membership for a reason, unless it has ended.
func (m *kafkaMember) end(why error) {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members[m.room] != m {
		return
	}
	delete(g.members, m.room)
	g.over = append(g.over, m)
	m.mu.Lock()
	m.why = why
	m.mu.Unlock()
	m.cancel()
	g.poke()
}

// ended says why the membership ended.
func (m *kafkaMember) ended() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Or(m.why, ErrClosed)
}

// read takes note of how far the room has been read.
func (m *kafkaMember) read(at model.Bookmark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = at
}

// holds tells until when the room is this member's. It fails if it is not any more, which ends the membership.
func (m *kafkaMember) holds(now time.Time) (time.Time, error) {
	m.mu.Lock()
	lease := m.lease
	m.mu.Unlock()
	switch {
	case m.ctx.Err() != nil:
		return lease, m.ended()
	case !now.Before(lease):
		m.end(fmt.Errorf("%w, maybe: nothing was heard of the group for %v", ErrMoved, m.g.cfg.Session))
		return lease, m.ended()
	}
	return lease, nil
}

func (g *KafkaGroup) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// groupDelay is how long what changed, or is due, waits, so that all that changes at one instant is attended to in one order;
// and no dial falls on one of the lanes'.
const groupDelay = gatherFor + 23*time.Microsecond

// run keeps the memberships up until the strategy is closed, when it ends them. It is one goroutine, which waits
// for each answer before it asks for more.
func (g *KafkaGroup) run() {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for g.ctx.Err() == nil {
		var timer <-chan time.Time
		if next := g.attend(g.ctx); !next.IsZero() {
			t.Reset(time.Until(next))
			timer = t.C
		}
		select {
		case <-g.wake:
		case <-timer:
		case <-g.ctx.Done():
			continue
		}
		_ = g.kafka.pause(g.kafka.ctx, groupDelay) // it is the end
		select {                                   // what changed at the instant of the timer is attended to with it
		case <-g.wake:
		default:
		}
	}
	g.mu.Lock()
	all := slices.Collect(maps.Values(g.members))
	g.mu.Unlock()
	for _, m := range all {
		m.end(ErrClosed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Timeout)
	defer cancel()
	g.attend(ctx)
}

// attend says what there is to be said to groups, and tells when there will be more.
func (g *KafkaGroup) attend(ctx context.Context) (next time.Time) {
	g.mu.Lock()
	over, members := g.over, slices.Collect(maps.Values(g.members))
	g.over = nil
	g.mu.Unlock()
	byName := func(a, b *kafkaMember) int { return strings.Compare(a.room, b.room) }
	slices.SortStableFunc(over, byName)
	slices.SortFunc(members, byName)
	down := map[int]bool{} // brokers that did not answer: they are not asked again for every room
	for _, m := range over {
		if m.epoch > 0 && !down[m.coordinator] {
			// A group that is not told finds out by itself, and goes on from what it knows.
			if err := errors.Join(m.commit(ctx), m.tell(ctx, leaveRequest(m))); unreachable(err) {
				down[m.coordinator] = true
			}
		}
	}
	for _, m := range members {
		for m.isDue() {
			asked := m.coordinator
			if down[asked] {
				m.due = time.Now().Add(kafkaHeartbeat)
			} else if err := m.heartbeat(ctx); err != nil {
				down[asked] = unreachable(err)
				m.failed(err)
			}
		}
		if m.ctx.Err() == nil && (next.IsZero() || m.due.Before(next)) {
			next = m.due
		}
	}
	return next
}

// isDue tells whether it is time for a heartbeat.
func (m *kafkaMember) isDue() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hurry {
		m.hurry, m.due = false, time.Time{}
	}
	return m.ctx.Err() == nil && !time.Now().Before(m.due)
}

// begin has the group keep that it begins to read at a position.
func (m *kafkaMember) begin(at model.Bookmark) {
	m.mu.Lock()
	m.at, m.hurry = at, true
	m.mu.Unlock()
	m.g.poke()
}

// failed takes that a heartbeat failed.
func (m *kafkaMember) failed(err error) {
	m.g.kafka.failure(err)
	m.failures++
	m.due = time.Now().Add(m.g.cfg.backoff(m.failures))
	switch {
	case errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.StaleMemberEpoch):
		m.epoch = 0
		if m.has {
			m.end(fmt.Errorf("%w: %w", ErrMoved, err))
		}
	case errors.Is(err, kerr.NotCoordinator):
		m.coordinator = -1
	case kafkaPermanent(err):
		m.end(err)
	case unreachable(err):
		if len(m.g.client.DiscoveredBrokers()) > 1 {
			m.coordinator = -1 // it may be another by now
		}
	}
}

// heartbeat says that the member is there, and learns whether the room is its.
func (m *kafkaMember) heartbeat(ctx context.Context) error {
	if err := m.commit(ctx); err != nil {
		return err
	}
	sent := time.Now()
	resp, err := m.ask(ctx, heartbeatRequest(m, m.epoch, m.has))
	if err != nil {
		return err
	}
	h, err := decodeHeartbeat(resp)
	if err != nil {
		return err
	}
	m.failures, m.epoch = 0, h.epoch
	m.interval = min(max(h.interval, 10*time.Millisecond), m.g.cfg.Session/3)
	m.due = sent.Add(m.interval)
	m.mu.Lock()
	m.lease = sent.Add(m.g.cfg.Session)
	m.mu.Unlock()
	switch {
	case h.known && h.has && !m.has:
		if err := m.take(ctx, h.topicID); err != nil {
			return err
		}
		m.due = time.Now() // the group wants to know
	case h.known && !h.has && m.has:
		m.end(ErrMoved)
	}
	return nil
}

// take takes the room over, from where the group got to.
func (m *kafkaMember) take(ctx context.Context, topicID [16]byte) error {
	resp, err := m.ask(ctx, committedRequest(m, m.epoch))
	if err != nil {
		return err
	}
	at, err := decodeCommitted(resp)
	if err != nil {
		return err
	}
	m.topicID, m.has, m.committed, m.kept = topicID, true, at, at
	m.read(at)
	if !at.Cursor.IsZero() {
		close(m.begun)
	}
	close(m.ready)
	return nil
}

// commit has the group keep how far the room has been read.
func (m *kafkaMember) commit(ctx context.Context) error {
	m.mu.Lock()
	at := m.at
	m.mu.Unlock()
	if !m.has || at == m.kept {
		return nil
	}
	resp, err := m.ask(ctx, commitRequest(m, m.epoch, at))
	if err == nil {
		err = decodeCommit(resp)
	}
	if err == nil {
		if m.kept.Cursor.IsZero() {
			close(m.begun)
		}
		m.kept = at
	}
	return err
}

// tell says something that nothing depends on the answer to.
func (m *kafkaMember) tell(ctx context.Context, req kmsg.Request) error {
	_, err := m.ask(ctx, req)
	return err
}

// ask asks the group's coordinator.
func (m *kafkaMember) ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	k, client := m.g.kafka, m.g.client
	if m.coordinator < 0 {
		resp, err := k.request(ctx, client, coordinatorRequest(m.group))
		if err != nil {
			return nil, err
		}
		if m.coordinator, err = decodeCoordinator(resp); err != nil {
			m.coordinator = -1
			return nil, err
		}
	}
	return k.ask(ctx, client, m.coordinator, req)
}

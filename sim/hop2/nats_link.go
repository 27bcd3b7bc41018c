package hop2

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// natsLink is one connection to a NATS server, made anew whenever it is lost. One goroutine owns it: it
// subscribes, sends what others put, and hands on what comes. nats.go does not reconnect by itself: it
// would tell nobody at which point of the stream it did.
type natsLink struct {
	cfg  *Config
	id   string // tells this link from others: 16 hex digits
	name string // begins the subjects that the link is answered on: "_INBOX." and the id
	attempts

	ctx    context.Context // ends when the link is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	calls    *gather[*natsCall]
	subjects *gather[string] // that gained their first or lost their last reader

	mu       sync.Mutex                     // never held across anything that blocks
	readers  map[string]map[natsReader]bool // by subject
	serials  map[string]int                 // given away, by room
	sessions int
	failures int
	lastFail string
}

// natsReader is who is handed messages, by the link's goroutine.
type natsReader interface {
	// message takes a message; reply sends one without waiting.
	message(m *nats.Msg, reply func(subject string, data []byte))
	// resubscribed says that what came before now and was not handed on is lost.
	resubscribed()
}

// natsCall is a message that is sent, and usually answered.
type natsCall struct {
	room    string // the call's place in the canonical order, with subject, data and tie
	subject string
	header  nats.Header
	data    []byte
	tie     string           // tells calls of one instant apart that are otherwise equal, by who makes them
	answer  func(natsAnswer) // takes the one answer, without waiting; nil if nobody wants it
}

type natsAnswer struct {
	data []byte
	err  error
}

// errNoResponders: nobody listens on the call's subject.
var errNoResponders = errors.New("nobody answers on the subject")

func compareNATSCalls(a, b *natsCall) int {
	if c := strings.Compare(a.room, b.room); c != 0 {
		return c
	}
	if c := strings.Compare(a.subject, b.subject); c != 0 {
		return c
	}
	if c := slices.Compare(a.data, b.data); c != 0 {
		return c
	}
	return strings.Compare(a.tie, b.tie)
}

// newNATSLink makes a link and begins to connect as soon as there is something to do. cfg is valid.
func newNATSLink(cfg *Config) *natsLink {
	id := randomName(cfg.Rand)
	l := &natsLink{
		cfg: cfg, id: id, name: "_INBOX." + id,
		calls:    newGather(compareNATSCalls),
		subjects: newGather(strings.Compare),
		readers:  map[string]map[natsReader]bool{}, serials: map[string]int{},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.attempts = attempts{cfg, l.ctx.Done(), natsPermanent}
	l.tasks.Go(l.run)
	return l
}

// randomName gives 16 hex digits.
func randomName(r *rand.Rand) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, r.Uint64()))
}

func (l *natsLink) close() {
	l.cancel()
	l.tasks.Wait()
}

// listen has a reader handed what comes on a subject, from now on. A call that is put after that is sent
// after the subscription.
func (l *natsLink) listen(subject string, r natsReader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers[subject] == nil {
		l.readers[subject] = map[natsReader]bool{}
		l.subjects.put(subject)
	}
	l.readers[subject][r] = true
}

func (l *natsLink) unlisten(subject string, r natsReader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rs := l.readers[subject]; rs != nil {
		delete(rs, r)
		if len(rs) == 0 {
			delete(l.readers, subject)
			l.subjects.put(subject)
		}
	}
}

// newSerial gives a number that no other subscription to a room has on this link. What other rooms do at the same
// instant has no influence on it.
func (l *natsLink) newSerial(room string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serials[room]++
	return l.serials[room]
}

// do makes one call and waits for its answer.
func (l *natsLink) do(ctx context.Context, c *natsCall) ([]byte, error) {
	answered := make(chan natsAnswer, 1)
	c.answer = func(a natsAnswer) { answered <- a }
	l.calls.put(c)
	select {
	case a := <-answered:
		return a.data, a.err
	case <-l.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// idle tells whether nothing is asked of the link.
func (l *natsLink) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.readers) == 0
}

// run connects, and serves the connection until it is lost, until the link is closed.
func (l *natsLink) run() {
	for failures := 0; l.ctx.Err() == nil; {
		if l.idle() && !l.awaitWork() {
			return
		}
		s, err := l.connect()
		if err == nil {
			err = s.serve()
			s.close(err)
		}
		if l.ctx.Err() != nil {
			return
		}
		if s != nil && s.heard {
			failures = 0
		}
		failures++
		l.failure(err)
		l.refuse(l.cfg.backoff(failures), err)
	}
}

// awaitWork waits until something is asked of the link; false if it is closed.
func (l *natsLink) awaitWork() bool {
	// Whoever looked last may have gone between the wake and the work.
	_, calls := l.calls.due()
	_, subjects := l.subjects.due()
	if calls || subjects {
		return l.ctx.Err() == nil
	}
	select {
	case <-l.calls.wake:
		l.calls.poke()
	case <-l.subjects.wake:
		l.subjects.poke()
	case <-l.ctx.Done():
		return false
	}
	return true
}

// refuse fails what is put within a time, in which there is no connection.
func (l *natsLink) refuse(d time.Duration, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, d)
	defer cancel()
	for {
		calls, end := l.calls.take(ctx)
		if end != nil {
			return
		}
		for _, c := range calls {
			c.fail(err)
		}
	}
}

func (c *natsCall) fail(err error) {
	if c.answer != nil {
		c.answer(natsAnswer{err: err})
	}
}

func (l *natsLink) failure(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.lastFail = err.Error()
}

// wanted lists the subjects that have readers, sorted.
func (l *natsLink) wanted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.readers))
}

// natsDialer gives nats.go its connection.
type natsDialer struct{ l *natsLink }

// Dial implements [nats.CustomDialer]. nats.go holds a lock while it writes, and in virtual time nobody
// may wait for a lock until the network moves: so the connection is one whose writes never block.
func (d natsDialer) Dial(network, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.l.ctx, d.l.cfg.Timeout)
	defer cancel()
	conn, err := d.l.cfg.Dial(ctx, network, d.l.cfg.Addr)
	if err != nil {
		return nil, err
	}
	box := newOutbox(conn, commandLimit)
	return &tiedConn{box, context.AfterFunc(d.l.ctx, func() { _ = box.Close() })}, nil
}

// tiedConn is closed when the link is, at the latest: nats.go does not stop its handshake for a context.
type tiedConn struct {
	*outbox
	untie func() bool
}

func (c *tiedConn) Close() error {
	c.untie()
	return c.outbox.Close()
}

// connect makes a session, subscribed to all that is wanted.
func (l *natsLink) connect() (*natsSession, error) {
	s := &natsSession{
		l: l, came: make(chan *nats.Msg, cameLimit), closed: make(chan struct{}),
		subs: map[string]*nats.Subscription{}, pending: map[string]*sentCall{},
	}
	probes := 2 // a server that is silent for longer than CheckEvery and Timeout is given up
	opts := nats.Options{
		Url: "nats://" + l.cfg.Addr, Servers: []string{"nats://" + l.cfg.Addr},
		CustomDialer: natsDialer{l}, SkipHostLookup: true, Timeout: l.cfg.Timeout,
		PingInterval: (l.cfg.CheckEvery + l.cfg.Timeout) / time.Duration(probes+1), MaxPingsOut: probes,
		NoEcho: false, IgnoreDiscoveredServers: true,
		ClosedCB:     func(*nats.Conn) { close(s.closed) },
		AsyncErrorCB: func(*nats.Conn, *nats.Subscription, error) {}, // what is lost shows in the numbers
	}
	conn, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s.conn = conn
	_, err = conn.ChanSubscribe(l.name+".r.*", s.came)
	if err == nil {
		l.subjects.grab() // all that is wanted now is subscribed to now
		err = s.follow(l.wanted())
	}
	if err != nil {
		s.close(err)
		return nil, err
	}
	l.mu.Lock()
	l.sessions++
	var readers []natsReader
	for _, rs := range l.readers {
		readers = slices.AppendSeq(readers, maps.Keys(rs))
	}
	l.mu.Unlock()
	for _, r := range readers {
		r.resubscribed()
	}
	return s, nil
}

// natsPermanent tells whether trying again would give the same error.
func natsPermanent(err error) bool {
	return errors.Is(err, errReply) || errors.Is(err, nats.ErrMaxPayload)
}

// natsToken makes one token of a subject, and a stream's name, of a room's: the dot, which parts tokens,
// becomes an equals sign, which no room has.
func natsToken(room string) string { return strings.ReplaceAll(room, ".", "=") }

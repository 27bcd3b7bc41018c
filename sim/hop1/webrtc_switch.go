package hop1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/twohop/twohop/model"
)

// Switchboard passes signals between peers that want to open pairs with each other. It serves
//
//	GET …/{peer}  WebSocket of the peer with that name
//
// over which a peer sends and receives text messages: signals, each with the other peer's name and the number
// of the talk that it belongs to. One that is for nobody is answered with a goodbye. A name is as a room's
// ([model.CheckRoom]); the last who takes one has it.
type Switchboard struct {
	mu    sync.Mutex // never held while waiting
	peers map[string]*attached
}

// NewSwitchboard makes a switchboard without peers.
func NewSwitchboard() *Switchboard { return &Switchboard{peers: make(map[string]*attached)} }

// letter is a signal on its way.
type letter struct {
	// Peer is the other end: the receiver when it is sent, the sender when it is received.
	Peer string `json:"peer"`
	// Talk is the caller's number for this exchange of signals, and Answers says that the sender is not
	// the caller.
	Talk    uint64 `json:"talk"`
	Answers bool   `json:"answers,omitempty"`
	Signal  Signal `json:"signal"`
}

// decodeLetter reads a letter and rejects what no peer may send.
func decodeLetter(b []byte) (letter, error) {
	var l letter
	if len(b) > maxSignal {
		return l, fmt.Errorf("letter of %d bytes; want at most %d", len(b), maxSignal)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("letter: %w", err)
	}
	if err := model.CheckRoom(l.Peer); err != nil {
		return l, fmt.Errorf("letter: peer: %w", err)
	}
	return l, l.Signal.validate()
}

// attached is a peer that is connected. What it has yet to be sent waits in a queue; a peer that lets it overflow
// is dropped.
type attached struct {
	queue chan letter
	drop  context.CancelFunc
}

const switchQueue = 1024

// ServeHTTP serves a peer until it leaves.
func (b *Switchboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("peer")
	if err := model.CheckRoom(name); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	me := &attached{queue: make(chan letter, switchQueue), drop: cancel}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		b.attach(name, me) // before the peer is told that it is: what others may call it for is kept
		defer b.detach(name, me)
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(maxSignal)
	var writing sync.WaitGroup
	writing.Go(func() {
		_ = writeLetters(ctx, conn, me.queue) // its end ends the reading
		cancel()
	})
	for {
		l, err := readLetter(ctx, conn)
		if err != nil {
			break
		}
		b.pass(name, me, l)
	}
	cancel()
	writing.Wait()
	_ = conn.CloseNow() // that it may be closed already is no error
}

func writeLetters(ctx context.Context, conn *websocket.Conn, queue <-chan letter) error {
	for {
		select {
		case l := <-queue:
			b, err := json.Marshal(l)
			if err == nil {
				err = conn.Write(ctx, websocket.MessageText, b)
			}
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func readLetter(ctx context.Context, conn *websocket.Conn) (letter, error) {
	kind, b, err := conn.Read(ctx)
	switch {
	case err != nil:
		return letter{}, err
	case kind != websocket.MessageText:
		return letter{}, errors.New("protocol: a binary message")
	}
	return decodeLetter(b)
}

func (b *Switchboard) attach(name string, me *attached) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before := b.peers[name]; before != nil {
		before.drop()
	}
	b.peers[name] = me
}

func (b *Switchboard) detach(name string, me *attached) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.peers[name] == me {
		delete(b.peers, name)
	}
}

// pass hands a letter of a peer to the one it is for, or answers that there is none.
func (b *Switchboard) pass(from string, me *attached, l letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	to := b.peers[l.Peer]
	switch {
	case to != nil:
		l.Peer = from
	case l.Signal.Goodbye != "" || l.Answers:
		return // nobody waits for an answer to that
	default:
		to, l.Answers, l.Signal = me, true, Signal{Goodbye: "no such peer"}
	}
	select {
	case to.queue <- l:
	default:
		to.drop()
	}
}

// Switch is a peer's connection to a [Switchboard].
type Switch struct {
	conn   *websocket.Conn
	calls  chan *Talk
	cancel context.CancelFunc
	done   chan struct{} // the reading goroutine has ended

	mu    sync.Mutex // never held while waiting
	talks map[talkKey]*Talk
	last  uint64
}

type talkKey struct {
	peer  string
	talk  uint64
	calls bool // this end called
}

// DialSwitch connects a peer to the switchboard at url, which ends in its name. The client must have no timeout
// of its own; nil means http.DefaultClient.
func DialSwitch(ctx context.Context, client *http.Client, url string) (*Switch, error) {
	if err := clientField(&client); err != nil {
		return nil, err
	}
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, refusal(resp)
		}
		return nil, err
	}
	conn.SetReadLimit(2 * maxSignal) // a letter is larger than its signal
	reading, cancel := context.WithCancel(context.Background())
	s := &Switch{
		conn: conn, calls: make(chan *Talk, switchQueue), cancel: cancel, done: make(chan struct{}),
		talks: make(map[talkKey]*Talk),
	}
	go s.read(reading)
	return s, nil
}

func (s *Switch) read(ctx context.Context) {
	defer close(s.done)
	for {
		l, err := readLetter(ctx, s.conn)
		if err != nil || !s.take(l) {
			return
		}
	}
}

// take hands a letter to its talk; one with an offer may begin one. It tells whether there was room for it.
func (s *Switch) take(l letter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := talkKey{l.Peer, l.Talk, l.Answers}
	t := s.talks[key]
	if t == nil {
		if l.Signal.Offer == "" {
			return true // of a talk that is over
		}
		t = s.begin(key)
		select {
		case s.calls <- t:
		default:
			return false
		}
	}
	select {
	case t.in <- l.Signal:
		return true
	default:
		return false
	}
}

func (s *Switch) begin(key talkKey) *Talk {
	t := &Talk{of: s, key: key, in: make(chan Signal, switchQueue)}
	s.talks[key] = t
	return t
}

// Call begins a talk with a peer, for the end that offers.
func (s *Switch) Call(peer string) *Talk {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return s.begin(talkKey{peer, s.last, true})
}

// Answer waits for the next peer that offers.
func (s *Switch) Answer(ctx context.Context) (*Talk, error) {
	select {
	case t := <-s.calls:
		return t, nil
	case <-s.done:
		return nil, errSwitchClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errSwitchClosed = errors.New("the connection to the switchboard is closed")

// Close drops the connection. It is idempotent.
func (s *Switch) Close() {
	s.cancel()
	_ = s.conn.CloseNow() // that it may be closed already is no error
	<-s.done
}

// Talk is an exchange of signals with one peer, about one pair.
type Talk struct {
	of  *Switch
	key talkKey
	in  chan Signal
}

var _ Signaller = (*Talk)(nil)

// Peer is the other end's name.
func (t *Talk) Peer() string { return t.key.peer }

// Send implements [Signaller].
func (t *Talk) Send(ctx context.Context, signal Signal) error {
	b, err := json.Marshal(letter{Peer: t.key.peer, Talk: t.key.talk, Answers: !t.key.calls, Signal: signal})
	if err != nil {
		return err
	}
	return t.of.conn.Write(ctx, websocket.MessageText, b)
}

// Receive implements [Signaller].
func (t *Talk) Receive(ctx context.Context) (Signal, error) {
	select {
	case s := <-t.in:
		return s, nil
	case <-t.of.done:
		return Signal{}, errSwitchClosed
	case <-ctx.Done():
		return Signal{}, ctx.Err()
	}
}

// Close ends the talk: what still comes of it is dropped.
func (t *Talk) Close() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	delete(t.of.talks, t.key)
}

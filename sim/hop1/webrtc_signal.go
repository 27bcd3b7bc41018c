package hop1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

// Signal is what two ends tell each other to open a [Pair]: exactly one of Offer, Answer, Candidate, Done
// and Goodbye is set. It is a JSON object, and what a browser's RTCPeerConnection gives and takes fits in.
type Signal struct {
	// Offer and Answer are session descriptions (SDP, RFC 8866; RFC 9429).
	Offer  string `json:"offer,omitempty"`
	Answer string `json:"answer,omitempty"`
	// Candidate is an address at which the sender may be reached (RFC 8838). Any number of them follow the
	// offer or answer.
	Candidate *webrtc.ICECandidateInit `json:"candidate,omitempty"`
	// Done says that the sender's channels are open, and that it has nothing more to say.
	Done bool `json:"done,omitempty"`
	// Goodbye is why there will be no pair; Retry, unless 0, how many milliseconds to stay away, at most a
	// minute.
	Goodbye string `json:"goodbye,omitempty"`
	RetryMS int64  `json:"retry_ms,omitempty"`
}

// maxSignal is the largest signal to accept, in bytes. Descriptions of data channels have about 500, and
// some 100 for each candidate in them.
const maxSignal = 64 << 10

func (s *Signal) validate() error {
	kinds := 0
	for _, set := range []bool{s.Offer != "", s.Answer != "", s.Candidate != nil, s.Done, s.Goodbye != ""} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("signal: %d of offer, answer, candidate, done and goodbye are set; want one", kinds)
	}
	if most := maxRetryHint.Milliseconds(); s.RetryMS < 0 || s.RetryMS > most || s.RetryMS > 0 && s.Goodbye == "" {
		return fmt.Errorf("signal: retry_ms %d; want 0 to %d, with a goodbye", s.RetryMS, most)
	}
	return nil
}

func (s *Signal) retry() time.Duration { return time.Duration(s.RetryMS) * time.Millisecond }

// decodeSignal reads a signal and rejects what no end may send. Fields it does not know are ignored.
func decodeSignal(b []byte) (Signal, error) {
	var s Signal
	if len(b) > maxSignal {
		return s, fmt.Errorf("signal of %d bytes; want at most %d", len(b), maxSignal)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("signal: %w", err)
	}
	return s, s.validate()
}

// Signaller carries signals between two ends, in order and without loss as long as it works. One goroutine
// sends and another receives.
type Signaller interface {
	Send(ctx context.Context, s Signal) error
	Receive(ctx context.Context) (Signal, error)
}

// signalling is a Signaller over a WebSocket connection: a text message a signal.
type signalling struct {
	conn    *websocket.Conn
	arrived chan arrival
	cancel  context.CancelFunc
	done    chan struct{} // the reading goroutine has ended
}

// arrival is a signal, or the error that ended the connection.
type arrival struct {
	signal Signal
	err    error
}

// newSignalling starts to read. A goroutine does it for Receive, whose context must not end the connection:
// it is still needed for a goodbye.
func newSignalling(conn *websocket.Conn) *signalling {
	conn.SetReadLimit(maxSignal)
	ctx, cancel := context.WithCancel(context.Background())
	s := &signalling{conn: conn, arrived: make(chan arrival), cancel: cancel, done: make(chan struct{})}
	go s.read(ctx)
	return s
}

func (s *signalling) read(ctx context.Context) {
	defer close(s.done)
	for {
		kind, b, err := s.conn.Read(ctx)
		var a arrival
		switch {
		case err != nil:
			a.err = err
		case kind != websocket.MessageText:
			a.err = errors.New("protocol: a binary message")
		default:
			a.signal, a.err = decodeSignal(b)
		}
		select {
		case s.arrived <- a:
		case <-ctx.Done():
			return
		}
		if a.err != nil {
			return
		}
	}
}

func (s *signalling) Send(ctx context.Context, signal Signal) error {
	b, err := json.Marshal(signal)
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, b)
}

func (s *signalling) Receive(ctx context.Context) (Signal, error) {
	select {
	case a := <-s.arrived:
		return a.signal, a.err
	case <-s.done:
		return Signal{}, errors.New("signalling is closed")
	case <-ctx.Done():
		return Signal{}, ctx.Err()
	}
}

// part tells the other end why there will be no pair, and closes with the handshake, for which it has the
// timeout.
func (s *signalling) part(bye frame, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if s.Send(ctx, Signal{Goodbye: bye.Reason, RetryMS: bye.Retry.Milliseconds()}) != nil {
		return // the client left meanwhile
	}
	t := time.AfterFunc(timeout, func() { _ = s.conn.CloseNow() })
	defer t.Stop()
	_ = s.conn.Close(closeCode(bye.Reason), bye.Reason) // fails only if the client left meanwhile
}

// close drops the connection and waits for the goroutine. It is idempotent.
func (s *signalling) close() {
	s.cancel()
	_ = s.conn.CloseNow() // that it may be closed already is no error
	<-s.done
}

// outbox holds what an end has to signal until it can be sent: candidates wait for the description that they
// belong to, and Done comes last. Any goroutine may use it.
type outbox struct {
	mu        sync.Mutex
	described bool
	done      bool
	early     []Signal
	queue     []Signal
	ready     chan struct{}
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

func (o *outbox) put(s Signal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.done:
		return // whatever it is, the other end needs it no more
	case s.Candidate != nil && !o.described:
		o.early = append(o.early, s)
		return
	case s.Done:
		o.done = true
		o.queue = append(o.queue, s)
	default:
		o.queue = append(o.queue, s)
		if s.Candidate == nil {
			o.described = true
			o.queue = append(o.queue, o.early...)
			o.early = nil
		}
	}
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// send sends what is put, until it has sent Done.
func (o *outbox) send(ctx context.Context, to Signaller) error {
	for {
		o.mu.Lock()
		queue := o.queue
		o.queue = nil
		o.mu.Unlock()
		for _, s := range queue {
			if err := to.Send(ctx, s); err != nil {
				return err
			}
			if s.Done {
				return nil
			}
		}
		select {
		case <-o.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

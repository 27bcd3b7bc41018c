package hop2

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// streamed is an edge's end of a log service that also delivers what is appended, over one stream for all
// rooms (package wire): what [Ring] and [Relayed] have in common.
//
// Subscriptions are fed by the stream, and read the log whenever that may have had a hole: at the beginning,
// after every reconnection, at a jump in the numbers, and after CheckEvery of silence.
type streamed struct {
	label string // the strategy's name
	conf  Config
	path  string // of the stream, with its query
	name  string // of the stream, if the service wants to be told which rooms are to come on it
	log   *Pull  // appends to the log and reads it
	rooms roomLog[result]

	ctx    context.Context // ends when the strategy is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu                         sync.Mutex // never held across anything that blocks
	subs                       map[string][]*logReader[result]
	live                       bool          // the service delivers, on the present stream
	changed                    chan struct{} // closed, and replaced, when live changes
	streams, delivered, strays int           // streams opened, messages that came, and those that nobody wanted
}

// begin makes it ready, and opens its log. The configuration has been validated.
func (l *streamed) begin(label string, cfg Config, path string) (err error) {
	l.label, l.conf, l.path = label, cfg, path
	l.subs, l.changed = map[string][]*logReader[result]{}, make(chan struct{})
	l.log, err = NewPull(PullConfig{Config: cfg})
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.rooms = roomLog[result]{
		label: label, conf: &l.conf, done: l.ctx.Done(), every: l.conf.CheckEvery + checkApart,
		read: func(room string, from model.Cursor, _ model.Bookmark) <-chan result {
			return l.log.start(l.readOp(room, from))
		}, decode: decodeResult,
	}
	return err
}

// checkApart is how much longer than CheckEvery a silence is believed. What a relay polls for comes as far apart as
// that to the nanosecond, and whether it or the end of the silence were first would be the scheduler's choice.
const checkApart = gatherFor

// close ends everything that was started, and waits for it.
func (l *streamed) close() error {
	l.cancel()
	l.tasks.Wait()
	return l.log.Close()
}

// subscribe makes a subscription, once await says that its room's messages come on the stream.
func (l *streamed) subscribe(ctx context.Context, room string, from model.Cursor, await func(context.Context, string) error) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 %s: subscribe: %w", l.label, err)
	}
	// Live messages first, history second: in the other order, what is published in between is lost.
	s := l.join(room)
	err := await(ctx, room)
	var r wire.Result
	if err == nil {
		r, err = l.log.do(ctx, l.readOp(room, from))
	}
	if err != nil {
		s.Unsubscribe()
		return nil, fmt.Errorf("hop2 %s: subscribe to room %s: %w", l.label, room, err)
	}
	s.begin(from, pageOf(room, r.Page))
	return s, nil
}

// join adds a subscription to a room, which from now on collects live messages.
func (l *streamed) join(room string) *logReader[result] {
	s := newLogReader(&l.rooms, room)
	s.leave = func() { l.leave(s) }
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[room] = append(l.subs[room], s)
	return s
}

// leave removes a subscription. If the service is to be told that nobody here reads the room any more, it is a
// little later: reads that are on their way would have the room's messages come again.
func (l *streamed) leave(s *logReader[result]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	subs := slices.DeleteFunc(l.subs[s.room], func(o *logReader[result]) bool { return o == s })
	if len(subs) > 0 {
		l.subs[s.room] = subs
		return
	}
	if len(l.subs[s.room]) == 0 {
		return // it has left before
	}
	delete(l.subs, s.room)
	if l.name != "" {
		time.AfterFunc(l.conf.RetryMin, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.subs[s.room]) == 0 {
				l.unwanted(s.room)
			}
		})
	}
}

// unwanted tells the service that a room's messages need not come any more. It does not wait for that: should
// it be lost, the room's next message brings it about again. The lock is held.
func (l *streamed) unwanted(room string) {
	if l.name != "" {
		l.log.ops.put(newPending(wire.Op{Leave: &wire.Leave{Room: room, Stream: l.name}}))
	}
}

// readOp reads the log, and has what comes after that sent on the stream.
func (l *streamed) readOp(room string, from model.Cursor) wire.Op {
	op := l.log.readOp(room, from)
	op.Read.Stream = l.name
	return op
}

// apart keeps the i-th of what dials the same address from doing so at the same instant as another, where the
// scheduler would decide who is first.
func (*streamed) apart(i int) time.Duration { return time.Duration(i) * gatherFor }

// change makes a change under the lock, and wakes those who wait for one.
func (l *streamed) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait waits for ready, which is called under the lock, to say yes.
func (l *streamed) wait(ctx context.Context, ready func() bool) error {
	for {
		l.mu.Lock()
		yes, changed := ready(), l.changed
		l.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// listen keeps the stream open, until the strategy is closed. It dials again so much later than others do.
func (l *streamed) listen(apart time.Duration) {
	transport := &http.Transport{DialContext: l.conf.Dial, DisableCompression: true}
	defer transport.CloseIdleConnections()
	for failures := 0; l.ctx.Err() == nil; {
		served, _ := l.stream(&http.Client{Transport: transport}) // it has gone, however
		if served {
			failures = 0
		}
		failures++
		_ = l.log.pause(l.ctx, l.conf.backoff(failures)+apart) // it is the end
	}
}

// stream opens the stream and takes what comes, and tells whether anything did. A service that is silent for
// Timeout is taken for dead.
func (l *streamed) stream(client *http.Client) (served bool, err error) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	silence := time.AfterFunc(l.conf.Timeout, cancel)
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.conf.Addr+l.path, nil)
	if err != nil {
		return false, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)) // so that the connection can be used again
		return false, fmt.Errorf("hop2 %s: the stream was answered with %d", l.label, resp.StatusCode)
	}
	defer l.change(func() { l.live = false })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, wire.MaxLine)
	for lines.Scan() {
		silence.Reset(l.conf.Timeout)
		d, err := wire.DecodeDelivery(lines.Bytes())
		if err != nil {
			return served, err
		}
		if !served {
			served = true
			l.connected()
		}
		if d.Room != "" {
			l.deliver(d)
		}
	}
	return served, lines.Err()
}

// connected says that from now on everything comes on the stream; what came before it may be missing.
func (l *streamed) connected() {
	l.change(func() {
		l.live = true
		l.streams++
		for _, subs := range l.subs {
			for _, s := range subs {
				s.inbox.suspect()
			}
		}
	})
}

// deliver hands a live message to those who subscribe to its room.
func (l *streamed) deliver(d *wire.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.Record != nil {
		l.delivered++
	}
	subs := l.subs[d.Room]
	if len(subs) == 0 {
		l.strays++
		l.unwanted(d.Room)
	}
	if d.Record == nil {
		for _, s := range subs {
			s.inbox.suspect()
		}
		return
	}
	m := d.Record.Message(d.Room)
	for _, s := range subs {
		s.inbox.push(liveItem{model.Cursor{Epoch: d.Epoch, Seq: m.Seq}, &m})
	}
}

package hop2

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// PullConfig configures [NewPull]. Of Config, Addr is needed, the address of a log service as package
// store serves it; History, Remember and Namespace are the service's own business and not looked at.
type PullConfig struct {
	Config
	// Interval is how often each subscription asks for news, and so how late a message may come. 0 means
	// CheckEvery.
	Interval time.Duration
	// Batch is how many messages one read gives at most; a subscription that has as many reads on at
	// once. 0 means 128.
	Batch int
}

// Pull is the strategy that polls: each subscription asks a store, every Interval, for what is newer than
// its cursor. What it reads is sure, so there is nothing to be lost; what it costs is a read per
// subscription and Interval, however little there is to read ([model.ReadLoad]).
//
// It holds one connection, over which the operations of all goroutines go in batches, one at a time.
type Pull struct {
	cfg    PullConfig
	client *http.Client
	attempts

	ctx    context.Context // ends when the strategy is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	ops *gather[*pending]
	log roomLog[result]

	mu    sync.Mutex // never held across anything that blocks
	stats PullStats
}

// PullStats counts what a [Pull] has done.
type PullStats struct {
	// Batches is how many requests were sent, Failures how many of them failed.
	Batches, Failures int
	// Reads is how many times a log was read, and Empty how often there was nothing new.
	Reads, Empty int
	// LastFailure is the latest failure's reason; "" if there was none.
	LastFailure string
}

// pending is an operation on its way to the store and back.
type pending struct {
	op     wire.Op
	answer chan result // has room for the one answer
}

type result struct {
	wire.Result
	err error
}

func newPending(op wire.Op) *pending { return &pending{op: op, answer: make(chan result, 1)} }

// comparePending is the canonical order of operations: those that it takes for equal are. A room is left before
// it is read again.
func comparePending(a, b *pending) int {
	x, y := &a.op, &b.op
	kind := func(o *wire.Op) int {
		switch {
		case o.Append != nil:
			return 0
		case o.Leave != nil:
			return 1
		}
		return 2
	}
	if c := kind(x) - kind(y); c != 0 {
		return c
	}
	switch {
	case x.Append != nil:
		p, q := x.Append, y.Append
		return cmp.Or(strings.Compare(p.Room, q.Room), strings.Compare(p.ID, q.ID),
			strings.Compare(p.Publisher, q.Publisher), bytes.Compare(p.Body, q.Body))
	case x.Leave != nil:
		return cmp.Or(strings.Compare(x.Leave.Room, y.Leave.Room), strings.Compare(x.Leave.Stream, y.Leave.Stream))
	}
	p, q := x.Read, y.Read
	return cmp.Or(strings.Compare(p.Room, q.Room), strings.Compare(p.From, q.From), p.Limit-q.Limit, strings.Compare(p.Stream, q.Stream))
}

// NewPull makes a strategy of the store at cfg.Addr. It does not wait for it.
func NewPull(cfg PullConfig) (*Pull, error) {
	if err := cfg.Config.validate(); err != nil {
		return nil, err
	}
	if cfg.Interval == 0 {
		cfg.Interval = cfg.CheckEvery
	}
	if cfg.Interval < time.Millisecond {
		return nil, fieldError("Interval", cfg.Interval, "0 (meaning CheckEvery), or 1ms or more")
	}
	if cfg.Batch == 0 {
		cfg.Batch = pageSize
	}
	if cfg.Batch < 1 || cfg.Batch > wire.MaxLimit {
		return nil, fieldError("Batch", cfg.Batch, fmt.Sprintf("0 (meaning %d) to %d", pageSize, wire.MaxLimit))
	}
	p := &Pull{
		cfg: cfg,
		ops: newGather(comparePending),
		client: &http.Client{Transport: &http.Transport{
			DialContext: cfg.Dial, DisableCompression: true, MaxIdleConnsPerHost: 1,
		}},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.attempts = attempts{&p.cfg.Config, p.ctx.Done(), permanent}
	p.log = roomLog[result]{
		label: "pull", conf: &p.cfg.Config, done: p.ctx.Done(), every: cfg.Interval, steady: true,
		read: func(room string, from model.Cursor, _ model.Bookmark) <-chan result {
			return p.start(p.readOp(room, from))
		}, decode: decodeResult,
	}
	p.tasks.Go(p.run)
	return p, nil
}

// Close ends the connection and the subscriptions, and waits for all that was started.
func (p *Pull) Close() error {
	p.cancel()
	p.tasks.Wait()
	return nil
}

// Stats gives a copy of the counters.
func (p *Pull) Stats() PullStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Publish appends m to its room's log.
func (p *Pull) Publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	if err := checkMessage(m); err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 pull: publish: %w", err)
	}
	op := wire.Op{Append: &wire.Append{Room: m.Room, ID: m.ID, Publisher: m.Publisher, Body: m.Body}}
	r, err := p.do(ctx, op)
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop2 pull: publish %q to room %s: %w", m.ID, m.Room, err)
	}
	return model.ParseCursor(r.Cursor)
}

// Subscribe gives a room's log from a cursor.
func (p *Pull) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 pull: subscribe: %w", err)
	}
	r, err := p.do(ctx, p.readOp(room, from))
	if err != nil {
		return nil, fmt.Errorf("hop2 pull: subscribe to room %s: %w", room, err)
	}
	s := newLogReader(&p.log, room)
	s.begin(from, pageOf(room, r.Page))
	return s, nil
}

func (p *Pull) readOp(room string, from model.Cursor) wire.Op {
	return wire.Op{Read: &wire.Read{Room: room, From: from.String(), Limit: p.cfg.Batch}}
}

// pageOf is a page as merge takes it.
func pageOf(room string, w *wire.Page) page {
	pg := page{epoch: w.Epoch, first: w.First, last: w.Last, anchor: w.Anchor}
	for i := range w.Records {
		pg.messages = append(pg.messages, w.Records[i].Message(room))
	}
	return pg
}

// decodeResult gives the page that a read came to.
func decodeResult(room string, r result) (page, error) {
	if r.err != nil {
		return page{}, r.err
	}
	return pageOf(room, r.Page), nil
}

// start has an operation done. Its result comes, unless the strategy is closed.
func (p *Pull) start(op wire.Op) <-chan result {
	q := newPending(op)
	p.ops.put(q)
	return q.answer
}

// do tries an operation until it is done, ctx ends, or the store refuses it.
func (p *Pull) do(ctx context.Context, op wire.Op) (done wire.Result, err error) {
	err = p.insist(ctx, func() error {
		r := p.await(ctx, p.start(op))
		done = r.Result
		return r.err
	})
	return done, err
}

// await waits for the answer.
func (p *Pull) await(ctx context.Context, answer <-chan result) result {
	select {
	case r := <-answer:
		return r
	case <-p.ctx.Done():
		return result{err: ErrClosed}
	case <-ctx.Done():
		return result{err: ctx.Err()}
	}
}

// run sends what is put, until the strategy is closed. It is one goroutine.
func (p *Pull) run() {
	defer p.client.CloseIdleConnections()
	for {
		ops, err := p.ops.take(p.ctx)
		if err != nil {
			return
		}
		for len(ops) > 0 {
			n := min(len(ops), wire.MaxOps)
			p.send(ops[:n])
			ops = ops[n:]
		}
	}
}

// send makes one request and answers each of its operations.
func (p *Pull) send(batch []*pending) {
	ops := make([]wire.Op, len(batch))
	for i, q := range batch {
		ops[i] = q.op
	}
	results, err := p.post(ops)
	p.count(ops, results, err)
	for i, q := range batch {
		r := result{err: err}
		if err == nil {
			r.Result = results[i]
			if r.Error != "" {
				r.err = fmt.Errorf("%w: %.200s", errReply, r.Error)
			}
		}
		q.answer <- r
	}
}

// post makes one attempt at a batch. An error that is errReply's would come again.
func (p *Pull) post(ops []wire.Op) ([]wire.Result, error) {
	body, err := json.Marshal(wire.Batch{Ops: ops})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReply, err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.cfg.Addr+"/batch", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReply, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxBytes))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode >= 500:
		return nil, fmt.Errorf("the store answered %d: %.200s", resp.StatusCode, bytes.TrimSpace(b))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %d: %.200s", errReply, resp.StatusCode, bytes.TrimSpace(b))
	}
	results, err := wire.DecodeResults(b, ops)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReply, err)
	}
	return results, nil
}

func (p *Pull) count(ops []wire.Op, results []wire.Result, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Batches++
	if err != nil {
		p.stats.Failures++
		p.stats.LastFailure = err.Error()
		return
	}
	for i := range ops {
		if ops[i].Read != nil {
			p.stats.Reads++
			if pg := results[i].Page; pg != nil && len(pg.Records) == 0 {
				p.stats.Empty++
			}
		}
	}
}

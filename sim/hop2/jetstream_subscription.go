package hop2

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/twohop/twohop/model"
)

// Subscribe gives a room's log from a cursor.
func (s *JetStream) Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error) {
	if err := checkRoom(room); err != nil {
		return nil, fmt.Errorf("hop2 jetstream: subscribe: %w", err)
	}
	sub := &jetSubscription{
		readerEnd: newReaderEnd(s.link.ctx.Done()), s: s, room: room, inbox: newInbox[jetItem](s.cfg.Inbox),
		answered: make(chan natsAnswer, 1), from: &from, serial: s.link.newSerial(room),
	}
	if err := sub.begin(ctx); err != nil {
		sub.Unsubscribe()
		return nil, fmt.Errorf("hop2 jetstream: subscribe to room %s: %w", room, err)
	}
	return sub, nil
}

// jetSubscription is one reader. It has no goroutine: Next does the work. It is a natsReader.
type jetSubscription struct {
	readerEnd
	s      *JetStream
	room   string
	serial int // tells it from the room's other subscriptions: which is served first is not the scheduler's choice
	start  Start
	inbox  inbox[jetItem]

	// The reader's.
	from  *model.Cursor // where to start; nil once that is agreed
	begun bool          // start is not to be changed any more
	progress
	stage    jetStage
	answered chan natsAnswer // of the stage's call
	waiting  bool            // for it
	retry    time.Time       // when to make it, if it has failed
	failures int             // in a row
	page     page            // what the log was, when it was last looked at
	silence  time.Time       // when to take the consumer for dead, if nothing comes before
	expect   uint64          // the consumer's next number
	tries    int             // consumers that were made
	anchored bool            // the consumer need not show first which message is at the position, or it has

	mu       sync.Mutex
	consumer string // its name; "" if there is none
}

// jetStage is what a subscription needs next.
type jetStage int

const (
	jetInfo    jetStage = iota // to know what is in the stream
	jetCreate                  // a stream
	jetConsume                 // a consumer
	jetReading                 // nothing
)

// jetItem is what comes of a consumer: a message, or its word that there is none.
type jetItem struct {
	name     string // of the consumer
	consumer uint64 // the consumer's number of the message, or of its last one
	stream   uint64 // the stream's number of the message; 0 if there is none
	origin   string // the subject that the message was published on
	data     []byte
}

// Start is what was agreed.
func (j *jetSubscription) Start() Start { return j.start }

// Unsubscribe ends the subscription.
func (j *jetSubscription) Unsubscribe() {
	if j.end(ErrClosed) {
		j.drop()
	}
}

// drop gives the consumer up.
func (j *jetSubscription) drop() {
	j.mu.Lock()
	consumer := j.consumer
	j.consumer = ""
	j.mu.Unlock()
	if consumer == "" {
		return
	}
	j.s.link.unlisten(j.s.deliverSubject(consumer), j)
	j.s.link.calls.put(&natsCall{room: j.room, subject: "$JS.API.CONSUMER.DELETE." + j.s.stream(j.room) + "." + consumer})
}

// begin agrees on the position, and waits for the first consumer.
func (j *jetSubscription) begin(ctx context.Context) error {
	for {
		j.collect()
		if j.stage == jetReading && j.anchored {
			j.begun = true
			return nil
		}
		if err := j.ended(ctx); err != nil {
			if errors.Is(err, ErrClosed) {
				return err
			}
			j.s.link.mu.Lock()
			defer j.s.link.mu.Unlock()
			return fmt.Errorf("%w: %w (last failure: %s)", ErrUnavailable, err, j.s.link.lastFail)
		}
		if err := j.step(ctx); err != nil {
			return err
		}
	}
}

// Next blocks until there is a batch.
func (j *jetSubscription) Next(ctx context.Context) (Batch, error) {
	for {
		if err := j.ended(ctx); err != nil {
			return Batch{}, err
		}
		j.collect()
		if b, ok := j.pop(); ok {
			return b, nil
		}
		if err := j.step(ctx); err != nil {
			return Batch{}, fmt.Errorf("hop2 jetstream: read room %s: %w", j.room, err)
		}
	}
}

// step makes the stage's call, if it has one and it is time, and waits until something happens. It fails
// if trying again would not help.
func (j *jetSubscription) step(ctx context.Context) error {
	now := time.Now()
	wake := j.silence
	switch {
	case j.waiting:
		wake = now.Add(time.Hour)
	case j.stage == jetReading && !now.Before(j.silence):
		j.lost()
		return nil
	case j.stage != jetReading && now.Before(j.retry):
		wake = j.retry
	case j.stage != jetReading:
		j.call()
		wake = now.Add(time.Hour)
	}
	t := time.NewTimer(time.Until(wake))
	defer t.Stop()
	select {
	case a := <-j.answered:
		j.waiting = false
		return j.answer(a)
	case <-t.C:
	case <-j.inbox.wake:
	case <-j.closed:
	case <-j.strategy:
	case <-ctx.Done():
	}
	return nil
}

// call makes the stage's call.
func (j *jetSubscription) call() {
	var c *natsCall
	switch j.stage {
	case jetInfo:
		c = j.s.infoCall(j.room)
	case jetCreate:
		c = j.s.createCall(j.room)
	default:
		c = j.consumeCall()
	}
	c.answer, c.tie = func(a natsAnswer) { j.answered <- a }, fmt.Sprintf("%06d", j.serial)
	j.waiting = true
	j.s.link.calls.put(c)
}

// consumeCall makes a consumer that begins with the message at the position, or after it, if that is not kept.
func (j *jetSubscription) consumeCall() *natsCall {
	s := j.s
	j.tries++
	name := fmt.Sprintf("%s-%s-%06d-%d", natsToken(j.room), s.link.id, j.serial, j.tries)
	j.mu.Lock()
	j.consumer = name
	j.mu.Unlock()
	s.link.listen(s.deliverSubject(name), j)
	select {
	case <-j.closed: // it was closed meanwhile, and nobody will drop the consumer
		j.drop()
	default:
	}
	j.expect, j.anchored = 1, j.at.Seq < j.page.first
	begin := j.at.Seq
	if j.anchored {
		begin++
	}
	filter := s.subject(j.room, j.at.Epoch)
	request := struct {
		Stream string         `json:"stream_name"`
		Config consumerConfig `json:"config"`
	}{s.stream(j.room), consumerConfig{
		Name: name, Deliver: s.deliverSubject(name), DeliverPolicy: "by_start_sequence", StartSeq: begin, Filter: filter,
		AckPolicy: "none", ReplayPolicy: "instant", MaxDeliver: -1, Replicas: 1, Memory: true,
		Heartbeat: max(s.cfg.CheckEvery, minHeartbeat), FlowControl: true, Inactive: consumerLinger,
	}}
	return &natsCall{
		room: j.room, data: mustJSON(request),
		subject: "$JS.API.CONSUMER.CREATE." + s.stream(j.room) + "." + name + "." + filter,
	}
}

const (
	// minHeartbeat is the least that nats-server accepts.
	minHeartbeat = 100 * time.Millisecond
	// consumerLinger is how long the server keeps a consumer whose client is gone.
	consumerLinger = 5 * time.Second
)

// answer takes the answer to the stage's call.
func (j *jetSubscription) answer(a natsAnswer) error {
	p, err := page{}, a.err
	if err == nil && j.stage == jetConsume {
		var reply struct {
			Error *apiError `json:"error"`
		}
		err = decodeAPI(a.data, &reply, &reply.Error)
	} else if err == nil {
		p, err = j.s.decodeInfo(j.room, a.data)
	}
	if err == nil {
		j.failures = 0
		j.proceed(p)
		return nil
	}
	stage := j.stage
	if stage == jetConsume {
		j.drop()
	}
	j.stage = jetInfo // whatever was there may have changed
	if isMissing(err) && stage == jetInfo {
		j.stage = jetCreate
		return nil
	}
	if stage != jetConsume && natsPermanent(err) {
		return err
	}
	j.failures++
	j.retry = time.Now().Add(j.s.cfg.backoff(j.failures))
	return nil
}

// proceed goes to the next stage.
func (j *jetSubscription) proceed(p page) {
	if j.stage == jetConsume {
		j.stage = jetReading
		j.heard()
		return
	}
	j.page, j.stage = p, jetConsume
	if j.from == nil {
		switch to, why := agree(j.at, p); {
		case why != "":
			j.skip(to, "", why)
		case j.at.Seq < p.first && j.id != "":
			j.skip(to, "", fmt.Sprintf("trimmed: message %d is not kept, and whether the log is still the same not known", to.Seq))
		}
		return
	}
	j.at, j.start.Gap = agree(*j.from, p)
	j.start.Cursor = j.at
	j.from = nil
}

// lost says that the consumer is dead, or that something of what it delivered is missing.
func (j *jetSubscription) lost() {
	if j.stage == jetReading {
		j.drop()
		j.stage = jetInfo
	}
}

// heard says that the consumer is alive.
func (j *jetSubscription) heard() {
	j.silence = time.Now().Add(max(j.s.cfg.CheckEvery, minHeartbeat) + j.s.cfg.Timeout)
}

// collect takes what came.
func (j *jetSubscription) collect() {
	items, doubt := j.inbox.take()
	for _, item := range items {
		j.mu.Lock()
		current := item.name == j.consumer
		j.mu.Unlock()
		if current {
			j.take(item)
		}
	}
	if doubt {
		j.lost()
	}
}

// take takes what the present consumer delivered.
func (j *jetSubscription) take(item jetItem) {
	j.heard()
	if item.stream == 0 {
		if item.consumer >= j.expect {
			j.lost()
		}
		return
	}
	if item.consumer != j.expect || item.stream < j.at.Seq || j.anchored && item.stream == j.at.Seq {
		j.lost()
		return
	}
	j.expect++
	epoch, ok := j.s.epochOf(j.room, item.origin)
	if !ok || epoch != j.at.Epoch {
		j.lost()
		return
	}
	m, err := decodeRecord(j.room, item.stream, string(item.data))
	if !j.anchored {
		j.anchored = true
		if item.stream == j.at.Seq {
			j.compare(m.ID)
			return
		}
	}
	if err != nil {
		j.skip(model.Cursor{Epoch: epoch, Seq: item.stream}, "", "no message: "+err.Error())
		return
	}
	if item.stream > j.at.Seq+1 {
		j.skip(model.Cursor{Epoch: epoch, Seq: item.stream - 1}, "", "missing in the log")
	}
	j.deliver(m)
}

// compare takes the ID of the message at the position, "" if that is no message.
func (j *jetSubscription) compare(id string) {
	if replaced(j.id, id) {
		j.another(j.bookmark(), id)
	}
	j.id = id
	if !j.begun && j.at == j.start.Cursor {
		j.start.Anchor = id
	}
}

// message takes what the link hands on.
func (j *jetSubscription) message(m *nats.Msg, reply func(string, []byte)) {
	item, err := decodeJet(m)
	if err != nil {
		j.inbox.suspect()
		return
	}
	if item.stream == 0 && m.Reply != "" { // flow control: the server waits for a word
		reply(m.Reply, nil)
		return
	}
	if stalled := m.Header.Get("Nats-Consumer-Stalled"); stalled != "" {
		reply(stalled, nil)
	}
	j.inbox.push(item)
}

func (j *jetSubscription) resubscribed() { j.inbox.suspect() }

// decodeJet reads what a consumer delivers: a message, with its numbers, or a status.
func decodeJet(m *nats.Msg) (jetItem, error) {
	item := jetItem{name: m.Sub.Subject[strings.LastIndexByte(m.Sub.Subject, '.')+1:], origin: m.Subject}
	if m.Header.Get("Status") == "100" {
		last := m.Header.Get("Nats-Last-Consumer")
		if last == "" {
			return item, nil // flow control
		}
		n, err := strconv.ParseUint(last, 10, 64)
		item.consumer = n
		return item, err
	}
	var ok bool
	if item.stream, item.consumer, ok = ackNumbers(m.Reply); !ok {
		return item, fmt.Errorf("%w: delivered with the reply subject %.200q", errReply, m.Reply)
	}
	item.data = m.Data
	return item, nil
}

// ackNumbers reads the subject that would acknowledge a message of JetStream's,
// $JS.ACK.stream.consumer.delivered.streamSeq.consumerSeq.time.pending, possibly with a domain and the
// hash of an account after $JS.ACK (NATS's ADR-15). Neither number is 0.
func ackNumbers(subject string) (stream, consumer uint64, ok bool) {
	tokens := strings.Split(subject, ".")
	if len(tokens) >= 11 {
		tokens = append(tokens[:2:2], tokens[4:]...)
	}
	if len(tokens) < 9 || tokens[0] != "$JS" || tokens[1] != "ACK" {
		return 0, 0, false
	}
	stream, err := strconv.ParseUint(tokens[5], 10, 64)
	consumer, err2 := strconv.ParseUint(tokens[6], 10, 64)
	return stream, consumer, err == nil && err2 == nil && stream > 0 && consumer > 0
}

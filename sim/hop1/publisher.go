package hop1

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/twohop/twohop/model"
)

// PublishRequest is the JSON body of POST /rooms/{room}/messages. Body is base64 there.
type PublishRequest struct {
	ID        string `json:"id"`
	Publisher string `json:"publisher"`
	Body      []byte `json:"body"`
}

// PublishReply is the JSON body of its answer: the cursor at which the message stands in the log.
type PublishReply struct {
	Cursor string `json:"cursor"`
}

// Publisher publishes messages over HTTP, and tries again until it knows that a message is in the
// log. All attempts carry the same ID, so that the log holds it once. Only BaseURL is needed.
//
// A Publisher may be used concurrently unless it has a Rand.
type Publisher struct {
	// Name is the publisher's name, in messages and events.
	Name string
	// BaseURL is what rooms hang from, such as "http://edge:8080".
	BaseURL string
	// HTTP makes the requests. Its Timeout must be 0. Its Jar, if there is one, sends cookies along. nil
	// means http.DefaultClient.
	HTTP *http.Client
	// Header is sent with every request, such as an Authorization.
	Header http.Header
	// Over, unless nil, is a client of the room: an attempt that finds it connected by WebSocket goes over
	// that connection, to the server that it has, and any other by POST.
	Over *Client
	// AttemptTimeout bounds one attempt. 0 means 5 s. Over a connection that takes nothing, it takes up to
	// the client's IdleTimeout longer.
	AttemptTimeout time.Duration
	// MaxElapsed bounds all attempts for one message. 0 means that only the context does.
	MaxElapsed time.Duration
	// Backoff is how long to wait between attempts.
	Backoff Backoff
	// Rand draws the jitter. nil means a generator seeded by crypto/rand.
	Rand *rand.Rand
	// Observe gets PublishCall, then PublishOK or PublishUnknown, with all fields but Step and Time,
	// from the goroutine that publishes; but a PublishOK over Over's connection from that client's, which
	// receives nothing while it blocks. nil means nobody looks.
	Observe func(model.Event)
}

func (p *Publisher) validate() error {
	if _, err := baseField(p.BaseURL); err != nil {
		return err
	}
	if err := clientField(&p.HTTP); err != nil {
		return err
	}
	if err := headerField(p.Header); err != nil {
		return err
	}
	if err := durationField("AttemptTimeout", &p.AttemptTimeout, 5*time.Second); err != nil {
		return err
	}
	if p.MaxElapsed < 0 {
		return fieldError("MaxElapsed", p.MaxElapsed, "0 (meaning no bound) or more")
	}
	if err := p.Backoff.validate(); err != nil {
		return err
	}
	if p.Rand == nil {
		p.Rand = newRand()
	}
	if p.Observe == nil {
		p.Observe = func(model.Event) {}
	}
	return nil
}

// Publish publishes one message ([model.CheckMessage]) and gives its position in the log. It tries again after transport
// errors, 429 and 5xx, and gives up when ctx or MaxElapsed ends or at any other answer, which for 401 and
// 403 wraps [ErrUnauthorized] and [ErrForbidden]. After an
// error of validation, for which no event is recorded, nothing was sent; after any other error the
// message may or may not be in the log, and publishing the same ID again is safe.
func (p Publisher) Publish(ctx context.Context, room, id string, body []byte) (model.Cursor, error) {
	err := p.validate()
	if err == nil {
		err = model.CheckMessage(model.Message{Room: room, ID: id, Publisher: p.Name, Body: body})
	}
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop1 publisher: %w", err)
	}
	if p.Over != nil && p.Over.cfg.Room != room {
		return model.Cursor{}, fmt.Errorf("hop1 publisher: Over: a client of room %q; want one of room %q", p.Over.cfg.Room, room)
	}
	req := PublishRequest{ID: id, Publisher: p.Name, Body: body}
	payload, err := json.Marshal(req)
	if err != nil {
		return model.Cursor{}, fmt.Errorf("hop1 publisher: %w", err)
	}
	url := strings.TrimSuffix(p.BaseURL, "/") + "/rooms/" + room + "/messages"
	ev := model.Event{Kind: model.PublishCall, Node: p.Name, Room: room, ID: id}
	published := false
	acked := func(at model.Cursor) {
		published = true
		ok := ev
		ok.Kind, ok.Epoch, ok.Seq = model.PublishOK, at.Epoch, at.Seq
		p.Observe(ok)
	}
	attempt := func(ctx context.Context) (model.Cursor, error) {
		ctx, cancel := context.WithTimeout(ctx, p.AttemptTimeout)
		defer cancel()
		if p.Over != nil {
			if ws := p.Over.line.get(); ws != nil {
				return ws.publish(ctx, req, acked)
			}
		}
		return p.post(ctx, url, payload)
	}
	if p.MaxElapsed > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.MaxElapsed)
		defer cancel()
	}

	p.Observe(ev)
	at, err := p.insist(ctx, attempt)
	if err != nil {
		ev.Kind, ev.Note = model.PublishUnknown, err.Error()
		p.Observe(ev)
		return model.Cursor{}, fmt.Errorf("publish %.40q: %w", id, err)
	}
	if !published {
		acked(at)
	}
	return at, nil
}

// insist makes attempts until one gets a cursor or a final no.
func (p *Publisher) insist(ctx context.Context, attempt func(context.Context) (model.Cursor, error)) (model.Cursor, error) {
	for failures := 0; ; failures++ {
		at, err := attempt(ctx)
		if err == nil {
			return at, nil
		}
		var st *statusError
		if errors.As(err, &st) && st.code < 500 && st.code != http.StatusTooManyRequests {
			return model.Cursor{}, err
		}
		if end := pause(ctx, p.Backoff.delay(p.Rand, failures, hintOf(err))); end != nil {
			return model.Cursor{}, fmt.Errorf("gave up after attempt %d: %w (%w)", failures+1, end, err)
		}
	}
}

// post makes one attempt over HTTP. Any answer but 200 is a statusError.
func (p *Publisher) post(ctx context.Context, url string, payload []byte) (model.Cursor, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return model.Cursor{}, err
	}
	maps.Copy(req.Header, p.Header)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return model.Cursor{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return model.Cursor{}, refusal(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return model.Cursor{}, err
	}
	return decodeReply(b)
}

func decodeReply(b []byte) (model.Cursor, error) {
	var reply PublishReply
	if err := json.Unmarshal(b, &reply); err != nil {
		return model.Cursor{}, fmt.Errorf("publish reply: %w", err)
	}
	at, err := model.ParseCursor(reply.Cursor)
	if err == nil && at.Seq == 0 {
		err = fmt.Errorf("publish reply: cursor %q is no message's position", reply.Cursor)
	}
	return at, err
}

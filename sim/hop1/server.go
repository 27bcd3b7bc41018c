package hop1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/twohop/twohop/model"
)

// ServerConfig configures [Handler]. Only Feed is needed.
type ServerConfig struct {
	// Feed is what is served.
	Feed Feed
	// Name is told to clients in the hello, as who serves them. It may be empty.
	Name string
	// Heartbeat is after how much silence a connection gives a sign of life: the WebSocket server pings a client of
	// which it has heard nothing for so long, the SSE server writes a comment after so much silence of its own. 0
	// means 1 s. Clients' IdleTimeout must be longer.
	Heartbeat time.Duration
	// IdleTimeout is how long a WebSocket client may be silent before it is taken for dead. It must be
	// longer than Heartbeat and the longest round trip together. 0 means three heartbeats.
	IdleTimeout time.Duration
	// WriteTimeout is how long a client may take to accept one frame. 0 means 3 s. For WebSocket clients
	// more than IdleTimeout, or 5 s, makes no difference: the server's own pings wait behind the frame.
	WriteTimeout time.Duration
	// Hold is the longest that a long poll for which there is nothing is held, 1 ms to an hour. Clients
	// may ask for less. Whatever is on the way must let a connection be silent for longer
	// ([HoldWarning]). 0 means 25 s.
	Hold time.Duration
	// RetryHint, unless 0, asks clients to stay away this long when the server drains. It is at most
	// one minute, and cut to whole milliseconds.
	RetryHint time.Duration
	// RetrySpread is the window over which the clients of a draining server are asked to come back, so
	// that they do not fall on the next server all at once: each is told RetryHint and a share of the
	// window of its own, by the order in which they connected. The two are one minute together at
	// most. 0 tells all the same.
	RetrySpread time.Duration
	// UserTimeout is how long what was sent may stay unacknowledged before TCP gives a connection up
	// (RFC 5482), if the http.Server was set up by [Configure] and the connection can do it. A half-open
	// SSE client is then found within Heartbeat, UserTimeout and a retransmission's wait. 0 means
	// IdleTimeout.
	UserTimeout time.Duration
	// Compression offers clients permessage-deflate (RFC 7692) on WebSocket connections, without a
	// context kept from one message to the next, for messages from half a kilobyte.
	Compression bool
	// Publish, unless nil, lets clients publish over their WebSocket connections: it appends a
	// message ([model.CheckMessage] holds, but for its ID), whose sender [Identity] has, and gives its
	// position. An error that wraps [ErrRejected] is final; after any other the client tries again.
	// nil ends a connection whose client sends anything.
	Publish func(context.Context, model.Message) (model.Cursor, error)
	// MaxBody is the largest body of a message that Publish gets, in bytes. 0 means 64 KiB. At 2 MaxBody
	// and 4 KiB a frame ends its connection.
	MaxBody int
	// Guard says whom the server lets in.
	Guard Guard
	// WebRTC is how peer connections are made; of the others, no transport needs it. nil means the zero
	// value: the machine's own interfaces.
	WebRTC *WebRTC
}

func (c *ServerConfig) validate() error {
	if c.Feed == nil {
		return fieldError("Feed", nil, "a Feed")
	}
	if err := livenessFields(&c.Heartbeat, &c.IdleTimeout); err != nil {
		return err
	}
	if err := durationField("WriteTimeout", &c.WriteTimeout, 3*time.Second); err != nil {
		return err
	}
	if err := holdField(&c.Hold); err != nil {
		return err
	}
	if c.RetryHint < 0 || c.RetryHint > maxRetryHint {
		return fieldError("RetryHint", c.RetryHint, "0 to "+maxRetryHint.String())
	}
	c.RetryHint = c.RetryHint.Truncate(time.Millisecond)
	if c.RetrySpread < 0 || c.RetrySpread > maxRetryHint-c.RetryHint {
		return fieldError("RetrySpread", c.RetrySpread, "0 to "+(maxRetryHint-c.RetryHint).String()+", so that RetryHint and it are one minute at most")
	}
	if err := durationField("UserTimeout", &c.UserTimeout, c.IdleTimeout); err != nil {
		return err
	}
	if c.MaxBody < 0 || c.MaxBody > model.MaxBodyLen {
		return fieldError("MaxBody", c.MaxBody, fmt.Sprintf("0 (meaning %d) to %d", defaultMaxBody, model.MaxBodyLen))
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.WebRTC == nil {
		c.WebRTC = new(WebRTC)
	}
	return nil
}

// defaultMaxBody is the largest body of a message, unless configured.
const defaultMaxBody = 64 << 10

// Handler serves rooms to clients, over every transport:
//
//	GET /rooms/{room}/ws?cursor=E:S/A            WebSocket
//	GET /rooms/{room}/events?cursor=E:S/A        server-sent events; a Last-Event-ID header takes precedence
//	GET /rooms/{room}/webrtc?cursor=E:S/A        WebSocket that opens a WebRTC data channel, by [Signal]s
//	GET /rooms/{room}/poll?cursor=E:S/A          what there is now, as lines of JSON, or 304
//	GET /rooms/{room}/longpoll?cursor=E:S/A&hold=  the same, but held until there is something, for the
//	                                             given milliseconds at most, or as long as Hold
//
// The answer to a poll has an ETag. A client that sends it back in If-None-Match, with its cursor, is
// answered with 304 if there is nothing new.
//
// The cursor is a [model.Bookmark]: a position, and the ID of the message there. An EventSource keeps and brings it
// by itself, as the ID of its last event. Without the anchor, as E:S, a resume begins with the message at the
// position, and it is for the client to see whether that is the one it had.
//
// Without a cursor the client starts at the live end. A room ([model.CheckRoom]), cursor or hold that cannot
// be one is answered with 400 and a sentence, an unknown room with 404, a draining server with 503, and
// whom the [Guard] does not let in with 401, 403, 429 or 503. OPTIONS is answered for the pages of allowed
// origins.
//
// The handler has a method Configure(*http.Server), which does what [Configure] does.
//
// A connection ends when its client leaves or falls silent, when the request's context ends, or when
// the feed ends it; its subscription is closed last, after the goodbye, for which even a client that
// takes nothing any more can need no more than three WriteTimeouts, and one more if it publishes. [http.Server.Shutdown] does not
// wait for WebSocket connections, which are hijacked, nor end the others: to drain a server, let the
// feed answer [ErrDraining], and wait until it has no open subscriptions. Ending the [http.Server]'s
// BaseContext has the same effect on its connections.
func Handler(cfg ServerConfig) (http.Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("hop1 server: %w", err)
	}
	gate, err := NewGate(cfg.Guard, cfg.RetryHint)
	if err != nil {
		return nil, err
	}
	s := &server{cfg: cfg}
	mux := http.NewServeMux()
	for _, t := range transports {
		mux.Handle("GET /rooms/{room}/"+t.path, gate.Stream(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(t, w, r) })))
		mux.HandleFunc("OPTIONS /rooms/{room}/"+t.path, gate.Preflight)
	}
	return configured{mux, cfg.UserTimeout}, nil
}

// server answers the requests of all transports.
type server struct {
	cfg   ServerConfig
	turns atomic.Uint64 // subscriptions opened, and refused because the server drains
}

func (s *server) handle(t transport, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // the pattern admits HEAD, for which a stream makes no sense
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a stream is for GET only", http.StatusMethodNotAllowed)
		return
	}
	room := r.PathValue("room")
	if err := model.CheckRoom(room); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	asked, err := requestClaim(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hold, err := requestHold(r, s.cfg.Hold)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r = r.WithContext(withRemote(s.takeTurn(r.Context()), r))
	sub, err := s.open(r.Context(), room, asked.Cursor)
	if err != nil {
		s.refuse(r.Context(), w, err)
		return
	}
	defer sub.Close()
	o := agree(sub, asked)
	o.hold = hold
	t.serve(s, w, r, o)
}

// open subscribes, and holds the feed to its contract: a cursor goes into the stream's framing.
func (s *server) open(ctx context.Context, room string, asked model.Cursor) (Subscription, error) {
	sub, err := s.cfg.Feed.Open(ctx, room, asked)
	if err != nil {
		return nil, err
	}
	if err := checkPosition(sub.Start().Cursor); err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// checkPosition rejects what no client could send back as its cursor.
func checkPosition(at model.Cursor) error {
	if _, err := model.ParseCursor(at.String()); err != nil || at.IsZero() {
		return fmt.Errorf("the feed's position is no cursor: %+v", at)
	}
	return nil
}

// refuse answers a request whose subscription could not be opened.
func (s *server) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrNoRoom):
		http.Error(w, ErrNoRoom.Error(), http.StatusNotFound)
	case errors.Is(err, ErrDraining):
		if hint := s.retryHint(ctx); hint > 0 {
			retryLater(w, hint)
		}
		// Without this the client would come back over the same connection, to the same server.
		w.Header().Set("Connection", "close")
		http.Error(w, ErrDraining.Error(), http.StatusServiceUnavailable)
	default:
		http.Error(w, "the room cannot be opened: "+err.Error(), http.StatusServiceUnavailable)
	}
}

// pump sends the opening, then all that the subscription gives, until either fails; it never returns
// nil. send writes frames in order and pushes them out, each within WriteTimeout. beat, unless nil,
// is called after every Heartbeat of silence.
func (s *server) pump(ctx context.Context, sub *opened, send func([]frame) error, beat func() error) error {
	start := sub.Start()
	frames, epoch := s.opening(start, sub.asked.Cursor), start.Cursor.Epoch
	beats := time.NewTimer(s.cfg.Heartbeat)
	defer beats.Stop()
	for {
		if err := send(frames); err != nil {
			return fmt.Errorf("%w: %w", errGone, err)
		}
		b, err := s.next(ctx, sub, beats, beat)
		if err != nil {
			return err
		}
		frames = frames[:0]
		if b.Gap != nil {
			if err := checkPosition(b.Gap.To); err != nil {
				return err
			}
			epoch = b.Gap.To.Epoch
			frames = append(frames, frame{Type: frameDiscontinuity, Cursor: b.Gap.To, Anchor: b.Gap.Anchor, Reason: b.Gap.Why})
			continue
		}
		for i := range b.Messages {
			m := &b.Messages[i]
			frames = append(frames, frame{Type: frameMessage, Cursor: model.Cursor{Epoch: epoch, Seq: m.Seq}, Message: m})
		}
	}
}

func (s *server) opening(start Start, asked model.Cursor) []frame {
	hello := frame{
		Type: frameHello, Cursor: start.Cursor, Anchor: start.Anchor, Server: s.cfg.Name,
		Resumed: start.Resumed, Anchorless: start.Resumed && start.Anchorless,
	}
	if asked.IsZero() || start.Resumed {
		return []frame{hello}
	}
	hello.Cursor, hello.Anchor = model.Cursor{}, ""
	return []frame{hello, {Type: frameDiscontinuity, Cursor: start.Cursor, Anchor: start.Anchor, Reason: start.Gap}}
}

// beatLag is how much later than its Heartbeat a beat comes. What comes from hop 2 by a period that divides the
// Heartbeat, as when pull polls, would otherwise fall on the very nanosecond of a beat, in virtual time, where
// the scheduler decides which of two is first.
const beatLag = 500 * time.Nanosecond

// next waits for a batch, and beats meanwhile.
func (s *server) next(ctx context.Context, sub Subscription, beats *time.Timer, beat func() error) (Batch, error) {
	if beat == nil {
		return sub.Next(ctx, nil)
	}
	for {
		beats.Reset(s.cfg.Heartbeat + beatLag)
		b, err := sub.Next(ctx, beats.C)
		if err != nil || !b.isEmpty() {
			return b, err
		}
		if err := beat(); err != nil {
			return Batch{}, fmt.Errorf("%w: %w", errGone, err)
		}
	}
}

// Why a connection ends, besides what the feed says.
var (
	// errGone: the connection is of no use any more, not even for a goodbye.
	errGone = errors.New("client gone")
	// errSpoke: the client sent what no client may send.
	errSpoke = errors.New("client sent a message")
	// errGarbage: the client sent something else than a publish frame.
	errGarbage = errors.New("client sent garbage")
	// errTooBig: the client sent a message beyond all limits.
	errTooBig = errors.New("client sent a message that is too big")
)

// Why a server says goodbye, as told to the client.
const (
	reasonDraining = "draining"
	reasonSlow     = "slow consumer"
	reasonSpoke    = "clients may not send messages"
	reasonGarbage  = "not a publish frame"
	reasonTooBig   = "message too big"
	reasonEnded    = "subscription ended"
)

// farewell gives the goodbye for how pump, under ctx, ended; false if there is nobody to hear it.
func (s *server) farewell(ctx context.Context, err error) (frame, bool) {
	bye := frame{Type: frameGoodbye}
	switch cause := context.Cause(ctx); {
	case errors.Is(err, errGone), errors.Is(cause, errGone):
		return frame{}, false
	case errors.Is(err, ErrSlowConsumer):
		bye.Reason = reasonSlow
	case errors.Is(cause, errSpoke):
		bye.Reason = reasonSpoke
	case errors.Is(cause, errGarbage):
		bye.Reason = reasonGarbage
	case errors.Is(cause, errTooBig):
		bye.Reason = reasonTooBig
	case errors.Is(err, ErrDraining), errors.Is(err, ctx.Err()):
		bye.Reason, bye.Retry = reasonDraining, s.retryHint(ctx)
	default:
		bye.Reason = reasonEnded
	}
	return bye, true
}

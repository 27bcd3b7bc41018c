package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// Config configures a [Server]. Only Strategy is needed.
type Config struct {
	// Name is told to clients as who serves them. It may be empty.
	Name string
	// Strategy is hop 2. The server does not close it.
	Strategy hop2.Strategy

	// QueueLimit is how many messages a client may be behind, a gap that it is yet to be told of counting
	// as one. One more, and it is a slow consumer. 0 means 256.
	QueueLimit int
	// Slow is what happens to a slow consumer. "" means [Disconnect].
	Slow SlowPolicy
	// Key gives what a message is about, for [Conflate]: a later message of the same key makes it
	// worthless. "" is a key like any other. It is called once for each message, and must not block.
	Key func(model.Message) string
	// KeyLimit is for how many keys of a room the latest message is kept for Conflate. 0 means 4096.
	KeyLimit int
	// History is how many of a room's latest messages are kept, so that clients resume without asking
	// hop 2. At least QueueLimit are kept in any case. 0 means 128.
	History int
	// MaxBody is the largest body that can be published, in bytes, at most [model.MaxBodyLen]. Clients
	// must accept frames of 4/3 of that and some 600 bytes. 0 means 64 KiB.
	MaxBody int
	// Aggregate is for how long a room gathers messages, from the first on, before it passes them on as one
	// batch, at most a minute. It costs a message up to that much latency, and half of it where messages are
	// many. It saves the server a wake-up of each client, and of an SSE or a polling one a write, and it saves
	// packets and their headers, for each message but the first of a batch; a WebSocket message is still
	// written by itself. A batch is not held once it has half of QueueLimit. [model.Aggregation] has the
	// closed form. 0 passes on what comes as it comes.
	Aggregate time.Duration
	// Linger is how long a room is kept open after its last client left. 0 means 5 s.
	Linger time.Duration
	// OpenTimeout bounds how long a client waits for its subscription, and PublishTimeout how long a
	// publisher waits for its answer, if the broker is not to be reached. It should be less than what
	// they have patience for. 0 means 3 s.
	OpenTimeout, PublishTimeout time.Duration

	// Heartbeat, IdleTimeout, WriteTimeout, Hold, RetryHint, RetrySpread and UserTimeout are those of
	// [hop1.ServerConfig].
	Heartbeat, IdleTimeout, WriteTimeout, Hold, RetryHint, RetrySpread, UserTimeout time.Duration
	// Compression is that of [hop1.ServerConfig].
	Compression bool
	// WebRTC is that of [hop1.ServerConfig].
	WebRTC *hop1.WebRTC
	// Guard says whom the server lets in, to subscribe or to publish.
	Guard hop1.Guard
	// Presence, unless nil, has the server know who is in each room. It needs a Name, which no other server
	// of the same hop 2 has, and a Guard that authenticates.
	Presence *Presence

	// Observe, unless nil, gets what passes through the server: [model.Append] when hop 2 has taken a
	// publisher's message, [model.Receive] for what a room gets from hop 2, and [model.Copy] for what is
	// handed to a client's transport, whose Peer is as Who says. It is called by many goroutines, and must not
	// block.
	Observe func(model.Event)
	// Who names the client of a subscription in what Observe gets, by the context of its request. nil means
	// [hop1.Remote].
	Who func(context.Context) string

	// Mutant is a deliberate bug; the zero value is none.
	Mutant Mutant
}

// validate checks the configuration and fills in defaults. The fields that are hop 1's are checked
// there.
func (c *Config) validate() error {
	if c.Strategy == nil {
		return fieldError("Strategy", nil, "a hop2.Strategy")
	}
	if err := c.Slow.validate(); err != nil {
		return err
	}
	if err := c.Mutant.validate(); err != nil {
		return err
	}
	if c.Slow == "" {
		c.Slow = Disconnect
	}
	if c.Who == nil {
		c.Who = hop1.Remote
	}
	if (c.Slow == Conflate) != (c.Key != nil) {
		return fieldError("Key", map[bool]string{true: "nil", false: "a function"}[c.Key == nil],
			fmt.Sprintf("one with Slow %q, and only with it; Slow is %q", Conflate, c.Slow))
	}
	for _, f := range []struct {
		name             string
		value            *int
		byDefault, limit int
	}{
		{"QueueLimit", &c.QueueLimit, 256, 1 << 24},
		{"History", &c.History, 128, 1 << 24},
		{"KeyLimit", &c.KeyLimit, 4096, 1 << 24},
		{"MaxBody", &c.MaxBody, 64 << 10, model.MaxBodyLen},
	} {
		if *f.value < 0 || *f.value > f.limit {
			return fieldError(f.name, *f.value, fmt.Sprintf("0 (meaning %d) to %d", f.byDefault, f.limit))
		}
		if *f.value == 0 {
			*f.value = f.byDefault
		}
	}
	if c.Aggregate < 0 || c.Aggregate > time.Minute {
		return fieldError("Aggregate", c.Aggregate, "0 (meaning that nothing waits) to 1m0s")
	}
	if err := c.checkPresence(); err != nil {
		return err
	}
	for _, f := range []struct {
		name      string
		value     *time.Duration
		byDefault time.Duration
	}{
		{"Linger", &c.Linger, 5 * time.Second},
		{"OpenTimeout", &c.OpenTimeout, 3 * time.Second},
		{"PublishTimeout", &c.PublishTimeout, 3 * time.Second},
	} {
		if *f.value < 0 {
			return fieldError(f.name, *f.value, fmt.Sprintf("0 (meaning %v) or more", f.byDefault))
		}
		if *f.value == 0 {
			*f.value = f.byDefault
		}
	}
	return nil
}

func (c *Config) checkPresence() error {
	if c.Presence == nil {
		return nil
	}
	p := *c.Presence // the caller's is left alone
	c.Presence = &p
	switch {
	case c.Name == "":
		return fieldError("Name", `""`, "a name, by which other servers know this one, with Presence")
	case c.Guard.Authenticate == nil:
		return fieldError("Guard.Authenticate", nil, "a function, which says who a client is, with Presence")
	}
	return p.validate()
}

func fieldError(field string, value any, want string) error {
	return fmt.Errorf("edge: %s: %v; want %s", field, value, want)
}

package hop2

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// Config configures a strategy. Only Addr is needed.
type Config struct {
	// Addr is the broker's address, as Dial takes it, such as "broker:6379".
	Addr string
	// Dial makes the connections. nil means the system's network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// History is how many messages a room's log keeps. 0 means 1000.
	History int
	// Remember is how many of a room's latest message IDs are kept, so that a message published again
	// appends nothing. It must cover what all publishers of a room can publish while one of them
	// tries again. 0 means 4096.
	Remember int
	// RememberFor is the same for a strategy that counts time instead: jetstream. 0 means 2 min; at least
	// 100 ms.
	RememberFor time.Duration
	// Storage is where a room's log is kept by a broker that leaves the choice: jetstream's "file" or
	// "memory". It is looked at when the room's log begins. "" means "file".
	Storage string
	// CheckEvery is how long a subscription believes a silence: then it looks at the log itself. It
	// bounds how late a message comes whose live copy was lost. (With a log in Redis it is at most so long, and
	// more than half as long, so that looks at several rooms go together.) The connection for live messages is
	// probed when it has been silent for so long. 0 means 1 s.
	CheckEvery time.Duration
	// Timeout bounds one attempt at anything, its dial included; and a broker that is silent for
	// Timeout after a probe is taken for dead. 0 means 2 s.
	Timeout time.Duration
	// RetryMin and RetryMax bound the wait between attempts, which doubles from one to the other. It
	// has no jitter. 0 means 50 ms, and 1 s or RetryMin if that is longer.
	RetryMin, RetryMax time.Duration
	// Inbox is how many live messages wait for a subscription's reader. More than that are dropped,
	// and read from the log when the reader comes back. 0 means 1024.
	Inbox int
	// Namespace begins all of the broker's keys: 1 to 32 of [A-Za-z0-9_-]. "" means "twohop".
	Namespace string
	// Rand draws what tells the epochs of this strategy from those of others; it is used only by the
	// constructor. nil means a generator seeded by crypto/rand.
	Rand *rand.Rand
	// Mutant is a deliberate bug; the zero value is none.
	Mutant Mutant
}

// validate checks the configuration and fills in defaults.
func (c *Config) validate() error {
	if c.Addr == "" {
		return fieldError("Addr", `""`, "the broker's address")
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if err := cmp.Or(
		checkCount("History", &c.History, 1000), checkCount("Remember", &c.Remember, 4096), checkCount("Inbox", &c.Inbox, 1024),
		checkTime("RememberFor", &c.RememberFor, 2*time.Minute), checkTime("CheckEvery", &c.CheckEvery, time.Second),
		checkTime("Timeout", &c.Timeout, 2*time.Second), checkTime("RetryMin", &c.RetryMin, 50*time.Millisecond),
		checkTime("RetryMax", &c.RetryMax, max(time.Second, c.RetryMin)),
	); err != nil {
		return err
	}
	if c.RetryMax < c.RetryMin {
		return fieldError("RetryMax", c.RetryMax, "at least RetryMin, "+c.RetryMin.String())
	}
	if c.RememberFor < 100*time.Millisecond {
		return fieldError("RememberFor", c.RememberFor, "0 (meaning 2m0s), or 100ms or more")
	}
	switch c.Storage {
	case "":
		c.Storage = "file"
	case "file", "memory":
	default:
		return fieldError("Storage", fmt.Sprintf("%.40q", c.Storage), `"file" (which "" means) or "memory"`)
	}
	if c.Rand == nil {
		c.Rand = newRand()
	}
	if c.Mutant != "" && c.Mutant != SequenceRace {
		return fieldError("Mutant", fmt.Sprintf("%.40q", string(c.Mutant)), fmt.Sprintf("none or %q", SequenceRace))
	}
	return c.checkNamespace()
}

func (c *Config) checkNamespace() error {
	if c.Namespace == "" {
		c.Namespace = "twohop"
	}
	if len(c.Namespace) > 32 {
		return fieldError("Namespace", fmt.Sprintf("%.40q", c.Namespace), "at most 32 characters")
	}
	for _, r := range c.Namespace {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
		default:
			return fieldError("Namespace", fmt.Sprintf("%.40q", c.Namespace), "letters, digits, _ and - only")
		}
	}
	return nil
}

// checkCount checks a field that counts something, and fills in its default.
func checkCount(name string, value *int, byDefault int) error {
	if *value < 0 || *value > 1<<30 {
		return fieldError(name, *value, fmt.Sprintf("0 (meaning %d) to 2^30", byDefault))
	}
	if *value == 0 {
		*value = byDefault
	}
	return nil
}

// checkTime checks a field that is a time, and fills in its default.
func checkTime(name string, value *time.Duration, byDefault time.Duration) error {
	if *value == 0 {
		*value = byDefault
	}
	if *value < time.Millisecond {
		return fieldError(name, *value, fmt.Sprintf("0 (meaning %v), or 1ms or more", byDefault))
	}
	return nil
}

func fieldError(field string, value any, want string) error {
	return fmt.Errorf("hop2: %s: %v; want %s", field, value, want)
}

// newRand gives a generator of its own, seeded by the process's source of randomness.
func newRand() *rand.Rand {
	var seed [16]byte
	_, _ = crand.Read(seed[:]) // never fails: crypto/rand's contract since Go 1.24
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
}

// backoff gives the wait after the n-th failure in a row, counting from 1.
func (c *Config) backoff(n int) time.Duration {
	d := c.RetryMin
	for ; n > 1 && d < c.RetryMax; n-- {
		d = min(2*d, c.RetryMax)
	}
	return min(d, c.RetryMax)
}

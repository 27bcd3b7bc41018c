package hop2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// maxBatch is how many calls one pipeline carries at most.
const maxBatch = 256

// commander makes the calls of all goroutines, in pipelines, over one connection. It is one goroutine.
type commander struct {
	r      *Redis
	client *redis.Client // nil if there is none
	cut    func()
}

// run serves until ctx ends.
func (c *commander) run(ctx context.Context) {
	defer c.disconnect()
	for {
		calls, err := c.r.calls.take(ctx)
		if err != nil {
			return
		}
		for len(calls) > 0 {
			n := min(len(calls), maxBatch)
			c.batch(ctx, calls[:n])
			calls = calls[n:]
		}
	}
}

// batch makes the calls and answers each.
func (c *commander) batch(ctx context.Context, calls []*call) {
	idle := c.client != nil
	answers, err := c.attempt(ctx, calls)
	var timeout net.Error
	if err != nil && idle && !(errors.As(err, &timeout) && timeout.Timeout()) {
		// The broker has been gone meanwhile, and may be back. All calls may be made twice.
		answers, _ = c.attempt(ctx, calls) // the answers have the error
	}
	for i, a := range answers {
		calls[i].answer <- a
	}
}

// attempt makes the calls. It fails if the connection does, or cannot be made; then each call's answer
// may have an error, and the connection is dropped: a reply that comes late would be taken for the next
// one's.
func (c *commander) attempt(ctx context.Context, calls []*call) (answers []answer, err error) {
	if c.client == nil {
		if c.client, c.cut, err = c.r.connect(ctx, plain); err != nil {
			c.r.failure(err)
			for range calls {
				answers = append(answers, answer{err: err})
			}
			return answers, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.r.cfg.Timeout)
	defer cancel()
	answers = c.answers(ctx, calls)
	c.count(calls)
	for _, a := range answers {
		if a.err != nil && !isReply(a.err) {
			c.r.failure(a.err)
			c.disconnect()
			return answers, a.err
		}
	}
	return answers, nil
}

// plain hides all that a connection can do besides what every net.Conn can, so that go-redis treats a
// socket as it treats a simulated connection (it would look at the file descriptor before each use).
func plain(conn net.Conn) net.Conn { return struct{ net.Conn }{conn} }

// answers makes the calls: those that say what is known look first whether it is so still. A broker that
// lost its scripts (it restarted, or somebody flushed them) gets them again.
func (c *commander) answers(ctx context.Context, calls []*call) []answer {
	all, loaded := requestsFor(calls), false
	for pending := all; len(pending) > 0; {
		c.pipeline(ctx, pending)
		var again []*request
		missing := false
		for _, q := range pending {
			switch {
			case q.looks && q.err == nil && !q.known():
				q.looks = false
				again = append(again, q)
			case !loaded && isReply(q.err) && strings.HasPrefix(q.err.Error(), "NOSCRIPT"):
				missing = true
				again = append(again, q)
			}
		}
		pending = again
		if missing {
			loaded = true
			if err := c.load(ctx); err != nil {
				for _, q := range again {
					q.err = err
				}
				break
			}
		}
	}
	return answersOf(calls, all)
}

// pipeline sends requests and reads what comes of them.
func (c *commander) pipeline(ctx context.Context, requests []*request) {
	pipe := c.client.Pipeline()
	cmds := make([]*redis.Cmd, len(requests))
	for i, q := range requests {
		cmds[i] = q.queue(ctx, pipe)
	}
	_, _ = pipe.Exec(ctx) // its error is the first command's, and each command has its own
	for i, q := range requests {
		q.fields, q.err = stringFields(cmds[i])
	}
}

// load gives the broker the scripts.
func (c *commander) load(ctx context.Context) error {
	for _, source := range c.r.scripts() {
		if err := c.client.ScriptLoad(ctx, source).Err(); err != nil {
			return fmt.Errorf("load script: %w", err)
		}
	}
	return nil
}

func (c *commander) count(calls []*call) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.stats.Batches++
	for _, cl := range calls {
		if cl.script == readScript || cl.script == countScript {
			c.r.stats.Reads++
		}
	}
}

func (c *commander) disconnect() {
	if c.client == nil {
		return
	}
	c.cut()
	_ = c.client.Close() // its one connection is closed
	c.client = nil
}

// stringFields reads a reply that is an array of strings; one that is missing is "".
func stringFields(cmd *redis.Cmd) ([]string, error) {
	if err := cmd.Err(); err != nil {
		return nil, err
	}
	values, ok := cmd.Val().([]any)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errReply, cmd.Val())
	}
	fields := make([]string, len(values))
	for i, v := range values {
		if fields[i], ok = v.(string); !ok && v != nil {
			return nil, fmt.Errorf("%w: field %d is %T", errReply, i, v)
		}
	}
	return fields, nil
}

// isReply tells whether err came in a reply, so that the connection is in order.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) || errors.Is(err, errReply)
}

// passing are the kinds of error replies that a broker gets over, by their first word: it starts,
// fails over, runs a long script, is out of memory, or cannot write its disk.
var passing = []string{
	"LOADING", "MASTERDOWN", "READONLY", "BUSY", "OOM", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "NOSCRIPT",
}

// permanent tells whether trying again would give the same error.
func permanent(err error) bool {
	if errors.Is(err, errReply) {
		return true
	}
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	for _, word := range passing {
		if strings.HasPrefix(reply.Error(), word) {
			return false
		}
	}
	return true
}

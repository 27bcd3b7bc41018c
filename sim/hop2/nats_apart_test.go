package hop2

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// pubs notes at which instants a connection was written what to.
type pubs struct {
	mu              sync.Mutex
	messages, calls map[time.Time]bool
}

type pubsConn struct {
	net.Conn
	*pubs
}

func (c pubsConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	for line := range bytes.Lines(p) {
		switch {
		case bytes.HasPrefix(line, []byte("PUB $JS.API.")):
			c.calls[time.Now()] = true
		case bytes.HasPrefix(line, []byte("PUB ")), bytes.HasPrefix(line, []byte("HPUB ")):
			c.messages[time.Now()] = true
		}
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// Goal: a call to JetStream's API never goes with a message, whose stream might or might not have it when the call is
// answered.
// Method: publish and subscribe at one instant, again and again, and whenever a call's turn could come.
func TestNATSCallsAreApart(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == "jetstream" })]
		n.serve(t, k.disk(t))
		p := &pubs{messages: map[time.Time]bool{}, calls: map[time.Time]bool{}}
		cfg := n.config()
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := n.dial(ctx, network, addr)
			return pubsConn{conn, p}, err
		}
		s := k.open(t, n, cfg)
		publish(t, s, "r", 1, 1)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				_, err := s.Publish(within(t, patience), note("r", i+2))
				require.NoError(t, err)
			})
			all.Go(func() { subscribe(t, s, "r", model.Cursor{}).Unsubscribe() })
			time.Sleep(time.Duration(i) * time.Microsecond)
		}
		all.Wait()
		require.NotEmpty(t, p.messages)
		require.NotEmpty(t, p.calls)
		for at := range p.calls {
			require.False(t, p.messages[at])
		}
	})
}

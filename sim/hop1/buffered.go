package hop1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
)

// ErrBuffered: a server was reached, and took a request for a stream, but within DialTimeout nothing of
// the stream came, as when a proxy in between waits for the end of it or for a full buffer. That it was the
// server itself that hung cannot be ruled out; if its answer began, it is unlikely.
var ErrBuffered = errors.New("the stream is held back, as by a proxy that buffers")

// held names what a wait for a stream's beginning, bounded by ctx, ended with: ErrBuffered, if time ran out.
func held(ctx context.Context, how string, err error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrBuffered, how, err)
}

// traceSent notes when a request has been written.
func traceSent(ctx context.Context, sent *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) { sent.Store(info.Err == nil) },
	})
}

// fallBack goes on with the next transport, if a connection failed for what is on the way to the server.
func (c *Client) fallBack(err error) {
	var st *statusError
	stripped := errors.As(err, &st) && st.code == http.StatusUpgradeRequired
	if len(c.fallback) == 0 || !stripped && !errors.Is(err, ErrBuffered) {
		return
	}
	i := slices.IndexFunc(transports, func(t transport) bool { return t.name == c.fallback[0] })
	c.transport, c.fallback = transports[i], c.fallback[1:]
}

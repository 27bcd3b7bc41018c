package sim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// serveGrace is how long Serve waits for requests under way when the node is told to stop.
	serveGrace = 5 * time.Second
	// serveIdle is how long Serve keeps a connection without a request: longer than what clients let pass
	// from one to the next, as a poll a second does.
	serveIdle = 2 * time.Minute
	// serveSettle is how long Serve lets virtual time pass between the end of its context and the end of
	// service. Often the last request is what ended the context, as when a server has drained, and is just
	// about to be answered. Whether its answer says that the connection closes, and whether the connection
	// counts as idle, would differ from run to run. However short, a moment of virtual time passes only when
	// all is at rest.
	serveSettle = time.Microsecond
)

// Serve runs an HTTP server on an address such as ":80" until ctx ends; then it lets requests under
// way finish, for at most 5 s. The requests' contexts end with ctx. A connection may be without a request
// for two minutes. A handler with a method Configure(*http.Server) sets up its server, and may say
// otherwise.
func (n *Node) Serve(ctx context.Context, address string, handler http.Handler) error {
	l, err := n.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }}
	if h, ok := handler.(interface{ Configure(*http.Server) }); ok {
		h.Configure(server)
	}
	if server.IdleTimeout == 0 {
		server.IdleTimeout = serveIdle
	}
	conns := watchConns(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	time.Sleep(serveSettle)
	err = conns.shutdown(server, serveGrace)
	<-ended
	return err
}

// openConns counts a server's connections: those that it has neither closed nor handed over.
type openConns struct {
	mu   sync.Mutex
	open int
	none chan struct{} // unless nil, to be closed when there are none
}

// watchConns counts the connections of a server that is yet to serve.
func watchConns(server *http.Server) *openConns {
	c, next := new(openConns), server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if next != nil {
			next(conn, state)
		}
		c.note(state)
	}
	return c
}

func (c *openConns) note(state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
	case http.StateHijacked, http.StateClosed:
		if c.open--; c.open == 0 && c.none != nil {
			close(c.none)
			c.none = nil
		}
	}
}

// gone gives a channel that is closed as soon as there are no connections. A server that still accepts any
// must not be asked.
func (c *openConns) gone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	none := make(chan struct{})
	if c.open == 0 {
		close(none)
	} else {
		c.none = none
	}
	return none
}

// shutdown ends service as http.Server.Shutdown does: listeners and idle connections are closed at once, the
// others when they have been answered, and what is left after the grace is cut. Shutdown itself would look
// every now and then whether all is over, at intervals with a jitter from the generator that the whole process
// shares; here the last connection to close says so.
func (c *openConns) shutdown(server *http.Server, grace time.Duration) error {
	atOnce, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Shutdown(atOnce); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-c.gone():
		return nil
	case <-t.C:
		return server.Close()
	}
}

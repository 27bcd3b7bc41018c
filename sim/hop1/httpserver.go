package hop1

import (
	"context"
	"net"
	"net/http"
	"time"
)

// What [Configure] sets, where it is not set yet.
const (
	maxHeaderBytes    = 16 << 10 // a cookie or two, and a token
	readHeaderTimeout = 5 * time.Second
	keepAliveTimeout  = time.Minute
)

// Configure sets up an http.Server for what [Handler] serves. Headers have 16 KiB and 5 s, a connection
// without a request one minute; without TLS, HTTP/2 is spoken to clients that begin with it (RFC 9113
// section 3.3, "prior knowledge") beside HTTP/1.1; and connections that can do it, which are those of
// package net on Linux and those with a method SetUserTimeout(time.Duration) error, give up what stays
// unacknowledged for userTimeout, if that is not 0. Fields that are set already are left alone.
func Configure(srv *http.Server, userTimeout time.Duration) {
	if srv.MaxHeaderBytes == 0 {
		srv.MaxHeaderBytes = maxHeaderBytes
	}
	if srv.ReadHeaderTimeout == 0 {
		srv.ReadHeaderTimeout = readHeaderTimeout
	}
	if srv.IdleTimeout == 0 {
		srv.IdleTimeout = keepAliveTimeout
	}
	if srv.Protocols == nil {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	if userTimeout > 0 && srv.ConnContext == nil {
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			// It fails on a connection that is closed already, which needs no timeout.
			_ = setUserTimeout(c, userTimeout)
			return ctx
		}
	}
}

// configured is a handler that knows how its server is to be set up.
type configured struct {
	http.Handler
	userTimeout time.Duration
}

// Configure sets up the handler's server.
func (c configured) Configure(srv *http.Server) { Configure(srv, c.userTimeout) }

// ConfiguredBy gives a handler that sets up its server as another does, for what stands before or around a
// [Handler]: a mux has no method Configure of its own.
func ConfiguredBy(h, other http.Handler) http.Handler {
	c, ok := other.(interface{ Configure(*http.Server) })
	if !ok {
		return h
	}
	return around{h, c}
}

type around struct {
	http.Handler
	inner interface{ Configure(*http.Server) }
}

// Configure sets up the handler's server.
func (a around) Configure(srv *http.Server) { a.inner.Configure(srv) }

// userTimeouter is a connection with the option, such as a simulated one.
type userTimeouter interface {
	SetUserTimeout(time.Duration) error
}

// setUserTimeout sets the option on a connection, or on the one below its TLS. One that has no such option
// stays as it is.
func setUserTimeout(c net.Conn, d time.Duration) error {
	switch c := c.(type) {
	case userTimeouter:
		return c.SetUserTimeout(d)
	case interface{ NetConn() net.Conn }:
		return setUserTimeout(c.NetConn(), d)
	case *net.TCPConn:
		return setTCPUserTimeout(c, d)
	}
	return nil
}

package hop1

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// onConfigured serves on a real socket as Configure says.
func onConfigured(t *testing.T, h http.Handler) (string, *http.Client) {
	srv := httptest.NewUnstartedServer(h)
	Configure(srv.Config, time.Second)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, srv.Client()
}

// optional is a connection with the option.
type optional struct {
	net.Conn
	set time.Duration
}

func (o *optional) SetUserTimeout(d time.Duration) error { o.set = d; return nil }

// Goal: what is set already stays; the option finds its way to whoever has it, below TLS too.
func TestConfigure(t *testing.T) {
	srv := &http.Server{MaxHeaderBytes: 7, IdleTimeout: 7}
	Configure(srv, 3*time.Second)
	require.Equal(t, 7, srv.MaxHeaderBytes)
	require.Equal(t, time.Duration(7), srv.IdleTimeout)
	require.Equal(t, readHeaderTimeout, srv.ReadHeaderTimeout)
	require.True(t, srv.Protocols.HTTP1() && srv.Protocols.UnencryptedHTTP2())
	plain := &optional{}
	require.NotNil(t, srv.ConnContext(t.Context(), plain))
	require.Equal(t, 3*time.Second, plain.set)
	secure := &optional{}
	srv.ConnContext(t.Context(), tls.Server(secure, &tls.Config{}))
	require.Equal(t, 3*time.Second, secure.set)
	near, far := net.Pipe()
	srv.ConnContext(t.Context(), near) // has no such option
	require.NoError(t, near.Close())
	require.NoError(t, far.Close())

	h, err := Handler(ServerConfig{Feed: newMemFeed(), UserTimeout: 5 * time.Second})
	require.NoError(t, err)
	srv = &http.Server{}
	ConfiguredBy(http.NewServeMux(), h).(interface{ Configure(*http.Server) }).Configure(srv)
	srv.ConnContext(t.Context(), plain)
	require.Equal(t, 5*time.Second, plain.set, "through a mux")
	mux := http.NewServeMux()
	require.Same(t, mux, ConfiguredBy(mux, http.NotFoundHandler()))

	none := &http.Server{}
	Configure(none, 0)
	require.Nil(t, none.ConnContext)
}

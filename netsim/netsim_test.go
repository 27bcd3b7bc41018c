package netsim

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fidelities runs a test at each fidelity, in a bubble with a network of its own.
func fidelities(t *testing.T, test func(t *testing.T, n *Network)) {
	for _, f := range []Fidelity{TCP, Stream} {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(Config{Seed: 1, Fidelity: f})
				require.NoError(t, err)
				test(t, n)
			})
		})
	}
}

// newHosts adds hosts.
func newHosts(t *testing.T, n *Network, names ...string) []*Host {
	var hosts []*Host
	for _, name := range names {
		h, err := n.NewHost(name)
		require.NoError(t, err)
		hosts = append(hosts, h)
	}
	return hosts
}

// finish closes all that hosts hold, and lets their goroutines end.
func finish(t *testing.T, n *Network) {
	for _, h := range n.Hosts() {
		h.CloseAll()
	}
	require.NoError(t, n.RunUntil(n.Now()+5*time.Minute))
}

// Goal: an unmodified HTTP client and server talk over a link, in the time that the link takes.
func TestHTTP(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "server", "client")
		require.NoError(t, n.SetLink("server", "client", Link{Latency: 50 * time.Millisecond}))
		l, err := hosts[0].Listen("tcp", ":80")
		require.NoError(t, err)
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "hello %s", r.URL.Path)
			}))
		}()
		var body string
		var took time.Duration
		go func() {
			start := time.Now()
			resp, err := hosts[1].HTTPClient().Get("http://server/world")
			if err != nil {
				body = err.Error()
				return
			}
			b, err := io.ReadAll(resp.Body)
			body, took = fmt.Sprint(string(b), err), time.Since(start)
			_ = resp.Body.Close()
		}()
		require.NoError(t, n.RunUntil(10*time.Second))
		require.Equal(t, "hello /world<nil>", body)
		require.Equal(t, 200*time.Millisecond, took, "a handshake and a request, each a round trip")
		finish(t, n)
	})
}

// Goal: a dial fails as it does on a real network.
func TestDialErrors(t *testing.T) {
	fidelities(t, func(t *testing.T, n *Network) {
		hosts := newHosts(t, n, "a", "b")
		for _, c := range []struct{ address, want string }{
			{"b:80", "dial tcp 10.0.0.2:80: connect: connection refused"},
			{"c:80", "dial tcp: lookup c: no such host"},
			{"10.9.9.9:80", "no route to host"},
			{"b", "missing port in address"},
			{"b:http", "port \"http\" is not a number"},
		} {
			var err error
			done := false
			go func() {
				_, err = hosts[0].Dial("tcp", c.address)
				done = true
			}()
			require.NoError(t, n.RunUntil(n.Now()+time.Second))
			require.True(t, done, c.address)
			require.ErrorContains(t, err, c.want)
		}
		var err error
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err = hosts[0].DialContext(ctx, "tcp", "b:80")
		}()
		hosts[1].Crash()
		start := n.Now()
		require.NoError(t, n.RunUntil(start+2*time.Second))
		require.ErrorContains(t, err, "i/o timeout")
		finish(t, n)
	})
}

package netsim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// dnsWorld is a client that asks a name server, and two web servers that say who they are.
func dnsWorld(t *testing.T, test func(n *Network, client *Host)) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		hosts := newHosts(t, n, "ns", "client", "old", "new")
		for _, h := range hosts[2:] {
			l, err := h.Listen("tcp", ":80")
			require.NoError(t, err)
			go func() {
				_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, h.name) }))
			}()
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			if err := hosts[0].ServeDNS(ctx); err != nil {
				t.Error(err)
			}
		}()
		require.NoError(t, n.UseDNS("client", "ns"))
		test(n, hosts[1])
		cancel()
		finish(t, n)
	})
}

// visit gets a page over a connection of its own.
func visit(t *testing.T, n *Network, from *Host, url string) (body string, err error) {
	eventually(t, n, 5*time.Minute, func() {
		client := from.HTTPClient()
		client.Transport.(*http.Transport).DisableKeepAlives = true
		var resp *http.Response
		if resp, err = client.Get(url); err == nil {
			var b []byte
			b, err = io.ReadAll(resp.Body)
			body = string(b)
			_ = resp.Body.Close()
		}
	})
	return body, err
}

// Goal: http://api.example/ works with an unmodified client; a change is noticed when the cached
// answer has run out, and not before.
func TestDNS(t *testing.T) {
	dnsWorld(t, func(n *Network, client *Host) {
		require.NoError(t, ChangeDNS("API.example", time.Minute, "old").ApplyTo(n, func() {}))
		get := func() string {
			body, err := visit(t, n, client, "http://api.example/")
			require.NoError(t, err)
			return body
		}
		require.Equal(t, "old", get())
		require.NoError(t, ChangeDNS("api.example", time.Minute, "new").ApplyTo(n, func() {}))
		require.Equal(t, "old", get(), "the answer is good for a minute")
		require.NoError(t, n.RunUntil(n.Now()+time.Minute))
		require.Equal(t, "new", get())

		require.NoError(t, n.Zone().Set("both.example", 0, addrsOf([]*Host{n.Host("ns"), n.Host("new")})...))
		body, err := visit(t, n, client, "http://both.example/")
		require.NoError(t, err)
		require.Equal(t, "new", body, "nobody listens at the first address, so the next is tried")
	})
}

// Goal: failures look as they do on a real system, and last as long.
func TestDNSFailures(t *testing.T) {
	dnsWorld(t, func(n *Network, client *Host) {
		dnsError := func(name string) (*net.DNSError, time.Duration) {
			start := n.Now()
			_, err := visit(t, n, client, "http://"+name+"/")
			var e *net.DNSError
			require.True(t, errors.As(err, &e), "%v", err)
			return e, n.Now() - start
		}
		e, _ := dnsError("nobody.example")
		require.True(t, e.IsNotFound)
		require.NoError(t, FailDNS("broken.example").ApplyTo(n, func() {}))
		e, _ = dnsError("broken.example")
		require.False(t, e.IsNotFound)
		require.ErrorContains(t, e, "server misbehaving")
		require.NoError(t, ChangeDNS("broken.example", 0, "new").ApplyTo(n, func() {}))
		body, err := visit(t, n, client, "http://broken.example/")
		require.NoError(t, err)
		require.Equal(t, "new", body)

		require.NoError(t, Partition("ns", "*").ApplyTo(n, func() {}))
		e, took := dnsError("api.example")
		require.True(t, e.IsTimeout)
		require.InDelta(t, dnsAttempts*dnsTimeout, took, float64(time.Second))
	})
}

// Goal: what cannot be in a zone is refused with a reason.
func TestZoneErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{})
		require.NoError(t, err)
		newHosts(t, n, "a")
		z, addr := n.Zone(), netip.MustParseAddr("10.0.0.1")
		for _, c := range []struct {
			err  error
			want string
		}{
			{z.Set("", time.Second, addr), `"" is not a domain name`},
			{z.Set("a..b", time.Second, addr), `"a..b" is not a domain name`},
			{z.Set(strings.Repeat("x", 64)+".example", time.Second, addr), "has a label of 64 bytes"},
			{z.Set("a.example", -1, addr), "ttl is -1ns"},
			{z.Set("a.example", time.Second), "no addresses"},
			{z.Set("a.example", time.Second, netip.IPv6Loopback()), "::1 is not an IPv4 address"},
			{z.Remove(".."), `".." is not a domain name`},
			{z.Fail(".."), `".." is not a domain name`},
			{n.UseDNS("a", "b"), `name server "b": no host has that name; the hosts are a`},
			{n.UseDNS("b", "a"), `no host is named or matches "b"`},
		} {
			require.ErrorContains(t, c.err, c.want)
		}
	})
}

// FuzzZoneAnswer: whatever a client sends to a name server, and a server to a resolver, panics neither.
func FuzzZoneAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x07example\x00\x00\x01\x00\x01"))
	z := &Zone{records: make(map[string]record)}
	require.NoError(f, z.Set("api.example", time.Minute, netip.MustParseAddr("10.0.0.1")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if answer := z.answer(data); answer != nil {
			if _, _, mine, _ := parseAnswer(answer, uint16(data[0])<<8|uint16(data[1])); !mine {
				t.Errorf("the answer to %x is not recognised: %x", data, answer)
			}
		}
		_, _, _, _ = parseAnswer(data, 1)
	})
}

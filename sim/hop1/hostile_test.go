package hop1

import (
	"bytes"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// Tests of what any peer at all may send, from the first byte of the connection on.

// hostile sends bytes to a server with everything turned on, in parts a second apart, waits a while, and closes
// the connection. It gives what the server sent. The server must not have panicked, and must be left with nothing.
func hostile(t *testing.T, input ...[]byte) (output []byte) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		feed.publish(3)
		b := newBroker(feed)
		h := duplexServer(t, b, func(c *ServerConfig) {
			c.Compression = true
			c.Guard = Guard{Origins: []string{"https://app.example"}, MaxConns: 3, MaxPerAddr: 2}
		})
		var complaints bytes.Buffer
		srv := &http.Server{Handler: h, ErrorLog: log.New(&complaints, "", 0)}
		h.(configured).Configure(srv)
		l := simtest.Listen()
		ended := make(chan error, 1)
		go func() { ended <- srv.Serve(l) }()
		conn, err := l.Connect()
		require.NoError(t, err)
		read := make(chan []byte)
		go func() {
			out, _ := io.ReadAll(conn) // ends one way or the other
			read <- out
		}()
		go func() {
			for _, part := range input {
				_, _ = conn.Write(part) // the server may not take all of it
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(4 * time.Second)
		feed.publish(1)
		time.Sleep(time.Second)
		require.NoError(t, conn.Close())
		output = <-read
		time.Sleep(10 * time.Second) // what has a time-out has had it
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
		synctest.Wait()
		open, _ := feed.subscriptions()
		require.Zero(t, open, "of %q", input)
		require.NotContains(t, complaints.String(), "panic")
		for _, asked := range feed.cursors() {
			back, err := model.ParseCursor(asked.String())
			require.NoError(t, err)
			require.Equal(t, asked, back)
		}
	})
	return output
}

// upgrade is an opening handshake (RFC 6455 section 1.3) that asks for compression, too.
const upgrade = "GET /rooms/r/ws?cursor=e1:2 HTTP/1.1\r\nHost: edge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// wsFrame is a frame as a client sends it, masked with zeros: its first byte, then its payload.
func wsFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// Goal: the harness reaches what it is for: a stream, an upgrade, a publish.
func TestHostileReaches(t *testing.T) {
	out := hostile(t, []byte("GET /rooms/r/events HTTP/1.1\r\nHost: edge\r\nLast-Event-ID: e1:2\r\n\r\n"))
	require.Contains(t, string(out), "200 OK")
	require.Contains(t, string(out), `data: {"type":"message","cursor":"e1:4"`)
	out = hostile(t, append([]byte(upgrade), wsFrame(0x81, `{"type":"publish","id":"a"}`)...))
	require.Contains(t, string(out), "101 Switching Protocols")
	require.Contains(t, string(out), `{"type":"ack","cursor":"e1:4","id":"a"}`)
	out = hostile(t, []byte(upgrade), wsFrame(0x89, "ping"))
	require.Contains(t, string(out), "\x8a\x04ping", "a pong")
}

// Goal: headers beyond all measure, and requests that never end, cost the server no more than stated.
func TestHeaderLimits(t *testing.T) {
	out := hostile(t, []byte("GET /rooms/r/events HTTP/1.1\r\nHost: edge\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n"))
	require.Contains(t, string(out), "431 Request Header Fields Too Large")
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, testServer(t, newMemFeed()))
		conn, err := w.dial(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nX: ")
		require.NoError(t, err)
		began := time.Now()
		_, err = io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, readHeaderTimeout, time.Since(began))
	})
}

// Whatever bytes begin a connection, the server neither panics nor keeps anything.
func FuzzServeBytes(f *testing.F) {
	for _, s := range []string{
		"GET /rooms/r/events HTTP/1.1\r\nHost: edge\r\nLast-Event-ID: e1:2\r\n\r\n",
		"GET /rooms/r/events?cursor=e1:99 HTTP/1.0\r\n\r\n",
		"GET /rooms/r/events HTTP/1.1\r\nHost: edge\r\nOrigin: null\r\n\r\nGET /rooms/r/ws HTTP/1.1\r\nHost: edge\r\n\r\n",
		"OPTIONS /rooms/r/ws HTTP/1.1\r\nHost: edge\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\r\n",
		"POST /rooms/r/events HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET /rooms/../%2e HTTP/1.1\r\nHost: edge\r\nContent-Length: 5\r\n\r\nabc",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		upgrade,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) { hostile(t, input) })
}

// Whatever frames follow an upgrade, the same holds, and the client gets no message that it may not.
func FuzzServeFrames(f *testing.F) {
	publish := `{"type":"publish","id":"a","body":"aGk="}`
	for _, frames := range [][]byte{
		wsFrame(0x81, publish),
		wsFrame(0x82, publish),
		wsFrame(0x81, strings.Repeat("x", 7000)),
		append(wsFrame(0x01, publish[:10]), wsFrame(0x80, publish[10:])...),       // in two fragments
		append(wsFrame(0x01, publish[:10]), wsFrame(0x89, "ping")...),             // a ping between them, and no end
		wsFrame(0xc1, "\xaa\x56\x2a\xa9\x2c\x48\x52\xb2\x52\x4a\x54\xaa\x05\x00"), // compressed
		wsFrame(0xc1, "\xff\xff\xff\xff"),                                         // said to be
		wsFrame(0x88, "\x03\xe8bye"),
		wsFrame(0x88, "\x00"),
		wsFrame(0x83, "reserved"),
		{0x81, 0x05, 'u', 'n', 'm', 's', 'k'},
		{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{0x80, 0x80, 0, 0, 0, 0},
	} {
		f.Add(frames)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		out := hostile(t, append([]byte(upgrade), frames...))
		require.True(t, bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")), "%q", out)
	})
}

package hop2

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: a call to JetStream's API and a message never come to the server at one instant of one connection, since the
// stream might or might not have the message when the call is answered.
// Method: messages and calls in one packet, in two, and the other way round.
func TestNATSCallsComeApart(t *testing.T) {
	const message, call = "PUB a.b r 3\r\nabc\r\n", "PUB $JS.API.STREAM.INFO.s r 0\r\n\r\n"
	for name, c := range map[string]struct{ packets, arrivals []string }{
		"a message before":   {[]string{message + call}, []string{message, call}},
		"some of each":       {[]string{message + message + call + call + message}, []string{message + message, call + call, message}},
		"in another packet":  {[]string{message, call}, []string{message, call}},
		"a call before":      {[]string{call + message}, []string{call, message}},
		"with headers":       {[]string{"HPUB a 2 3\r\nxyz\r\n" + call}, []string{"HPUB a 2 3\r\nxyz\r\n", call}},
		"what is no message": {[]string{"PING\r\n" + call + "SUB a 1\r\n"}, []string{"PING\r\n" + call + "SUB a 1\r\n"}},
		"in pieces":          {[]string{message + call[:20], call[20:]}, []string{message, call}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, outer := net.Pipe()
				inner, server := net.Pipe()
				ended := make(chan error, 1)
				go func() { ended <- carryApart(inner, outer, apartDelay); _ = inner.Close() }()
				go func() {
					for _, p := range c.packets {
						_, _ = client.Write([]byte(p))
						synctest.Wait()
					}
					time.Sleep(time.Second)
					_ = client.Close()
				}()
				var arrivals []string
				var last time.Time
				for buf := make([]byte, 1000); ; {
					n, err := server.Read(buf)
					if err != nil {
						break
					}
					if now := time.Now(); now.Equal(last) {
						arrivals[len(arrivals)-1] += string(buf[:n])
					} else {
						arrivals, last = append(arrivals, string(buf[:n])), now
					}
				}
				require.ErrorIs(t, <-ended, io.EOF)
				require.Equal(t, c.arrivals, arrivals)
			})
		})
	}
}

// Whatever a client sends, and in whatever pieces: the server gets it.
func FuzzNATSRequests(f *testing.F) {
	f.Add([]byte("CONNECT {}\r\nSUB a.b 7\r\nPUB $JS.API.X r 0\r\n\r\nHPUB a r 2 4\r\nabcd\r\nPING\r\n"))
	f.Add([]byte("PUB a 99999999999\r\nPUB a\r\nPUB a -1\r\n\n\r\nHPUB"))
	f.Add([]byte("PUB a 5\r\nab"))
	f.Add([]byte(strings.Repeat("x", natsLine+10)))
	f.Fuzz(func(t *testing.T, sent []byte) {
		for _, from := range []io.Reader{bytes.NewReader(sent), iotest.OneByteReader(bytes.NewReader(sent))} {
			var got bytes.Buffer
			require.ErrorIs(t, carryApart(&got, from, 0), io.EOF)
			require.True(t, bytes.Equal(sent, got.Bytes()))
		}
		for rest := sent; len(rest) > 0; {
			size, _ := natsRequest(rest)
			require.LessOrEqual(t, size, len(rest))
			if size == 0 {
				break
			}
			rest = rest[size:]
		}
	})
}

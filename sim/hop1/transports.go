package hop1

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// transport is one way to carry frames from server to client. It knows nothing of resuming,
// deduplication or retries: those are written once, in session and [Client].
type transport struct {
	name string
	path string // the last element of GET /rooms/{room}/{path}

	// dial opens a stream from a cursor. ctx bounds the dial only, not the stream.
	dial func(ctx context.Context, cfg *ClientConfig, from claim) (stream, error)
	// serve answers one request from an open subscription, which it does not close.
	serve func(s *server, w http.ResponseWriter, r *http.Request, sub *opened)
}

// stream is one connection, seen from the client. Only one goroutine uses it.
type stream interface {
	// next blocks for the next frame. If it names a Server, that is who serves from now on. After an error, which may be ctx's, the stream is of no use but
	// to be closed.
	next(ctx context.Context) (frame, error)
	// close drops the connection, at once, and waits for the stream's goroutines.
	close()
}

// transports is the registry, in order of name.
var transports = []transport{
	{name: "longpoll", path: "longpoll", dial: dialLongPoll, serve: (*server).serveLongPoll},
	{name: "poll", path: "poll", dial: dialPoll, serve: (*server).servePoll},
	{name: "sse", path: "events", dial: dialSSE, serve: (*server).serveSSE},
	{name: "webrtc", path: "webrtc", dial: dialWebRTC, serve: (*server).serveWebRTC},
	{name: "ws", path: "ws", dial: dialWebSocket, serve: (*server).serveWebSocket},
}

// Transports lists the names that [ClientConfig] accepts as Transport, sorted.
func Transports() []string {
	names := make([]string, len(transports))
	for i, t := range transports {
		names[i] = t.name
	}
	return names
}

func findTransport(name string) (transport, error) {
	i := slices.IndexFunc(transports, func(t transport) bool { return t.name == name })
	if i < 0 {
		return transport{}, fieldError("Transport", fmt.Sprintf("unknown %.40q", name), "one of "+strings.Join(Transports(), ", "))
	}
	return transports[i], nil
}

package scenarios

import (
	"bytes"
	"net"
	"net/netip"
	"sync"

	"github.com/twohop/twohop/model"
)

// tap records, as Copy events, which messages a server sends to whom, from what it writes on its connections:
// whoever serves needs to know nothing of it. It is for records in JSON, in which an ID stands as "id":"…", and
// for servers that send the messages of one room only.
type tap struct {
	net.Listener
	journal *journal
	room    string
	// peers gives the names of hosts by their addresses; it is asked once for each connection.
	peers func(netip.Addr) string
}

// Accept gives the next connection, with the tap on.
func (t *tap) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer := c.RemoteAddr().String()
	if at, err := netip.ParseAddrPort(peer); err == nil {
		peer = t.peers(at.Addr())
	}
	return &tapped{Conn: c, tap: t, peer: peer}, nil
}

// tapped is the server's end of a connection.
type tapped struct {
	net.Conn
	tap  *tap
	peer string

	mu   sync.Mutex
	rest []byte // what was written of a mark, or of an ID, that is not over
}

// idMark is what stands before an ID, and maxTapped how many bytes of an ID are waited for.
var idMark = []byte(`"id":"`)

const maxTapped = 256

func (c *tapped) Write(b []byte) (int, error) {
	for _, id := range c.ids(b) {
		c.tap.journal.note(c.peer, model.Event{Kind: model.Copy, Room: c.tap.room, ID: id, Peer: c.peer}, nil)
	}
	return c.Conn.Write(b)
}

// ids finds the IDs that end in b, and keeps the beginning of the one that does not.
func (c *tapped) ids(b []byte) (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b = append(c.rest, b...)
	for {
		at := bytes.Index(b, idMark)
		if at < 0 {
			b = b[max(0, len(b)-len(idMark)+1):]
			break
		}
		id, _, whole := bytes.Cut(b[at+len(idMark):], []byte(`"`))
		if !whole {
			if b = b[at:]; len(b) > maxTapped {
				b = nil // it is none of ours
			}
			break
		}
		ids = append(ids, string(id))
		b = b[at+len(idMark)+len(id):]
	}
	c.rest = bytes.Clone(b)
	return ids
}

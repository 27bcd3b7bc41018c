package hop2

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// relayStream is what goes to one edge, or to a further relay.
type relayStream struct {
	lines *gather[*relayLine]
	over  chan struct{}         // closed when another stream takes its place, or it is cut
	rooms map[string]*relayRoom // those whose messages come on it; the relay's lock guards it

	mu      sync.Mutex
	limit   int // how many lines may wait
	waiting int
	cut     bool // too many were waiting
	ended   bool // over is closed
}

// relayLine is a message as it stands on every stream.
type relayLine struct {
	room string
	seq  uint64
	text []byte
}

func newRelayLine(room, epoch string, m *model.Message) *relayLine {
	record := recordOf(m)
	return &relayLine{room, m.Seq, wire.Delivery{Room: room, Epoch: epoch, Record: &record}.Line()}
}

// newLookLine has readers look at the room.
func newLookLine(room, epoch string) *relayLine {
	return &relayLine{room: room, text: wire.Delivery{Room: room, Epoch: epoch}.Line()}
}

// compareLines is the canonical order of lines that come at one instant.
func compareLines(a, b *relayLine) int {
	return cmp.Or(strings.Compare(a.room, b.room), cmp.Compare(a.seq, b.seq))
}

// put has a line sent. It does not block: one too many cuts the stream.
func (st *relayStream) put(l *relayLine) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.ended:
	case st.waiting == st.limit:
		st.cut = true
		st.endLocked()
	default:
		st.waiting++
		st.lines.put(l)
	}
}

// sent says that lines do not wait any more.
func (st *relayStream) sent(n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.waiting -= n
}

func (st *relayStream) end() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.endLocked()
}

func (st *relayStream) endLocked() {
	if !st.ended {
		st.ended = true
		close(st.over)
	}
}

// follow has a room's messages come on the stream of a name, if one is open.
func (r *Relay) follow(rm *relayRoom, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.streams[name]
	if st == nil || st.rooms[rm.name] == rm {
		return
	}
	r.dropLocked(st, rm.name) // one that has closed
	st.rooms[rm.name] = rm
	rm.holds++
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.followers[st] = struct{}{}
}

// unfollow ends that.
func (r *Relay) unfollow(op *wire.Leave) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st := r.streams[op.Stream]; st != nil {
		r.dropLocked(st, op.Room)
	}
}

// dropLocked takes a room off a stream, if it is there. The relay's lock is held.
func (r *Relay) dropLocked(st *relayStream, room string) {
	rm := st.rooms[room]
	if rm == nil {
		return
	}
	delete(st.rooms, room)
	rm.mu.Lock()
	delete(rm.followers, st)
	rm.mu.Unlock()
	r.leaveLocked(rm)
}

// open begins a stream.
func (r *Relay) open(name string) *relayStream {
	st := &relayStream{lines: newGather(compareLines), over: make(chan struct{}), rooms: map[string]*relayRoom{}, limit: r.cfg.Queue}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.streams[name]; before != nil {
		r.closeLocked(name, before)
	}
	r.streams[name] = st
	return st
}

// shut ends a stream.
func (r *Relay) shut(name string, st *relayStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeLocked(name, st)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.cut {
		r.stats.Cut++
	}
}

func (r *Relay) closeLocked(name string, st *relayStream) {
	st.end()
	for room := range st.rooms { // in any order: nobody hears of it
		r.dropLocked(st, room)
	}
	if r.streams[name] == st {
		delete(r.streams, name)
	}
}

func (r *Relay) serveStream(w http.ResponseWriter, req *http.Request) {
	name := req.URL.Query().Get("stream")
	if err := wire.CheckStream(name); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	st := r.open(name)
	defer r.shut(name, st)
	out := streamWriter{w, http.NewResponseController(w), r.cfg.Timeout}
	beat := time.Now() // when it is time for a sign of life
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		lines := st.lines.grab()
		if now := time.Now(); len(lines) > 0 || !now.Before(beat) {
			r.count(func(s *RelayStats) { s.Sent += len(lines) })
			if out.write(lines) != nil {
				return // its reader has gone, or takes nothing
			}
			st.sent(len(lines))
			beat = now.Add(r.cfg.Heartbeat)
		}
		next := beat
		if due, some := st.lines.due(); some && due.Before(next) {
			next = due
		}
		t.Reset(time.Until(next))
		select {
		case <-st.lines.wake:
		case <-t.C:
		case <-st.over:
			return
		case <-r.ctx.Done():
			return
		case <-req.Context().Done():
			return
		}
	}
}

// streamWriter writes lines to a reader that must take them within a time.
type streamWriter struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

// write writes lines, or a sign of life if there are none.
func (o streamWriter) write(lines []*relayLine) error {
	if err := o.rc.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	text := []byte(nil)
	for _, l := range lines {
		text = append(text, l.text...)
	}
	if len(lines) == 0 {
		text = []byte(wire.SignOfLife)
	}
	if _, err := o.w.Write(text); err != nil {
		return err
	}
	return o.rc.Flush()
}

package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
)

// Trace is what a world did, a step a line. Its hash covers every step, whether the steps are kept
// or not.
type Trace struct {
	hash  uint64
	steps uint64
	keep  bool

	entries []entry
	notes   []note
	names   []string // of hosts, by index
}

// entry is a step of the network, or points to a note.
type entry struct {
	at         time.Duration
	host, peer int32 // host is the index in notes if kind is noteKind
	conn, len  uint32
	kind       netsim.Kind
}

const noteKind netsim.Kind = 255

// note is a step that is not the network's: something that a program recorded, or a fault.
type note struct {
	kind, who, text string
}

// Hash is the running hash over all steps so far. Two runs with equal hashes went through the same
// steps at the same times.
func (t *Trace) Hash() uint64 { return t.hash }

// Steps is how many steps there were.
func (t *Trace) Steps() uint64 { return t.steps }

func (t *Trace) network(e netsim.Event) {
	t.steps++
	t.mix(uint64(e.Time))
	t.mix(uint64(e.Kind)<<32 | uint64(e.Len))
	t.mix(uint64(uint32(e.Host))<<32 | uint64(uint32(e.Peer)))
	t.mix(uint64(e.Conn))
	if t.keep {
		t.entries = append(t.entries, entry{at: e.Time, host: e.Host, peer: e.Peer, conn: e.Conn, len: e.Len, kind: e.Kind})
	}
}

func (t *Trace) note(at time.Duration, kind, who, text string) {
	t.steps++
	t.mix(uint64(at))
	t.mixString(kind)
	t.mixString(who)
	t.mixString(text)
	if t.keep {
		t.entries = append(t.entries, entry{at: at, host: int32(len(t.notes)), kind: noteKind})
		t.notes = append(t.notes, note{kind, who, text})
	}
}

// mix folds a value into the hash. Each step is a bijection of the state for a given value, so two
// traces that differ in one value only never collide.
func (t *Trace) mix(v uint64) {
	h := (t.hash ^ v) * 0x9e3779b97f4a7c15
	t.hash = h ^ h>>29
}

func (t *Trace) mixString(s string) {
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	t.mix(h)
}

// Step is one line of a trace.
type Step struct {
	Step uint64        `json:"step"`
	Time time.Duration `json:"t_ns"`
	Kind string        `json:"kind"`
	Host string        `json:"host,omitempty"`
	Peer string        `json:"peer,omitempty"`
	Conn uint32        `json:"conn,omitempty"`
	Len  uint32        `json:"len,omitempty"`
	Note string        `json:"note,omitempty"`
}

// String is the step as it stands in a failure's banner.
func (s Step) String() string {
	line := fmt.Sprintf("step %d · t=%.6fs · %s · %s", s.Step, s.Time.Seconds(), s.Kind, s.Host)
	switch {
	case s.Peer == "":
	case s.Kind == netsim.Arrived.String() || s.Kind == netsim.Forwarded.String():
		line += "←" + s.Peer
	default:
		line += "→" + s.Peer
	}
	if s.Conn != 0 {
		line += " · conn " + strconv.FormatUint(uint64(s.Conn), 10)
	}
	if s.Len != 0 {
		line += " · " + strconv.FormatUint(uint64(s.Len), 10) + " B"
	}
	if s.Note != "" {
		line += " · " + s.Note
	}
	return line
}

// At returns a step by number, counting from 1, and whether the trace has kept it.
func (t *Trace) At(step uint64) (Step, bool) {
	if step == 0 || step > uint64(len(t.entries)) {
		return Step{}, false
	}
	e := &t.entries[step-1]
	s := Step{Step: step, Time: e.at}
	if e.kind == noteKind {
		n := &t.notes[e.host]
		s.Kind, s.Host, s.Note = n.kind, n.who, n.text
		return s, true
	}
	s.Kind, s.Host, s.Conn, s.Len = e.kind.String(), t.names[e.host], e.conn, e.len
	if e.peer >= 0 {
		s.Peer = t.names[e.peer]
	}
	return s, true
}

// Window returns the last steps up to and including the given one, at most most of them.
func (t *Trace) Window(step uint64, most int) []Step {
	var steps []Step
	first := uint64(1)
	if step > uint64(most) {
		first = step - uint64(most) + 1
	}
	for i := first; i <= step; i++ {
		if s, ok := t.At(i); ok {
			steps = append(steps, s)
		}
	}
	return steps
}

// FirstDifference compares two kept traces and returns the number of the first step in which they
// differ, counting from 1; 0 if they are equal.
func (t *Trace) FirstDifference(u *Trace) uint64 {
	most := uint64(max(len(t.entries), len(u.entries)))
	for i := uint64(1); i <= most; i++ {
		a, inA := t.At(i)
		b, inB := u.At(i)
		if a != b || inA != inB {
			return i
		}
	}
	return 0
}

// WriteJSON writes the kept steps, one JSON object a line.
func (t *Trace) WriteJSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range uint64(len(t.entries)) {
		s, _ := t.At(i + 1)
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return out.Flush()
}

// WriteHistory writes a history, one JSON object a line.
func WriteHistory(w io.Writer, h *model.History) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range h.Events {
		if err := enc.Encode(&h.Events[i]); err != nil {
			return err
		}
	}
	return out.Flush()
}

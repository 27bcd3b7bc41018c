package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrCausalFull is what [CausalBuffer.Take] wraps when too many messages wait for others.
var ErrCausalFull = errors.New("too many messages wait for others that they follow")

// CausalMessage is a message with what its publisher knew when it published it.
type CausalMessage struct {
	// Publisher is the message's publisher, with its own entry in Clock.
	Publisher string
	// Clock counts messages, by publisher: those that this one follows, and itself.
	Clock   Vector
	Message Message
}

// CausalBuffer puts messages that arrive in any order into causal order at a client: none is handed on
// before those that it follows (Birman, Schiper and Stephenson, Lightweight Causal and Atomic Group
// Multicast, ACM TOCS 9(3), 1991, section 5.1).
//
// Invariant: every message counted in at was handed on, or skipped, and none of those that wait was.
type CausalBuffer struct {
	at      Vector
	limit   int
	waiting []CausalMessage // in order of arrival
}

// NewCausalBuffer makes the buffer of a client that has everything up to at, and in which at most limit
// messages wait. limit is at least 1.
func NewCausalBuffer(at Vector, limit int) (*CausalBuffer, error) {
	if limit < 1 {
		return nil, fmt.Errorf("causal buffer: limit is %d; it must be at least 1", limit)
	}
	own := Vector{}
	own.Merge(at)
	return &CausalBuffer{at: own, limit: limit}, nil
}

// Take takes a message as it arrives, and gives those that can be handed on now, in order. One that the
// client has is dropped. With [ErrCausalFull] the message is not taken, and nothing else has changed:
// what is missing must be asked for, or skipped.
func (b *CausalBuffer) Take(m CausalMessage) ([]CausalMessage, error) {
	n := m.Clock[m.Publisher]
	if n == 0 {
		return nil, fmt.Errorf("causal buffer: message %.40q of %.40q: its clock %.80q does not count it", m.Message.ID, m.Publisher, m.Clock.String())
	}
	same := func(w CausalMessage) bool { return w.Publisher == m.Publisher && w.Clock[m.Publisher] == n }
	if n <= b.at[m.Publisher] || slices.ContainsFunc(b.waiting, same) {
		return nil, nil
	}
	if !b.ready(m) && len(b.waiting) >= b.limit {
		return nil, fmt.Errorf("causal buffer: message %.40q of %.40q: %w: %d, and %s is missing",
			m.Message.ID, m.Publisher, ErrCausalFull, len(b.waiting), b.Missing())
	}
	b.waiting = append(b.waiting, m)
	return b.release(), nil
}

// ready reports whether a message is its publisher's next, and all that it follows were handed on.
func (b *CausalBuffer) ready(m CausalMessage) bool {
	for publisher, n := range m.Clock {
		if publisher == m.Publisher {
			n--
		}
		if n > b.at[publisher] {
			return false
		}
	}
	return m.Clock[m.Publisher] == b.at[m.Publisher]+1
}

// release hands on what waits no more, the earliest to arrive first.
func (b *CausalBuffer) release() (out []CausalMessage) {
	for {
		i := slices.IndexFunc(b.waiting, b.ready)
		if i < 0 {
			return out
		}
		m := b.waiting[i]
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.at[m.Publisher]++
		out = append(out, m)
	}
}

// Skip gives up on the messages up to a position that are missing: the client was told that it will
// not get them. It gives those that can be handed on now, in order.
func (b *CausalBuffer) Skip(to Vector) (out []CausalMessage) {
	for {
		i := slices.IndexFunc(b.waiting, func(m CausalMessage) bool {
			return m.Clock[m.Publisher] <= to[m.Publisher] && b.readyBut(m, to)
		})
		if i < 0 {
			break
		}
		m := b.waiting[i]
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.at[m.Publisher] = m.Clock[m.Publisher]
		out = append(out, m)
	}
	for publisher, n := range to {
		if first := b.first(publisher); first > 0 {
			n = min(n, first-1)
		}
		b.at[publisher] = max(b.at[publisher], n)
	}
	return append(out, b.release()...)
}

// readyBut reports whether a message follows none that is yet to be handed on, but those up to a
// position that have not arrived.
func (b *CausalBuffer) readyBut(m CausalMessage, skip Vector) bool {
	for publisher, n := range m.Clock {
		if publisher == m.Publisher {
			n--
		}
		first := b.first(publisher)
		if n > b.at[publisher] && (n > skip[publisher] || first > 0 && first <= n) {
			return false
		}
	}
	return true
}

// first gives the number of the first message of a publisher that waits; 0 if none does.
func (b *CausalBuffer) first(publisher string) (first uint64) {
	for _, m := range b.waiting {
		if n := m.Clock[publisher]; m.Publisher == publisher && (first == 0 || n < first) {
			first = n
		}
	}
	return first
}

// Waiting is how many messages wait for others.
func (b *CausalBuffer) Waiting() int { return len(b.waiting) }

// At is what was handed on or skipped, as a copy.
func (b *CausalBuffer) At() Vector { return maps.Clone(b.at) }

// Missing is up to where messages of each publisher are missing that others wait for. It has no entry
// for a publisher of whom nothing is missing.
func (b *CausalBuffer) Missing() Vector {
	missing := Vector{}
	for _, m := range b.waiting {
		for publisher, n := range m.Clock {
			if publisher == m.Publisher {
				n--
			}
			if n > b.at[publisher] && b.lacks(publisher, n) {
				missing[publisher] = max(missing[publisher], n)
			}
		}
	}
	return missing
}

// lacks reports whether any message of a publisher up to its n-th has not arrived.
func (b *CausalBuffer) lacks(publisher string, n uint64) bool {
	arrived := uint64(0)
	for _, m := range b.waiting {
		if m.Publisher == publisher && m.Clock[publisher] <= n {
			arrived++
		}
	}
	return arrived < n-b.at[publisher]
}

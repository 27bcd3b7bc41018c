package model

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Vector is a vector clock: how many events, or messages, of each node are known. A node that is
// missing has 0. (Fidge, Timestamps in Message-Passing Systems That Preserve the Partial Ordering, 1988;
// Mattern, Virtual Time and Global States of Distributed Systems, 1989.)
type Vector map[string]uint64

// Order is how two events relate.
type Order int

// The relations. Concurrent: neither can have caused the other.
const (
	Concurrent Order = iota
	Before
	Same
	After
)

// String is the relation in a word.
func (o Order) String() string { return [...]string{"concurrent", "before", "same", "after"}[o] }

// Compare says how the event of v relates to that of w: an event happened before another exactly if its
// vector is less or equal in every entry, and not the same.
func (v Vector) Compare(w Vector) Order {
	less, more := false, false
	for node, n := range v {
		more = more || n > w[node]
	}
	for node, n := range w {
		less = less || n > v[node]
	}
	switch {
	case less && more:
		return Concurrent
	case less:
		return Before
	case more:
		return After
	}
	return Same
}

// Tick counts an event of a node, and gives the vector of that event, which is a copy.
func (v Vector) Tick(node string) Vector {
	v[node]++
	return maps.Clone(v)
}

// Merge takes in what another vector knows: the greater of each entry.
func (v Vector) Merge(w Vector) {
	for node, n := range w {
		v[node] = max(v[node], n)
	}
}

// String is the text form "a:3,b:1", in order of name and without zeroes, which [ParseVector] reads
// back if all names are as [CheckRoom] has them.
func (v Vector) String() string {
	var b strings.Builder
	for _, node := range slices.Sorted(maps.Keys(v)) {
		if v[node] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(node)
		b.WriteByte(':')
		b.WriteString(strconv.FormatUint(v[node], 10))
	}
	return b.String()
}

// ParseVector reads the text form of a vector. Anything that String would not have written is an error.
func ParseVector(text string) (Vector, error) {
	v := Vector{}
	if text == "" {
		return v, nil
	}
	last := ""
	for entry := range strings.SplitSeq(text, ",") {
		node, digits, found := strings.Cut(entry, ":")
		if !found {
			return nil, fmt.Errorf("vector %.80q: entry %.40q has no colon; want name:number", text, entry)
		}
		if err := CheckRoom(node); err != nil {
			return nil, fmt.Errorf("vector %.80q: node, named like a room: %w", text, err)
		}
		if node <= last {
			return nil, fmt.Errorf("vector %.80q: %.40q after %.40q; names are in order, and none comes twice", text, node, last)
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || digits[0] == '0' {
			return nil, fmt.Errorf("vector %.80q: %.40q is not a decimal number from 1 to 2^64-1", text, digits)
		}
		v[node], last = n, node
	}
	return v, nil
}

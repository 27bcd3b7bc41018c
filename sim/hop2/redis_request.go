package hop2

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/twohop/twohop/model"
)

// call is one run of a script, on its way to the broker and back. The script takes the name of an epoch that
// may have to begin, then args, then each.
type call struct {
	room    string
	script  *redis.Script
	keys    []string
	epoch   string
	args    []string
	each    []string       // what a publication has of its own: publications to a room share a run
	assumed model.Bookmark // where the room's end is, and which message is there: if so, it is the answer, and the script does not run; zero if unknown
	answer  chan answer    // has room for the one answer
}

type answer struct {
	fields []string
	err    error
}

// newCall makes a call of a script.
func (r *Redis) newCall(room string, script *redis.Script, assumed model.Bookmark, args ...string) *call {
	if assumed.Cursor.Seq > 0 && assumed.Anchor == "" {
		assumed = model.Bookmark{} // it could be another
	}
	return &call{
		room: room, script: script, keys: r.keys(room), epoch: r.candidate(room), args: args, assumed: assumed,
		answer: make(chan answer, 1),
	}
}

// compareCalls is the canonical order of calls. Calls that it takes for equal are.
func compareCalls(a, b *call) int {
	return cmp.Or(
		strings.Compare(a.room, b.room),
		strings.Compare(a.script.Hash(), b.script.Hash()),
		strings.Compare(a.epoch, b.epoch),
		slices.Compare(a.args, b.args),
		slices.Compare(a.each, b.each),
		strings.Compare(a.assumed.Cursor.Epoch, b.assumed.Cursor.Epoch),
		cmp.Compare(a.assumed.Cursor.Seq, b.assumed.Cursor.Seq),
		strings.Compare(a.assumed.Anchor, b.assumed.Anchor),
	)
}

// maxTogether is how many publications share a run of the script at most: Lua passes only so many arguments to
// a function, and Redis does nothing else meanwhile.
const maxTogether = 64

// request is what is sent for a call, or for several publications to one room.
type request struct {
	calls []*call
	looks bool // for where the room's end is, before it has the script run
	// What came of it, the latest time.
	fields []string
	err    error
}

// requestsFor gives the requests that make the calls, in their order but for publications, which go with the
// room's first.
func requestsFor(calls []*call) (requests []*request) {
	publications := map[string]*request{} // by room
	for _, c := range calls {
		if q := publications[c.room]; c.each != nil && q != nil && len(q.calls) < maxTogether && slices.Equal(q.calls[0].args, c.args) {
			q.calls = append(q.calls, c)
			continue
		}
		q := &request{calls: []*call{c}, looks: !c.assumed.Cursor.IsZero()}
		if c.each != nil {
			publications[c.room] = q
		}
		requests = append(requests, q)
	}
	return requests
}

// queue puts the request into a pipeline.
func (q *request) queue(ctx context.Context, pipe redis.Pipeliner) *redis.Cmd {
	first := q.calls[0]
	if q.looks {
		return pipe.Do(ctx, "HMGET", first.keys[0], "epoch", "seq", "id")
	}
	args := []any{first.epoch}
	for _, a := range first.args {
		args = append(args, a)
	}
	for _, c := range q.calls {
		for _, a := range c.each {
			args = append(args, a)
		}
	}
	return first.script.EvalSha(ctx, pipe, first.keys, args...)
}

// known tells whether the room's end, which was looked for, is where the call assumes it to be.
func (q *request) known() bool {
	end, _, err := decodeCount(q.fields)
	return err == nil && end == q.calls[0].assumed
}

// answersOf gives each call what came of its request. Those that share a run have the epoch in common, and each
// a field of its own.
func answersOf(calls []*call, requests []*request) []answer {
	answers := make(map[*call]answer, len(calls))
	for _, q := range requests {
		for i, c := range q.calls {
			a := answer{q.fields, q.err}
			if c.each != nil && q.err == nil {
				if len(q.fields) == 1+len(q.calls) {
					a.fields = []string{q.fields[0], q.fields[1+i]}
				} else {
					a.err = fmt.Errorf("%w: %d fields for %d publications", errReply, len(q.fields), len(q.calls))
				}
			}
			answers[c] = a
		}
	}
	ordered := make([]answer, len(calls))
	for i, c := range calls {
		ordered[i] = answers[c]
	}
	return ordered
}

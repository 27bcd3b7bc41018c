package properties

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/twohop/twohop/model"
)

// roomLog is what a history says of the log of one room's epoch, as the operations that Porcupine is
// given.
//
// They are fewer than the events, without being weaker:
//
//   - The calls of publish for one ID are one append: from the first call to the first return. What the
//     call appends it appends in that time, whichever of the calls did it, and all others change
//     nothing. Each further return is a read. A call may append to the logs of several epochs, since
//     its publisher tries until it is answered: for those that it did not return from, its outcome is
//     unknown.
//   - Of reads that agree (same position, same ID) only the first is kept. Whether a read holds depends
//     on the log up to its position only, and that never changes once it is written: in any linear
//     order, a later read can be put right behind the place of the first.
//
// The state of the log is reduced to its length, because observations say what it must hold: want. A
// position takes the first ID seen there, and an ID the first position it was seen at; an observation
// that disagrees holds in no order at all. Which of the appends of unknown outcome that nobody saw
// fill the holes in between is a choice, but one without consequence: they have no return that bounds
// them, so any of them fits wherever one that was called later does, and it is enough to try them in
// the order of their calls. Those left over never took effect.
type roomLog struct {
	appends      []operation // by step of the call
	reads        []operation // by step
	want         map[uint64]string
	observations []uint64 // steps of all returns and reads

	byID map[string]int    // index in appends
	at   map[string]uint64 // position by ID, as observed first
	seen map[read]bool
}

type read struct {
	seq uint64
	id  string
}

// operation is Porcupine's input and output in one.
type operation struct {
	id        string
	seq       uint64 // position returned or read; 0 if it never returned
	append    bool
	node      string
	call, ret uint64 // steps; MaxInt64 if it never returned
}

const never = math.MaxInt64

// roomLogs reads a well-formed history, and gives the logs by room and epoch, in order of name.
func roomLogs(events []model.Event) []*roomLog {
	type key struct{ room, epoch string }
	logs := map[key]*roomLog{}
	byRoom := map[string][]*roomLog{}
	var sorted []key
	for i := range events {
		e := &events[i]
		if k := (key{e.Room, e.Epoch}); logs[k] == nil && (e.Kind == model.PublishOK || e.Kind == model.Deliver) {
			logs[k] = &roomLog{want: map[uint64]string{}, byID: map[string]int{}, at: map[string]uint64{}, seen: map[read]bool{}}
			byRoom[e.Room] = append(byRoom[e.Room], logs[k])
			sorted = append(sorted, k)
		}
	}
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case model.PublishCall:
			for _, l := range byRoom[e.Room] {
				l.take(e)
			}
		case model.PublishOK, model.Deliver:
			logs[key{e.Room, e.Epoch}].take(e)
		}
	}
	slices.SortFunc(sorted, func(a, b key) int { return cmp.Or(cmp.Compare(a.room, b.room), cmp.Compare(a.epoch, b.epoch)) })
	all := make([]*roomLog, len(sorted))
	for i, k := range sorted {
		all[i] = logs[k]
		all[i].fillHoles()
	}
	return all
}

func (l *roomLog) take(e *model.Event) {
	i, called := l.byID[e.ID]
	switch e.Kind {
	case model.PublishCall:
		if !called {
			l.byID[e.ID] = len(l.appends)
			l.appends = append(l.appends, operation{id: e.ID, append: true, node: e.Node, call: e.Step, ret: never})
		}
		return
	case model.PublishOK:
		if called && l.appends[i].ret == never {
			l.appends[i].ret, l.appends[i].seq = e.Step, e.Seq
			l.observe(e)
			return
		}
	}
	if l.observe(e) {
		l.reads = append(l.reads, operation{id: e.ID, seq: e.Seq, node: e.Node, call: e.Step, ret: e.Step})
	}
}

// observe takes that a message is at a position, and reports whether it is news.
func (l *roomLog) observe(e *model.Event) bool {
	l.observations = append(l.observations, e.Step)
	r := read{e.Seq, e.ID}
	if l.seen[r] {
		return false
	}
	l.seen[r] = true
	_, taken := l.want[e.Seq]
	_, placed := l.at[e.ID]
	if !taken && !placed && e.Seq > 0 {
		l.want[e.Seq], l.at[e.ID] = e.ID, e.Seq
	}
	return true
}

// fillHoles decides which appends fill the positions that nobody saw, and drops those that never took
// effect. A hole that it cannot fill stays, and no append behind it is possible.
func (l *roomLog) fillHoles() {
	placed := l.appends[:0]
	hole := uint64(1)
	top := uint64(0)
	for seq := range l.want {
		top = max(top, seq)
	}
	for _, a := range l.appends {
		if _, seen := l.at[a.id]; !seen && a.ret == never {
			for l.want[hole] != "" {
				hole++
			}
			if hole > top {
				continue
			}
			l.want[hole], l.at[a.id] = a.id, hole
		}
		placed = append(placed, a)
	}
	l.appends = placed
}

// step is Porcupine's: may the operation follow in a log of length n, and how long is the log then.
func (l *roomLog) step(n uint64, op operation) (bool, uint64) {
	if !op.append {
		return op.seq > 0 && op.seq <= n && l.want[op.seq] == op.id, n
	}
	if l.want[n+1] != op.id || (op.ret != never && op.seq != n+1) {
		return false, n
	}
	return true, n + 1
}

// input is what Porcupine carries around for an operation.
type input struct {
	log *roomLog
	op  operation
}

// logModel is Porcupine's model of several logs, one partition each. It brings its own history.
func logModel(logs []*roomLog) porcupine.Model {
	return porcupine.Model{
		Partition: func([]porcupine.Operation) [][]porcupine.Operation {
			partitions := make([][]porcupine.Operation, len(logs))
			for i, l := range logs {
				partitions[i] = l.operations()
			}
			return partitions
		},
		Init: func() any { return uint64(0) },
		Step: func(state, in, _ any) (bool, any) {
			i := in.(*input)
			ok, n := i.log.step(state.(uint64), i.op)
			return ok, n
		},
		Hash:              func(state any) uint64 { return state.(uint64) * 0x9e3779b97f4a7c15 },
		DescribeOperation: func(in, _ any) string { return in.(*input).op.String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%d messages", state) },
	}
}

// operations gives the log's operations with steps as times: unlike virtual times, they never tie,
// so that Porcupine's closed intervals mean what they should.
func (l *roomLog) operations() []porcupine.Operation {
	lanes := map[string]int{}
	all := slices.Concat(l.appends, l.reads)
	ops := make([]porcupine.Operation, len(all))
	for i, op := range all {
		lane, known := lanes[op.node]
		if !known {
			lane = len(lanes)
			lanes[op.node] = lane
		}
		ops[i] = porcupine.Operation{
			ClientId: lane, Input: &input{l, op}, Call: int64(op.call), Return: int64(op.ret),
		}
	}
	return ops
}

func (o operation) String() string {
	switch {
	case !o.append:
		return fmt.Sprintf("%s: read(%d) = %q", o.node, o.seq, o.id)
	case o.ret == never:
		return fmt.Sprintf("%s: append(%q), outcome unknown", o.node, o.id)
	}
	return fmt.Sprintf("%s: append(%q) = %d", o.node, o.id, o.seq)
}

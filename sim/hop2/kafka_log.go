package hop2

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/twohop/twohop/model"
)

// kafkaEntry is a record of a room's partition. Kafka appends whatever it is sent: it neither knows IDs nor
// appends on a condition. So a writer says how far it had read, its horizon, and what it took the log to be
// there; and readers take an entry for void if that turns out not to be so. All readers come to the same
// conclusion, since they look at nothing but what lies between the horizon and the entry.
type kafkaEntry struct {
	// Epoch is the room's epoch at the horizon or, if there is no ID, one that is to begin.
	Epoch string `json:"epoch"`
	// Horizon is the offset up to which, exclusively, the writer had read.
	Horizon int64 `json:"horizon"`
	// Seq is that of the newest message before the horizon, and After its ID, if the writer knows it.
	Seq   uint64 `json:"seq,omitempty"`
	After string `json:"after,omitempty"`
	record
}

func (e *kafkaEntry) encode() []byte { return mustJSON(e) }

// decodeKafkaEntry reads a record's value.
func decodeKafkaEntry(value []byte) (kafkaEntry, error) {
	var e kafkaEntry
	if err := json.Unmarshal(value, &e); err != nil {
		return kafkaEntry{}, err
	}
	if at, err := model.ParseCursor(e.Epoch + ":0"); err != nil || at.Epoch != e.Epoch {
		return kafkaEntry{}, fmt.Errorf("entry with the epoch %.40q", e.Epoch)
	}
	if e.Horizon < 0 {
		return kafkaEntry{}, fmt.Errorf("entry with the horizon %d", e.Horizon)
	}
	return e, nil
}

// kafkaLog makes a room's log of its partition: it is what a reader knows who has read the partition from
// some offset on. It is pure.
//
// The rules, for an entry at offset o with horizon h, where w is a limit that all agree on:
//
//   - It is void unless o-w <= h <= o.
//   - One that begins an epoch is void if there is an entry in [h, o) that is not.
//   - A message is void if its epoch is not the log's, or if its Seq is not that of the log at h, or if
//     its ID is that of a message in [h, o).
//
// A reader that begins in the middle, where what was before is trimmed, cannot judge everything. It learns
// epoch and Seq of the first entry whose horizon it has read, without one in between that it cannot judge.
type kafkaLog struct {
	window int64 // w
	keep   int   // messages

	next  int64  // the offset to read next
	prior []byte // the value before that; nil if it is not known
	first int64  // the offset that reading began at
	known bool   // epoch and seq are
	epoch string
	seq   uint64
	past  map[string]bool // epochs that were
	valid int64           // offset of the last entry that is not void; -1 if there is none
	// sure are the messages that are not void, with their offsets: those of the last w offsets at least.
	sure []sureEntry
	// ids are the positions of the IDs in sure.
	ids map[string]uint64
	// doubtful is the offset of the last entry that could not be judged; -1 if there is none.
	doubtful int64

	messages []model.Message // the last ones, at most keep; up to seq, without a hole
	// foreign: the partition is another than the one that was read, or that a writer had read: it has another value
	// than before, or a message came of an epoch that the log has never been in, so that its begin was missed, or
	// that was written after another message. It has been cut, then, and has grown again since.
	foreign bool
}

type sureEntry struct {
	offset int64
	id     string
}

func newKafkaLog(window, keep int) *kafkaLog {
	return &kafkaLog{window: int64(window), keep: keep, valid: -1, doubtful: -1, past: map[string]bool{}, ids: map[string]uint64{}}
}

// restart begins to read at an offset, of which nothing is known.
func (l *kafkaLog) restart(offset int64) {
	if l.known {
		l.past[l.epoch] = true
	}
	*l = kafkaLog{
		window: l.window, keep: l.keep, next: offset, first: offset, valid: -1, doubtful: -1, past: l.past, ids: map[string]uint64{},
	}
}

// take takes the entry at an offset, which is next or beyond. A value that is no entry is void.
func (l *kafkaLog) take(room string, offset int64, value []byte) {
	if offset < l.next {
		if offset == l.next-1 && l.prior != nil && !bytes.Equal(value, l.prior) {
			l.foreign = true // the partition is another
		}
		return
	}
	if offset > l.next && l.known { // somebody removed what was in between
		past := l.past
		l.restart(offset)
		delete(past, l.epoch)
	}
	l.next, l.prior = offset+1, value
	e, err := decodeKafkaEntry(value)
	if err != nil || e.Horizon > offset || offset-e.Horizon > l.window {
		return
	}
	l.judge(room, offset, e)
	l.trim()
}

func (l *kafkaLog) judge(room string, offset int64, e kafkaEntry) {
	switch {
	case e.Horizon < l.first || e.Horizon <= l.doubtful:
		l.doubtful, l.known = offset, false
		l.sure, l.messages, l.ids = nil, nil, map[string]uint64{}
	case e.ID == "" && l.valid < e.Horizon:
		l.begin(offset, e.Epoch)
	case e.ID != "" && !l.known:
		l.known, l.epoch, l.seq = true, e.Epoch, e.Seq
		l.append(room, offset, e)
	case e.ID != "":
		l.append(room, offset, e)
	}
}

func (l *kafkaLog) begin(offset int64, epoch string) {
	if l.known {
		l.past[l.epoch] = true
	}
	l.known, l.epoch, l.seq, l.valid = true, epoch, 0, offset
	l.sure, l.messages, l.ids = nil, nil, map[string]uint64{}
}

func (l *kafkaLog) append(room string, offset int64, e kafkaEntry) {
	if e.Epoch != l.epoch {
		l.foreign = l.foreign || !l.past[e.Epoch]
		return
	}
	since := uint64(0) // messages from the horizon on
	for i := len(l.sure) - 1; i >= 0 && l.sure[i].offset >= e.Horizon; i-- {
		if l.sure[i].id == e.ID {
			return
		}
		since++
	}
	if l.seq-since != e.Seq {
		return
	}
	if replaced(l.anchor(e.Seq), e.After) {
		l.foreign = true
	}
	l.seq++
	l.valid = offset
	l.sure = append(l.sure, sureEntry{offset, e.ID})
	l.ids[e.ID] = l.seq
	l.messages = append(l.messages, model.Message{Room: room, Seq: l.seq, ID: e.ID, Publisher: e.Publisher, Body: e.Body})
}

// trim forgets what is not needed any more.
func (l *kafkaLog) trim() {
	for len(l.sure) > 0 && l.sure[0].offset < l.next-l.window {
		id := l.sure[0].id
		if l.ids[id] <= l.seq-uint64(len(l.sure))+1 { // it has not come again since
			delete(l.ids, id)
		}
		l.sure = l.sure[1:]
	}
	if n := len(l.messages) - l.keep; n > 0 {
		l.messages = l.messages[n:]
	}
}

// page is the log as other readers know it, without messages.
func (l *kafkaLog) page() page {
	return page{epoch: l.epoch, first: l.seq - uint64(len(l.messages)) + 1, last: l.seq}
}

// after gives what comes after a position of the page.
func (l *kafkaLog) after(seq uint64) []model.Message {
	n := l.seq - seq
	return l.messages[uint64(len(l.messages))-n:]
}

// anchor gives the ID of the message at a position, which is not beyond the last; "" if it is not known any more.
func (l *kafkaLog) anchor(seq uint64) string {
	n := l.seq - seq
	switch kept, sure := uint64(len(l.messages)), uint64(len(l.sure)); {
	case n < kept:
		return l.messages[kept-1-n].ID
	case n < sure:
		return l.sure[sure-1-n].id
	}
	return ""
}

// entry makes an entry of a message, or of an epoch to begin, for appending now.
func (l *kafkaLog) entry(m model.Message) kafkaEntry {
	return kafkaEntry{Epoch: l.epoch, Horizon: l.next, Seq: l.seq, After: l.anchor(l.seq), record: record{ID: m.ID, Publisher: m.Publisher, Body: m.Body}}
}

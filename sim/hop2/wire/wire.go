package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/twohop/twohop/model"
)

// The limits of one request.
const (
	// MaxOps is how many operations a batch has at most.
	MaxOps = 256
	// MaxLimit is how many messages a read can ask for.
	MaxLimit = 1000
	// MaxBytes is the greatest size of a request or reply.
	MaxBytes = 64 << 20
)

// Batch is operations that are done one after the other, and become safe together.
type Batch struct {
	Ops []Op `json:"ops"`
}

// Op is one operation: Append, Read or Leave is set.
type Op struct {
	Append *Append `json:"append,omitempty"`
	Read   *Read   `json:"read,omitempty"`
	Leave  *Leave  `json:"leave,omitempty"`
}

// Append appends a message to its room's log, unless one with its ID is there or was.
type Append struct {
	Room      string `json:"room"`
	ID        string `json:"id"`
	Publisher string `json:"publisher,omitempty"`
	Body      []byte `json:"body,omitempty"`
}

// Message is the message to be appended; it has no Seq.
func (a *Append) Message() model.Message {
	return model.Message{Room: a.Room, ID: a.ID, Publisher: a.Publisher, Body: a.Body}
}

// Read asks for a page of a room's log.
type Read struct {
	Room string `json:"room"`
	// From is the position to read after, in text ([model.Cursor.String]); "" asks for no messages, only
	// for where the log ends.
	From string `json:"from,omitempty"`
	// Limit is how many messages to give at most, 1 to MaxLimit.
	Limit int `json:"limit"`
	// Stream, unless empty, names the reader's stream: from now on the room's messages are to come on it, if
	// it is open. Only a relay looks at it.
	Stream string `json:"stream,omitempty"`
}

// Leave ends that a room's messages come on a stream, as a Read began it. Only a relay does it.
type Leave struct {
	Room   string `json:"room"`
	Stream string `json:"stream"`
}

// Results are those of a batch.
type Results struct {
	Results []Result `json:"results"`
}

// Result is that of one operation: Cursor of an append, Page of a read, nothing of a leave, or Error.
type Result struct {
	Cursor string `json:"cursor,omitempty"`
	Page   *Page  `json:"page,omitempty"`
	// Error says why the operation cannot be done; trying again would not help.
	Error string `json:"error,omitempty"`
}

// Page is some of a room's log.
type Page struct {
	Epoch string `json:"epoch"`
	// First is the Seq of the oldest message kept, Last of the newest; an empty log has First = Last+1.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Anchor is the ID of the message at the position asked for, as far as the log has one: of the message before First
	// if it does not have that any more or is of another epoch, and of the last one if there is none there yet, or
	// none was asked for. "" if it is not known any more.
	Anchor string `json:"anchor,omitempty"`
	// Records are in order of Seq. They begin after the position asked for, or, if the log does not have
	// that any more or it is of another epoch, at First.
	Records []Record `json:"records,omitempty"`
}

// Record is a message in its log.
type Record struct {
	Seq       uint64 `json:"seq"`
	ID        string `json:"id"`
	Publisher string `json:"publisher,omitempty"`
	Body      []byte `json:"body,omitempty"`
}

// Message is the message that a record of a room holds.
func (r *Record) Message(room string) model.Message {
	return model.Message{Room: room, Seq: r.Seq, ID: r.ID, Publisher: r.Publisher, Body: r.Body}
}

// Check reports whether the operation can be one.
func (o *Op) Check() error {
	set := 0
	for _, is := range []bool{o.Append != nil, o.Read != nil, o.Leave != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("operation: want one of append, read and leave; it has %d", set)
	case o.Append != nil:
		return model.CheckMessage(o.Append.Message())
	case o.Leave != nil:
		if err := model.CheckRoom(o.Leave.Room); err != nil {
			return err
		}
		return CheckStream(o.Leave.Stream)
	}
	if err := model.CheckRoom(o.Read.Room); err != nil {
		return err
	}
	if o.Read.Stream != "" {
		if err := CheckStream(o.Read.Stream); err != nil {
			return err
		}
	}
	if _, err := model.ParseCursor(o.Read.From); err != nil {
		return err
	}
	if o.Read.Limit < 1 || o.Read.Limit > MaxLimit {
		return fmt.Errorf("limit: %d; want 1 to %d", o.Read.Limit, MaxLimit)
	}
	return nil
}

// CheckStream reports whether a name can be a stream's: 1 to 64 of [A-Za-z0-9_-].
func CheckStream(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("stream %.80q: it has %d characters; want 1 to 64", name, len(name))
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return fmt.Errorf("stream %q: it has %q; allowed are letters, digits, _ and -", name, r)
		}
	}
	return nil
}

// DecodeBatch reads a request. Its operations are not checked: what is wrong with one is its result's
// business.
func DecodeBatch(b []byte) ([]Op, error) {
	var batch Batch
	if err := decode(b, &batch); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	if len(batch.Ops) == 0 || len(batch.Ops) > MaxOps {
		return nil, fmt.Errorf("batch: it has %d operations; want 1 to %d", len(batch.Ops), MaxOps)
	}
	return batch.Ops, nil
}

// DecodeResults reads the reply to operations, and checks it against them.
func DecodeResults(b []byte, ops []Op) ([]Result, error) {
	var r Results
	if err := decode(b, &r); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	if len(r.Results) != len(ops) {
		return nil, fmt.Errorf("results: there are %d for %d operations", len(r.Results), len(ops))
	}
	for i := range r.Results {
		if err := r.Results[i].check(&ops[i]); err != nil {
			return nil, fmt.Errorf("results: number %d: %w", i+1, err)
		}
	}
	return r.Results, nil
}

func (r *Result) check(op *Op) error {
	switch {
	case r.Error != "", op.Leave != nil:
		return nil
	case op.Append != nil:
		at, err := model.ParseCursor(r.Cursor)
		if err == nil && at.Seq == 0 {
			err = fmt.Errorf("cursor %.80q is no message's position", r.Cursor)
		}
		return err
	case r.Page == nil:
		return errors.New("a read has no page")
	}
	return r.Page.check(op.Read)
}

// check holds a page to what its fields say of themselves. What is missing in it is not looked at: that
// makes a gap.
func (p *Page) check(asked *Read) error {
	if at := (model.Cursor{Epoch: p.Epoch, Seq: p.Last}); at.Epoch == "" || at.Seq+1 == 0 {
		return fmt.Errorf("page: position %v", at)
	} else if _, err := model.ParseCursor(at.String()); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	if p.First == 0 || p.First > p.Last+1 {
		return fmt.Errorf("page: the oldest message is %d of a log that ends at %d", p.First, p.Last)
	}
	if err := model.CheckAnchor(p.Anchor); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	last := uint64(0)
	for i := range p.Records {
		r := &p.Records[i]
		if r.Seq <= last || r.Seq > p.Last {
			return fmt.Errorf("page: record %d after %d, in a log that ends at %d", r.Seq, last, p.Last)
		}
		if err := model.CheckMessage(r.Message(asked.Room)); err != nil {
			return fmt.Errorf("page: record %d: %w", r.Seq, err)
		}
		last = r.Seq
	}
	return nil
}

// decode reads one JSON value of known fields, and nothing after it.
func decode(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON value")
	}
	return nil
}

// MaxLine is the greatest length of a line of a source's stream, in bytes.
const MaxLine = 2 << 20

// Delivery is a line of the stream on which a source delivers to an edge: a message that was appended; without a
// Record, the word that the log goes on from elsewhere, so that who reads it must look; or, without a Room, a sign of
// life.
type Delivery struct {
	Room   string  `json:"room,omitempty"`
	Epoch  string  `json:"epoch,omitempty"`
	Record *Record `json:"record,omitempty"`
}

// SignOfLife is a line without a message.
const SignOfLife = "{}\n"

// Line makes a delivery a line.
func (d Delivery) Line() []byte {
	b, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("wire: a delivery of strings and bytes does not marshal: %v", err))
	}
	return append(b, '\n')
}

// DecodeDelivery reads a line and checks it.
func DecodeDelivery(b []byte) (*Delivery, error) {
	d := &Delivery{}
	if err := decode(b, d); err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	if d.Room == "" {
		return d, nil
	}
	at := model.Cursor{Epoch: d.Epoch}
	if d.Record != nil {
		at.Seq = d.Record.Seq
	}
	if d.Epoch == "" || d.Record != nil && at.Seq == 0 {
		return nil, fmt.Errorf("delivery to room %.80q: no position", d.Room)
	}
	if _, err := model.ParseCursor(at.String()); err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	if d.Record == nil {
		if err := model.CheckRoom(d.Room); err != nil {
			return nil, fmt.Errorf("delivery: %w", err)
		}
		return d, nil
	}
	if err := model.CheckMessage(d.Record.Message(d.Room)); err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	return d, nil
}

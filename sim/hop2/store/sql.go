package store

import (
	"errors"
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// statements are those that operations need.
type statements struct {
	end, known, grow, insert, remember, trim, forget, oldest, page, anchor *sqlite3.Stmt

	all []*sqlite3.Stmt
}

func (st *statements) prepare(c *sqlite3.Conn) error {
	for _, s := range []struct {
		to  **sqlite3.Stmt
		sql string
	}{
		{&st.end, `SELECT seq FROM rooms WHERE room = ?`},
		{&st.known, `SELECT seq FROM ids WHERE room = ? AND id = ?`},
		{&st.grow, `INSERT INTO rooms VALUES (?, 1) ON CONFLICT DO UPDATE SET seq = seq + 1 RETURNING seq`},
		{&st.insert, `INSERT INTO messages VALUES (?, ?, ?, ?, ?)`},
		{&st.remember, `INSERT INTO ids VALUES (?, ?, ?)`},
		{&st.trim, `DELETE FROM messages WHERE room = ? AND seq <= ?`},
		{&st.forget, `DELETE FROM ids WHERE room = ? AND seq <= ?`},
		{&st.oldest, `SELECT min(seq) FROM messages WHERE room = ?`},
		{&st.anchor, `SELECT id FROM ids WHERE room = ? AND seq = ?`},
		{&st.page, `SELECT seq, id, publisher, body FROM messages WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?`},
	} {
		stmt, _, err := c.Prepare(s.sql)
		if err != nil {
			return err
		}
		*s.to = stmt
		st.all = append(st.all, stmt)
	}
	return nil
}

func (st *statements) close() error {
	var errs []error
	for _, s := range st.all {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// bind sets a statement's parameters, from the first on.
func bind(s *sqlite3.Stmt, args ...any) error {
	for i, a := range args {
		var err error
		switch a := a.(type) {
		case string:
			err = s.BindText(i+1, a)
		case int64:
			err = s.BindInt64(i+1, a)
		case []byte:
			err = s.BindBlob(i+1, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement that gives no rows.
func exec(s *sqlite3.Stmt, args ...any) error {
	if err := bind(s, args...); err != nil {
		return err
	}
	return s.Exec() // it resets, too
}

// number runs a statement that gives a number, or nothing, which is 0.
func number(s *sqlite3.Stmt, args ...any) (n int64, err error) {
	if err := bind(s, args...); err != nil {
		return 0, err
	}
	if s.Step() {
		n = s.ColumnInt64(0)
		s.Step() // RETURNING takes effect when the statement has run to its end
	}
	return n, errors.Join(s.Err(), s.Reset())
}

// append appends a message and gives its position, or the one that it has already.
func (s *Store) append(a *wire.Append) (uint64, error) {
	st := &s.stmts
	if seq, err := number(st.known, a.Room, a.ID); err != nil || seq > 0 {
		return uint64(seq), err
	}
	seq, err := number(st.grow, a.Room)
	if err != nil {
		return 0, err
	}
	return uint64(seq), errors.Join(
		exec(st.insert, a.Room, seq, a.ID, a.Publisher, a.Body),
		exec(st.remember, a.Room, a.ID, seq),
		exec(st.trim, a.Room, seq-int64(s.cfg.History)),
		exec(st.forget, a.Room, seq-int64(s.cfg.Remember)),
	)
}

// read gives a page of a room's log.
func (s *Store) read(r *wire.Read) (*wire.Page, error) {
	from, err := model.ParseCursor(r.From)
	if err != nil {
		return nil, err // it has been checked
	}
	last, err := number(s.stmts.end, r.Room)
	if err != nil {
		return nil, err
	}
	first, err := number(s.stmts.oldest, r.Room)
	s.scanned(s.stmts.oldest)
	if err != nil {
		return nil, err
	}
	p := &wire.Page{Epoch: s.epoch(r.Room), First: uint64(first), Last: uint64(last)}
	if first == 0 {
		p.First = p.Last + 1
	}
	at := p.First - 1
	switch {
	case from.IsZero():
		at = p.Last
	case from.Epoch == p.Epoch:
		at = max(at, min(from.Seq, p.Last))
	}
	if p.Anchor, err = s.anchor(r.Room, at); err != nil || from.IsZero() {
		return p, err
	}
	after := int64(0)
	if from.Epoch == p.Epoch {
		after = int64(min(from.Seq, math.MaxInt64))
	}
	p.Records, err = s.page(r.Room, after, r.Limit)
	s.stats.Records += len(p.Records)
	return p, err
}

// anchor gives the ID of the message at a position; "" if it is not remembered.
func (s *Store) anchor(room string, at uint64) (id string, err error) {
	st := s.stmts.anchor
	if err := bind(st, room, int64(at)); err != nil {
		return "", err
	}
	if st.Step() {
		id = st.ColumnText(0)
	}
	return id, errors.Join(st.Err(), st.Reset())
}

func (s *Store) page(room string, after int64, limit int) (records []wire.Record, err error) {
	st := s.stmts.page
	if err := bind(st, room, after, int64(limit)); err != nil {
		return nil, err
	}
	for st.Step() {
		records = append(records, wire.Record{
			Seq: uint64(st.ColumnInt64(0)), ID: st.ColumnText(1), Publisher: st.ColumnText(2), Body: st.ColumnBlob(3, nil),
		})
	}
	err = errors.Join(st.Err(), st.Reset())
	s.scanned(st)
	return records, err
}

// scanned counts the rows that a statement looked at for want of an index.
func (s *Store) scanned(st *sqlite3.Stmt) {
	s.stats.Scanned += st.Status(sqlite3.STMTSTATUS_FULLSCAN_STEP, true)
}

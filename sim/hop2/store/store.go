package store

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// Config configures a [Store]. Only Disk is needed.
type Config struct {
	// Disk is where the database is, or will be made.
	Disk *disk.Disk
	// History is how many messages a room's log keeps. 0 means 1000.
	History int
	// Remember is how many of a room's latest message IDs are kept, so that a message published again
	// appends nothing. 0 means 4096.
	Remember int
	// Service is how long the store is busy with one operation; it does one at a time, so that 1/Service
	// is how many it can do a second. 0 means no time at all.
	Service time.Duration
	// NoIndex leaves out the index by room and position, so that every read scans all messages of all
	// rooms. It counts when the database is made.
	NoIndex bool
	// Rand draws the identity of a database that is made. nil means crypto/rand.
	Rand *rand.Rand
}

func (c *Config) validate() error {
	if c.Disk == nil {
		return errors.New("store: Disk: nil; want a disk")
	}
	for _, f := range []struct {
		name      string
		value     *int
		byDefault int
	}{{"History", &c.History, 1000}, {"Remember", &c.Remember, 4096}} {
		if *f.value < 0 || *f.value > 1<<30 {
			return fmt.Errorf("store: %s: %d; want 0 (meaning %d) to 2^30", f.name, *f.value, f.byDefault)
		}
		if *f.value == 0 {
			*f.value = f.byDefault
		}
	}
	if c.Service < 0 {
		return fmt.Errorf("store: Service: %v; want 0 or more", c.Service)
	}
	return nil
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	cfg     Config
	release func() // of the file system

	turn chan struct{} // holds an element while nobody uses what follows

	conn     *sqlite3.Conn // nil once it is closed
	identity []byte
	stmts    statements
	stats    Stats
}

// Stats counts what a [Store] has done since it was opened.
type Stats struct {
	// Batches is how many transactions there were, Reads how many pages of a log were asked for, and
	// Appends how many messages were to be appended.
	Batches, Reads, Appends int
	// Records is how many messages the reads gave, and Scanned how many rows they had to look at for it
	// without an index.
	Records, Scanned int
}

// ErrClosed: the store is closed.
var ErrClosed = errors.New("store: closed")

const databaseName = "rooms.db"

// Open opens the database on a disk, or makes one. What a crash left half done is rolled back.
func Open(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, turn: make(chan struct{}, 1)}
	var name string
	name, s.release = register(cfg.Disk)
	var err error
	if s.conn, err = sqlite3.Open("file:" + databaseName + "?vfs=" + name); err == nil {
		err = s.prepare()
	}
	if err != nil {
		if s.conn != nil {
			_ = s.conn.Close() // the first error says more
		}
		s.release()
		return nil, fmt.Errorf("store: open: %w", err)
	}
	s.turn <- struct{}{}
	return s, nil
}

// schema makes an empty database, once. Rooms have a row from their first message on.
const schema = `
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA temp_store = MEMORY;
CREATE TABLE IF NOT EXISTS identity (id BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS rooms (room TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ids (room TEXT, id TEXT, seq INTEGER NOT NULL, PRIMARY KEY (room, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS ids_by_seq ON ids (room, seq);
`

const (
	indexed   = `CREATE TABLE IF NOT EXISTS messages (room TEXT, seq INTEGER, id TEXT, publisher TEXT, body BLOB, PRIMARY KEY (room, seq)) WITHOUT ROWID`
	unindexed = `CREATE TABLE IF NOT EXISTS messages (room TEXT, seq INTEGER, id TEXT, publisher TEXT, body BLOB)`
)

func (s *Store) prepare() error {
	messages := indexed
	if s.cfg.NoIndex {
		messages = unindexed
	}
	if err := s.conn.Exec(schema + messages); err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	return s.stmts.prepare(s.conn)
}

// identify reads the database's identity, or gives it one.
func (s *Store) identify() error {
	get, _, err := s.conn.Prepare(`SELECT id FROM identity`)
	if err != nil {
		return err
	}
	if get.Step() {
		s.identity = get.ColumnBlob(0, nil)
	}
	if err := errors.Join(get.Err(), get.Close()); err != nil || s.identity != nil {
		return err
	}
	s.identity = make([]byte, 16)
	if s.cfg.Rand == nil {
		_, _ = crand.Read(s.identity) // never fails: crypto/rand's contract since Go 1.24
	} else {
		for i := range s.identity {
			s.identity[i] = byte(s.cfg.Rand.Uint64())
		}
	}
	return s.conn.Exec(fmt.Sprintf(`INSERT INTO identity VALUES (x'%x')`, s.identity))
}

// epoch names the life of a room's log, which is that of the database.
func (s *Store) epoch(room string) string {
	sum := sha256.Sum256(append(append([]byte{}, s.identity...), room...))
	return hex.EncodeToString(sum[:8])
}

// Close closes the database. It is idempotent. After a crash of the disk it fails, but frees everything
// all the same.
func (s *Store) Close() error {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.conn == nil {
		return nil
	}
	err := errors.Join(s.stmts.close(), s.conn.Close())
	s.conn = nil
	s.release()
	return err
}

// Stats gives a copy of the counters.
func (s *Store) Stats() Stats {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	return s.stats
}

// Do does operations in one transaction, and gives their results in order. It returns when they are safe.
// It fails as a whole if the database does: then nothing has been done.
func (s *Store) Do(ops []wire.Op) ([]wire.Result, error) {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.conn == nil {
		return nil, ErrClosed
	}
	if s.cfg.Service > 0 {
		time.Sleep(s.cfg.Service * time.Duration(len(ops)))
	}
	stats := s.stats
	results, err := s.transaction(ops)
	if err != nil {
		s.stats = stats
		return nil, fmt.Errorf("store: %w", err)
	}
	return results, nil
}

func (s *Store) transaction(ops []wire.Op) (results []wire.Result, err error) {
	if err := s.conn.Exec(`BEGIN`); err != nil {
		return nil, err
	}
	for i := range ops {
		r, err := s.do(&ops[i])
		if err != nil {
			return nil, errors.Join(err, s.conn.Exec(`ROLLBACK`))
		}
		results = append(results, r)
	}
	if err := s.conn.Exec(`COMMIT`); err != nil {
		_ = s.conn.Exec(`ROLLBACK`) // the first error says more
		return nil, err
	}
	s.stats.Batches++
	return results, nil
}

// do does one operation. What is wrong with the operation is its result, what is wrong with the database
// an error.
func (s *Store) do(op *wire.Op) (wire.Result, error) {
	if err := op.Check(); err != nil {
		return wire.Result{Error: err.Error()}, nil
	}
	if op.Leave != nil {
		return wire.Result{Error: "there are no streams here to leave"}, nil
	}
	if a := op.Append; a != nil {
		s.stats.Appends++
		seq, err := s.append(a)
		return wire.Result{Cursor: model.Cursor{Epoch: s.epoch(a.Room), Seq: seq}.String()}, err
	}
	s.stats.Reads++
	p, err := s.read(op.Read)
	return wire.Result{Page: p}, err
}

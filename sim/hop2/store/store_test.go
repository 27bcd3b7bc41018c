package store_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/disk"
	"github.com/twohop/twohop/sim/hop2/store"
	"github.com/twohop/twohop/sim/hop2/wire"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// TestMain fails the package if a goroutine of its tests is left.
func TestMain(m *testing.M) { os.Exit(simtest.Main(m, "sim/hop2")) }

func open(t *testing.T, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // after a crash it fails
	return s
}

func add(room string, i int) wire.Op {
	return wire.Op{Append: &wire.Append{Room: room, ID: fmt.Sprintf("m%d", i), Publisher: "p", Body: fmt.Appendf(nil, "body \x00 of %d", i)}}
}

func read(room string, from model.Cursor, limit int) wire.Op {
	return wire.Op{Read: &wire.Read{Room: room, From: from.String(), Limit: limit}}
}

// do does one operation, which must succeed.
func do(t *testing.T, s *store.Store, op wire.Op) wire.Result {
	t.Helper()
	results, err := s.Do([]wire.Op{op})
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Empty(t, results[0].Error)
	return results[0]
}

func appendTo(t *testing.T, s *store.Store, room string, from, to int) model.Cursor {
	t.Helper()
	var at model.Cursor
	for i := from; i <= to; i++ {
		var err error
		at, err = model.ParseCursor(do(t, s, add(room, i)).Cursor)
		require.NoError(t, err)
	}
	return at
}

// A room's log counts from 1, keeps History messages and Remember IDs, and gives pages.
func TestLog(t *testing.T) {
	s := open(t, store.Config{Disk: disk.New(), History: 5, Remember: 7})
	empty := do(t, s, read("r", model.Cursor{}, 1)).Page
	require.Equal(t, []uint64{1, 0}, []uint64{empty.First, empty.Last})
	end := appendTo(t, s, "r", 1, 10)
	require.Equal(t, model.Cursor{Epoch: empty.Epoch, Seq: 10}, end)
	require.Equal(t, uint64(4), appendTo(t, s, "r", 4, 4).Seq, "its ID is remembered")
	require.Equal(t, uint64(11), appendTo(t, s, "r", 3, 3).Seq, "its ID is not")
	other := appendTo(t, s, "other", 1, 1)
	require.Equal(t, uint64(1), other.Seq)
	require.NotEqual(t, end.Epoch, other.Epoch)

	p := do(t, s, read("r", model.Cursor{Epoch: end.Epoch, Seq: 8}, 2)).Page
	require.Equal(t, []uint64{7, 11}, []uint64{p.First, p.Last})
	require.Len(t, p.Records, 2)
	require.Equal(t, wire.Record{Seq: 9, ID: "m9", Publisher: "p", Body: []byte("body \x00 of 9")}, p.Records[0])
	for _, from := range []model.Cursor{{Epoch: end.Epoch}, {Epoch: "other", Seq: 9}} {
		p = do(t, s, read("r", from, 9)).Page
		require.Equal(t, uint64(7), p.Records[0].Seq)
		require.Len(t, p.Records, 5)
	}
	p = do(t, s, read("r", model.Cursor{Epoch: end.Epoch, Seq: 1<<64 - 1}, 9)).Page
	require.Empty(t, p.Records)
	require.Empty(t, do(t, s, read("r", model.Cursor{}, 9)).Page.Records)
}

// What was answered survives a loss of power in the middle of any write, whatever the disk keeps of what was
// not synced; what was not answered is there as a whole or not at all. A new disk is a new epoch.
func TestCrash(t *testing.T) {
	lost, undone := 0, 0
	for seed := range uint64(10) {
		luck := rand.New(rand.NewPCG(seed, 7))
		d := disk.New()
		open(t, store.Config{Disk: d}) // makes the database
		d.Crash(luck)
		epoch, end := "", uint64(0)
		for range 3 {
			s := open(t, store.Config{Disk: d})
			page := do(t, s, read("r", model.Cursor{}, 1)).Page
			if epoch != "" {
				require.Equal(t, epoch, page.Epoch, "seed %d", seed)
			}
			require.Contains(t, []uint64{end, end + 3}, page.Last, "seed %d", seed)
			if page.Last == end {
				undone++
			}
			epoch, end = page.Epoch, page.Last
			d.CrashAtWrite(1+luck.IntN(40), luck)
			for {
				first := int(end) + 1
				_, err := s.Do([]wire.Op{add("r", first), add("r", first+1), add("r", first+2)})
				if err != nil {
					break
				}
				end += 3
			}
			_, err := s.Do([]wire.Op{add("r", 99)})
			require.Error(t, err, "it was told of what is not safe")
			_ = s.Close() // fails: the disk is gone
			_, err = s.Do([]wire.Op{add("r", 99)})
			require.ErrorIs(t, err, store.ErrClosed)
		}
		lost += d.Stats().Lost
		fresh := open(t, store.Config{Disk: disk.New()})
		require.NotEqual(t, epoch, do(t, fresh, read("r", model.Cursor{}, 1)).Page.Epoch)
	}
	require.NotZero(t, lost, "the crashes lost nothing: they tested nothing")
	require.NotZero(t, undone)
}

// A disk that lies about syncs loses what was answered: the fault bites, and the test above can fail.
func TestLyingDisk(t *testing.T) {
	d := disk.New()
	s := open(t, store.Config{Disk: d})
	require.Equal(t, uint64(2), appendTo(t, s, "r", 1, 2).Seq)
	d.IgnoreSync()
	require.Equal(t, uint64(9), appendTo(t, s, "r", 3, 9).Seq)
	d.Crash(nil)
	_ = s.Close()
	require.Equal(t, uint64(2), do(t, open(t, store.Config{Disk: d}), read("r", model.Cursor{}, 1)).Page.Last)
}

// A batch is done as a whole, in order; what is wrong with one operation is no matter to the others.
func TestBatch(t *testing.T) {
	s := open(t, store.Config{Disk: disk.New()})
	results, err := s.Do([]wire.Op{add("r", 1), {}, add("..", 1), add("r", 1), add("r", 2), read("r", model.Cursor{}, 1), {Read: &wire.Read{Room: "r"}}})
	require.NoError(t, err)
	require.Equal(t, results[0].Cursor, results[3].Cursor)
	require.Contains(t, results[1].Error, "want one of append, read and leave; it has 0")
	require.Contains(t, results[2].Error, "a URL's path cannot hold it")
	require.Equal(t, uint64(2), results[5].Page.Last)
	require.Contains(t, results[6].Error, "limit: 0; want 1 to 1000")
	require.Equal(t, store.Stats{Batches: 1, Reads: 1, Appends: 3}, s.Stats())
}

// With its index a read looks at what it gives; without, at every message of every room.
func TestIndex(t *testing.T) {
	for _, noIndex := range []bool{false, true} {
		s := open(t, store.Config{Disk: disk.New(), NoIndex: noIndex})
		for r := range 10 {
			appendTo(t, s, fmt.Sprint("r", r), 1, 20)
		}
		before := s.Stats()
		p := do(t, s, read("r5", model.Cursor{Epoch: "other"}, 20)).Page
		require.Len(t, p.Records, 20)
		scanned := s.Stats().Scanned - before.Scanned
		if noIndex {
			require.GreaterOrEqual(t, scanned, 200)
		} else {
			require.Zero(t, scanned)
		}
	}
}

// A store that takes its time does one thing after the other.
func TestService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Disk: disk.New(), Service: 10 * time.Millisecond})
		began := time.Now()
		done := make(chan error)
		for i := range 5 {
			go func() {
				_, err := s.Do([]wire.Op{add("r", i), read("r", model.Cursor{}, 1)})
				done <- err
			}()
		}
		for range 5 {
			require.NoError(t, <-done)
		}
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]store.Config{
		"Disk: nil":     {},
		"History: -1":   {Disk: disk.New(), History: -1},
		"Remember: -2":  {Disk: disk.New(), Remember: -2},
		"Service: -1ns": {Disk: disk.New(), Service: -1},
	} {
		_, err := store.Open(cfg)
		require.ErrorContains(t, err, want)
	}
	d := disk.New()
	f, err := d.Open("rooms.db")
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("this is no database ", 100)), 0)
	require.NoError(t, err)
	_, err = store.Open(store.Config{Disk: d})
	require.ErrorContains(t, err, "not a database")
}

func TestHandler(t *testing.T) {
	s := open(t, store.Config{Disk: disk.New()})
	post := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/batch", strings.NewReader(body)))
		return w
	}
	require.Equal(t, http.StatusBadRequest, post("nonsense").Code)
	require.Equal(t, http.StatusBadRequest, post(`{"ops":[]}`).Code)
	w := post(`{"ops":[{"append":{"room":"r","id":"1"}}]}`)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `:1"}`)
	require.NoError(t, s.Close())
	require.Equal(t, http.StatusServiceUnavailable, post(`{"ops":[{"append":{"room":"r","id":"1"}}]}`).Code)
}

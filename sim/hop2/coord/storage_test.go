package coord

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/twohop/twohop/sim/hop2/disk"
)

func entry(index, term uint64) *pb.Entry {
	return &pb.Entry{Index: &index, Term: &term, Data: fmt.Appendf(nil, "entry %d of term %d", index, term)}
}

func state(term, commit uint64) *pb.HardState { return &pb.HardState{Term: &term, Commit: &commit} }

// describe is all that a storage holds, as text.
func describe(t *testing.T, s *storage) string {
	first, err := s.FirstIndex()
	require.NoError(t, err)
	last, err := s.LastIndex()
	require.NoError(t, err)
	hs, cs, err := s.InitialState()
	require.NoError(t, err)
	snap, err := s.Snapshot()
	require.NoError(t, err)
	text := fmt.Sprintf("term %d, commit %d, voters %v, snapshot %d %q", hs.GetTerm(), hs.GetCommit(), cs.GetVoters(), snap.GetMetadata().GetIndex(), snap.GetData())
	if last >= first {
		entries, err := s.Entries(first, last+1, 1<<62)
		require.NoError(t, err)
		for _, e := range entries {
			text += fmt.Sprintf(", %d/%d", e.GetIndex(), e.GetTerm())
		}
	}
	return text
}

func reopen(t *testing.T, d *disk.Disk) *storage {
	s, err := openStorage(d, 3)
	require.NoError(t, err)
	return s
}

// What was saved is there after a crash: entries, those that replaced others, the state, and snapshots.
func TestStorage(t *testing.T) {
	d := disk.New()
	s := reopen(t, d)
	check := func(want string) {
		t.Helper()
		require.Equal(t, want, describe(t, s))
		d.Crash(nil)
		s = reopen(t, d)
		require.Equal(t, want, describe(t, s))
	}
	check(`term 1, commit 1, voters [1 2 3], snapshot 1 ""`)
	require.NoError(t, s.save(raft.Ready{Entries: []*pb.Entry{entry(2, 2), entry(3, 2), entry(4, 2)}, HardState: state(2, 1), MustSync: true}))
	check(`term 2, commit 1, voters [1 2 3], snapshot 1 "", 2/2, 3/2, 4/2`)
	require.NoError(t, s.save(raft.Ready{Entries: []*pb.Entry{entry(3, 3)}, HardState: state(3, 3), MustSync: true}))
	check(`term 3, commit 3, voters [1 2 3], snapshot 1 "", 2/2, 3/3`)
	require.NoError(t, s.cut(2, []byte("all up to 2")))
	check(`term 3, commit 3, voters [1 2 3], snapshot 2 "all up to 2", 3/3`)
	nine, term := uint64(9), uint64(4)
	require.NoError(t, s.save(raft.Ready{
		Snapshot:  &pb.Snapshot{Data: []byte("all up to 9"), Metadata: &pb.SnapshotMetadata{Index: &nine, Term: &term, ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}}},
		HardState: state(4, 9), MustSync: true,
	}))
	check(`term 4, commit 9, voters [1 2 3], snapshot 9 "all up to 9"`)
}

// The power goes in the middle of any write: what was saved before is there, and of the rest a beginning at
// most.
func TestStorageCrash(t *testing.T) {
	lost, torn := 0, 0
	for seed := range uint64(200) {
		luck := rand.New(rand.NewPCG(seed, 3))
		d := disk.New()
		s := reopen(t, d)
		d.CrashAtWrite(1+luck.IntN(12), luck)
		safe := uint64(1)
		for {
			var entries []*pb.Entry
			for i := range uint64(5) {
				e := entry(safe+1+i, 2)
				e.Data = make([]byte, luck.IntN(1000))
				entries = append(entries, e)
			}
			err := s.save(raft.Ready{Entries: entries, HardState: state(2, safe), MustSync: true})
			if err == nil {
				safe += 5
				if luck.IntN(3) == 0 {
					err = s.cut(safe-1, []byte("snapshot"))
				}
			}
			if err != nil {
				require.ErrorIs(t, err, disk.ErrGone)
				break
			}
		}
		s = reopen(t, d)
		last, err := s.LastIndex()
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, safe, "seed %d", seed)
		require.LessOrEqual(t, last, safe+5)
		if last > safe && last < safe+5 {
			torn++
		}
		lost += d.Stats().Lost
	}
	require.NotZero(t, lost)
	require.NotZero(t, torn, "no write was torn")
}

// A disk that has lost what was synced is an error, and not an empty log: the node may have voted.
func TestStorageEmptied(t *testing.T) {
	d := disk.New()
	s := reopen(t, d)
	require.NoError(t, s.file.Truncate(0))
	_, err := openStorage(d, 3)
	require.ErrorContains(t, err, "its disk has lost what was synced")
}

// Whatever is in the file: no panic.
func FuzzStorage(f *testing.F) {
	whole, err := appendRecord(nil, recordSnapshot, &pb.Snapshot{Metadata: &pb.SnapshotMetadata{ConfState: &pb.ConfState{Voters: []uint64{1}}}})
	require.NoError(f, err)
	one, err := appendRecord(whole, recordEntry, entry(1, 1))
	require.NoError(f, err)
	two, err := appendRecord(one, recordState, state(1, 1))
	require.NoError(f, err)
	gap, err := appendRecord(whole, recordEntry, entry(7, 1))
	require.NoError(f, err)
	for _, b := range [][]byte{{}, whole, one, two, two[:len(two)-1], gap} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := disk.New()
		file, err := d.Open(logName)
		require.NoError(t, err)
		_, err = file.WriteAt(b, 0)
		require.NoError(t, err)
		s, err := openStorage(d, 3)
		if err != nil {
			return
		}
		require.LessOrEqual(t, s.size, int64(len(b)))
	})
}

func FuzzReadMessage(f *testing.F) {
	p := peer{queue: make(chan []byte, 1)}
	to := uint64(2)
	require.NoError(f, p.send(&pb.Message{Type: pb.MsgHeartbeat.Enum(), To: &to, Entries: []*pb.Entry{entry(1, 1)}}))
	f.Add(<-p.queue)
	f.Add([]byte{255, 255, 255, 255, 1})
	f.Add([]byte{9, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		m, err := readMessage(r)
		if err != nil {
			return
		}
		_, err = proto.Marshal(m)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r)
		require.NoError(t, err)
	})
}

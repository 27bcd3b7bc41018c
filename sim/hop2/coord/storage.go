package coord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/twohop/twohop/sim/hop2/disk"
)

// The files of a node. The log is written anew under the other name when it is cut short.
const (
	logName     = "raft.log"
	nextLogName = "raft.log.next"
)

// The kinds of records in the log.
const (
	recordSnapshot byte = iota + 1
	recordState
	recordEntry
)

// headerLen is that of a record: length and checksum of what follows, and its kind.
const headerLen = 9

// maxRecord is the greatest size of a record, in bytes.
const maxRecord = 64 << 20

// storage is raft's log, on disk and in memory. It is used by one goroutine.
//
// The file is a sequence of records. Later ones replace earlier ones as in raft itself: an entry with the
// index of an earlier one replaces that and all after it. A record that a crash has torn, and all after it,
// was not synced, and so nobody was told of it.
type storage struct {
	*raft.MemoryStorage
	disk *disk.Disk
	file *disk.File
	size int64
}

// openStorage reads what a disk has, or begins a log for members 1 to n.
func openStorage(d *disk.Disk, members int) (*storage, error) {
	s := &storage{MemoryStorage: raft.NewMemoryStorage(), disk: d}
	if d.Exists(logName) {
		return s, s.read()
	}
	var voters []uint64
	for id := range members {
		voters = append(voters, uint64(id+1))
	}
	one := uint64(1)
	first := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &one, Term: &one, ConfState: &pb.ConfState{Voters: voters}}}
	if err := s.ApplySnapshot(first); err != nil {
		return nil, err
	}
	if err := s.SetHardState(&pb.HardState{Term: &one, Commit: &one}); err != nil {
		return nil, err
	}
	return s, s.rewrite()
}

// read takes in the file, up to the first record that is not whole.
func (s *storage) read() error {
	var err error
	if s.file, err = s.disk.Open(logName); err != nil {
		return err
	}
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := s.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		kind, payload, n := nextRecord(b[s.size:])
		if n == 0 {
			break
		}
		if err := s.take(kind, payload); err != nil {
			return fmt.Errorf("coord: log at byte %d: %w", s.size, err)
		}
		s.size += int64(n)
	}
	if s.size == 0 {
		return errors.New("coord: the log has no beginning: its disk has lost what was synced")
	}
	return s.file.Truncate(s.size)
}

// nextRecord reads the first record of b; n is 0 if it is not whole.
func nextRecord(b []byte) (kind byte, payload []byte, n int) {
	if len(b) < headerLen {
		return 0, nil, 0
	}
	length, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if length > maxRecord || int(length) > len(b)-headerLen {
		return 0, nil, 0
	}
	n = headerLen + int(length)
	if crc32.ChecksumIEEE(b[8:n]) != sum {
		return 0, nil, 0
	}
	return b[8], b[headerLen:n], n
}

// appendRecord adds a record to b.
func appendRecord(b []byte, kind byte, m proto.Message) ([]byte, error) {
	payload, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	body := append([]byte{kind}, payload...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
	return append(b, body...), nil
}

// take brings a record that was read into memory.
func (s *storage) take(kind byte, payload []byte) error {
	switch kind {
	case recordSnapshot:
		snap := &pb.Snapshot{}
		if err := proto.Unmarshal(payload, snap); err != nil {
			return err
		}
		return s.ApplySnapshot(snap)
	case recordState:
		st := &pb.HardState{}
		if err := proto.Unmarshal(payload, st); err != nil {
			return err
		}
		return s.SetHardState(st)
	case recordEntry:
		e := &pb.Entry{}
		if err := proto.Unmarshal(payload, e); err != nil {
			return err
		}
		if last, err := s.LastIndex(); err != nil || e.GetIndex() > last+1 {
			return fmt.Errorf("entry %d after %d", e.GetIndex(), last)
		}
		return s.Append([]*pb.Entry{e})
	}
	return fmt.Errorf("a record of kind %d", kind)
}

// save makes what raft wants kept safe, and then has it in memory.
func (s *storage) save(rd raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := s.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
		if !raft.IsEmptyHardState(rd.HardState) {
			if err := s.SetHardState(rd.HardState); err != nil {
				return err
			}
		}
		if err := s.Append(rd.Entries); err != nil {
			return err
		}
		return s.rewrite()
	}
	var b []byte
	var err error
	for _, e := range rd.Entries {
		if b, err = appendRecord(b, recordEntry, e); err != nil {
			return err
		}
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if b, err = appendRecord(b, recordState, rd.HardState); err != nil {
			return err
		}
		if err := s.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	if len(b) == 0 {
		return nil
	}
	if _, err := s.file.WriteAt(b, s.size); err != nil {
		return err
	}
	s.size += int64(len(b))
	if rd.MustSync {
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	return s.Append(rd.Entries)
}

// cut makes a snapshot of everything up to an index the beginning of the log.
func (s *storage) cut(index uint64, data []byte) error {
	if _, err := s.CreateSnapshot(index, nil, data); err != nil {
		return err
	}
	if err := s.Compact(index); err != nil {
		return err
	}
	return s.rewrite()
}

// rewrite writes what is in memory to a new file, which then takes the place of the old one.
func (s *storage) rewrite() error {
	snap, err := s.Snapshot()
	if err != nil {
		return err
	}
	state, _, err := s.InitialState()
	if err != nil {
		return err
	}
	b, err := appendRecord(nil, recordSnapshot, snap)
	if err == nil && state != nil {
		b, err = appendRecord(b, recordState, state)
	}
	if err != nil {
		return err
	}
	first, _ := s.FirstIndex() // of what is in memory: neither fails
	last, _ := s.LastIndex()
	if last >= first {
		entries, err := s.Entries(first, last+1, 1<<62)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if b, err = appendRecord(b, recordEntry, e); err != nil {
				return err
			}
		}
	}
	f, err := s.disk.Open(nextLogName)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := s.disk.Rename(nextLogName, logName); err != nil {
		return err
	}
	s.file, s.size = f, int64(len(b))
	return nil
}

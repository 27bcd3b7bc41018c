package disk

import (
	"fmt"
	"io"
	"slices"
)

// MaxSize is the greatest size of a file, in bytes.
const MaxSize = 1 << 32

// File is an open file. After the disk's next crash or loss, every method but Close fails with [ErrGone].
type File struct {
	disk    *Disk
	name    string
	content *content
	life    int
	closed  bool
}

// ReadAt reads as io.ReaderAt says.
func (f *File) ReadAt(b []byte, at int64) (int, error) {
	if err := f.lock(); err != nil {
		return 0, err
	}
	defer f.disk.mu.Unlock()
	if at < 0 {
		return 0, fmt.Errorf("disk: read %s at %d: want 0 or more", f.name, at)
	}
	if at >= int64(len(f.content.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.content.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes all of b, or fails. A crash may undo it until the next Sync.
func (f *File) WriteAt(b []byte, at int64) (int, error) {
	if err := f.lock(); err != nil {
		return 0, err
	}
	defer f.disk.mu.Unlock()
	if at < 0 || at+int64(len(b)) > MaxSize {
		return 0, fmt.Errorf("disk: write %s: %d bytes at %d; a file has at most %d", f.name, len(b), at, int64(MaxSize))
	}
	if len(b) > 0 {
		f.disk.stats.Writes++
		f.change(change{at, slices.Clone(b)})
	}
	if f.disk.fuse > 0 {
		if f.disk.fuse--; f.disk.fuse == 0 {
			f.disk.crash(f.disk.fuseLuck)
			return 0, fmt.Errorf("%s: %w", f.name, ErrGone)
		}
	}
	return len(b), nil
}

// Truncate sets the size. What is added is zeros.
func (f *File) Truncate(size int64) error {
	if err := f.lock(); err != nil {
		return err
	}
	defer f.disk.mu.Unlock()
	if size < 0 || size > MaxSize {
		return fmt.Errorf("disk: truncate %s to %d: want 0 to %d", f.name, size, int64(MaxSize))
	}
	f.change(change{at: size})
	return nil
}

// Size is the size, in bytes.
func (f *File) Size() (int64, error) {
	if err := f.lock(); err != nil {
		return 0, err
	}
	defer f.disk.mu.Unlock()
	return int64(len(f.content.data)), nil
}

// Sync makes all that was written to the file safe.
func (f *File) Sync() error {
	if err := f.lock(); err != nil {
		return err
	}
	defer f.disk.mu.Unlock()
	f.disk.stats.Syncs++
	if f.disk.ignores {
		return nil
	}
	for _, w := range f.content.pending {
		f.content.synced = w.apply(f.content.synced)
	}
	f.content.pending = nil
	return nil
}

// Close makes the handle useless. It makes nothing safe, and never fails.
func (f *File) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.closed = true
	return nil
}

// lock takes the disk's lock if the handle is of any use.
func (f *File) lock() error {
	f.disk.mu.Lock()
	if f.closed || f.life != f.disk.life {
		f.disk.mu.Unlock()
		return fmt.Errorf("%s: %w", f.name, ErrGone)
	}
	return nil
}

func (f *File) change(w change) {
	f.content.data = w.apply(f.content.data)
	f.content.pending = append(f.content.pending, w)
}

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
)

// ErrGone: the file was opened before the disk's last crash, or was closed.
var ErrGone = errors.New("disk: the file is not open any more")

// Sector is what is written as a whole or not at all, in bytes.
const Sector = 512

// Disk is a disk. It is safe for concurrent use. The zero value is not usable; see [New].
type Disk struct {
	mu      sync.Mutex // never held while waiting
	files   map[string]*content
	life    int // counts crashes
	stats   Stats
	ignores bool

	fuse     int // writes until the power is cut; 0 means that it is not
	fuseLuck *rand.Rand
}

// Stats counts what a [Disk] has done.
type Stats struct {
	// Writes and Syncs are how many there were.
	Writes, Syncs int
	// Crashes is how many times the power was cut, and Lost how many writes were then lost, wholly or in
	// part.
	Crashes, Lost int
}

// content is a file on the disk.
//
// Invariant: data is synced with pending applied to it.
type content struct {
	data, synced []byte
	pending      []change
}

// change is a write, or, if data is nil, a new length.
type change struct {
	at   int64
	data []byte
}

// New gives an empty disk.
func New() *Disk { return &Disk{files: map[string]*content{}} }

// Open opens a file, which is made if it is not there. Any number of handles may be open.
func (d *Disk) Open(name string) (*File, error) {
	if name == "" {
		return nil, errors.New("disk: open: the file has no name")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[name]
	if c == nil {
		c = &content{}
		d.files[name] = c
	}
	return &File{disk: d, name: name, content: c, life: d.life}, nil
}

// Exists reports whether there is a file of that name.
func (d *Disk) Exists(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[name] != nil
}

// Remove removes a file. Open handles keep what was in it. A file that is not there is an fs.ErrNotExist.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.files, name)
	return nil
}

// Rename gives a file another name, in place of the file that has it, if any. Its content is as safe as it
// was: sync first.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[from]
	if c == nil || to == "" {
		return &fs.PathError{Op: "rename to " + to, Path: from, Err: fs.ErrNotExist}
	}
	delete(d.files, from)
	d.files[to] = c
	return nil
}

// IgnoreSync makes the disk one that says it has synced and has not, from now on, as drives with a volatile
// cache do.
func (d *Disk) IgnoreSync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ignores = true
}

// Crash cuts the power: open files are gone, and of each write since its file's last sync, luck decides
// whether it is kept, lost, or, if it is of several sectors, torn. Without luck, nil, all are lost.
func (d *Disk) Crash(luck *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crash(luck)
}

// Lose takes all files from the disk, synced or not, as if another, empty one had been put in its place; open
// files are gone. It reports whether there was a file with anything in it.
func (d *Disk) Lose() (lost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.files {
		lost = lost || len(c.data)+len(c.synced) > 0
	}
	d.life++
	d.fuse = 0
	d.files = map[string]*content{}
	return lost
}

// CrashAtWrite cuts the power in the middle of the n-th write from now, 1 being the next; see [Disk.Crash].
func (d *Disk) CrashAtWrite(n int, luck *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fuse, d.fuseLuck = n, luck
}

func (d *Disk) crash(luck *rand.Rand) {
	d.life++
	d.fuse = 0
	d.stats.Crashes++
	var names []string
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := d.files[name]
		for _, w := range c.pending {
			kept := w
			if luck == nil || luck.IntN(2) == 0 {
				d.stats.Lost++
				if luck == nil || w.data == nil || luck.IntN(2) == 0 {
					continue
				}
				kept.data = w.data[:torn(w, luck)]
				if len(kept.data) == 0 {
					continue
				}
			}
			c.synced = kept.apply(c.synced)
		}
		c.pending = nil
		c.data = slices.Clone(c.synced)
	}
}

// torn draws how much of a write reaches the disk: it ends where a sector does.
func torn(w change, luck *rand.Rand) int64 {
	first, last := w.at/Sector, (w.at+int64(len(w.data))-1)/Sector
	end := (first + luck.Int64N(last-first+1)) * Sector
	return max(0, end-w.at)
}

// Stats gives a copy of the counters.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// apply makes the change in b.
func (w change) apply(b []byte) []byte {
	if w.data == nil {
		return resize(b, w.at)
	}
	if end := w.at + int64(len(w.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[w.at:], w.data)
	return b
}

// resize cuts b, or pads it with zeros.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	n := len(b)
	b = slices.Grow(b, int(size)-n)[:size]
	clear(b[n:])
	return b
}

func (d *Disk) String() string {
	s := d.Stats()
	return fmt.Sprintf("disk of %d writes, %d syncs and %d crashes", s.Writes, s.Syncs, s.Crashes)
}

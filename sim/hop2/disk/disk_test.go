package disk_test

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/sim/hop2/disk"
)

func open(t require.TestingT, d *disk.Disk, name string) *disk.File {
	f, err := d.Open(name)
	require.NoError(t, err)
	return f
}

func write(t require.TestingT, f *disk.File, at int64, text string) {
	n, err := f.WriteAt([]byte(text), at)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func content(t require.TestingT, f *disk.File) string {
	size, err := f.Size()
	require.NoError(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	require.NoError(t, err)
	return string(b)
}

// A crash keeps what was synced, loses the rest, and ends every handle.
func TestCrash(t *testing.T) {
	d := disk.New()
	f := open(t, d, "a")
	write(t, f, 0, "safe")
	require.NoError(t, f.Sync())
	write(t, f, 2, "xxxx")
	require.Equal(t, "saxxxx", content(t, f))
	d.Crash(nil)
	_, err := f.WriteAt([]byte("late"), 0)
	require.ErrorIs(t, err, disk.ErrGone)
	require.ErrorIs(t, f.Sync(), disk.ErrGone)
	require.ErrorIs(t, f.Truncate(0), disk.ErrGone)
	f = open(t, d, "a")
	require.Equal(t, "safe", content(t, f))
	require.Equal(t, 1, d.Stats().Lost)

	require.NoError(t, f.Truncate(1))
	d.Crash(nil)
	require.Equal(t, "safe", content(t, open(t, d, "a")))

	d.IgnoreSync()
	f = open(t, d, "a")
	write(t, f, 0, "lost")
	require.NoError(t, f.Sync())
	d.Crash(nil)
	require.Equal(t, "safe", content(t, open(t, d, "a")), "the disk lied")
}

func TestCrashAtWrite(t *testing.T) {
	d := disk.New()
	f := open(t, d, "a")
	d.CrashAtWrite(2, nil)
	write(t, f, 0, "1")
	require.NoError(t, f.Sync())
	_, err := f.WriteAt([]byte("2"), 1)
	require.ErrorIs(t, err, disk.ErrGone)
	require.Equal(t, disk.Stats{Writes: 2, Syncs: 1, Crashes: 1, Lost: 1}, d.Stats())
	require.Equal(t, "1", content(t, open(t, d, "a")))
}

// With luck, any subset of the writes is kept, and long ones are torn where sectors end.
func TestCrashWithLuck(t *testing.T) {
	seen := map[string]bool{}
	whole := bytes.Repeat([]byte("x"), 2*disk.Sector+10)
	torn := map[int]bool{}
	for seed := range uint64(200) {
		d := disk.New()
		a, b := open(t, d, "a"), open(t, d, "b")
		write(t, a, 0, "1")
		write(t, a, 1, "2")
		write(t, b, 0, string(whole))
		d.Crash(rand.New(rand.NewPCG(seed, 1)))
		seen[content(t, open(t, d, "a"))] = true
		torn[len(content(t, open(t, d, "b")))] = true
	}
	require.Equal(t, map[string]bool{"": true, "1": true, "12": true, "\x002": true}, seen)
	require.Equal(t, map[int]bool{0: true, disk.Sector: true, 2 * disk.Sector: true, len(whole): true}, torn)
}

func TestNames(t *testing.T) {
	d := disk.New()
	_, err := d.Open("")
	require.ErrorContains(t, err, "no name")
	require.ErrorIs(t, d.Remove("a"), fs.ErrNotExist)
	require.ErrorIs(t, d.Rename("a", "b"), fs.ErrNotExist)
	f := open(t, d, "a")
	write(t, f, 0, "A")
	require.NoError(t, f.Sync())
	write(t, open(t, d, "b"), 0, "B")
	require.NoError(t, d.Rename("a", "b"))
	require.False(t, d.Exists("a"))
	d.Crash(nil)
	require.Equal(t, "A", content(t, open(t, d, "b")))
	require.NoError(t, d.Remove("b"))
	require.False(t, d.Exists("b"))
	f = open(t, d, "c")
	require.NoError(t, f.Close())
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, disk.ErrGone)
}

func TestBounds(t *testing.T) {
	f := open(t, disk.New(), "a")
	_, err := f.WriteAt([]byte("x"), -1)
	require.ErrorContains(t, err, "at -1")
	_, err = f.WriteAt([]byte("x"), disk.MaxSize)
	require.ErrorContains(t, err, "a file has at most")
	require.ErrorContains(t, f.Truncate(-1), "truncate a to -1")
	_, err = f.ReadAt(make([]byte, 1), -1)
	require.ErrorContains(t, err, "at -1")
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, io.EOF)
}

// A file behaves as a slice of bytes does, of which a crash without luck leaves the last synced copy.
func TestAgainstSlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := disk.New()
		f := open(rt, d, "f")
		var data, synced []byte
		set := func(size int) {
			for len(data) < size {
				data = append(data, 0)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				at, b := rapid.IntRange(0, 40).Draw(rt, "at"), rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(rt, "b")
				_, err := f.WriteAt(b, int64(at))
				require.NoError(rt, err)
				if len(b) > 0 {
					set(at + len(b))
				}
				copy(data[min(at, len(data)):], b)
			},
			"truncate": func(rt *rapid.T) {
				size := rapid.IntRange(0, 40).Draw(rt, "size")
				require.NoError(rt, f.Truncate(int64(size)))
				set(size)
				data = data[:size:size]
			},
			"sync":  func(rt *rapid.T) { require.NoError(rt, f.Sync()); synced = bytes.Clone(data) },
			"crash": func(rt *rapid.T) { d.Crash(nil); f = open(rt, d, "f"); data = bytes.Clone(synced) },
			"":      func(rt *rapid.T) { require.Equal(rt, string(data), content(rt, f)) },
		})
	})
}

// A disk that is lost is empty, whatever was synced, and ends every handle.
func TestLose(t *testing.T) {
	d := disk.New()
	require.False(t, d.Lose(), "there was nothing on it")
	f := open(t, d, "a")
	require.False(t, d.Lose(), "nothing but a name")
	require.ErrorIs(t, f.Sync(), disk.ErrGone)
	f = open(t, d, "a")
	write(t, f, 0, "safe")
	require.NoError(t, f.Sync())
	require.True(t, d.Lose())
	_, err := f.WriteAt([]byte("late"), 0)
	require.ErrorIs(t, err, disk.ErrGone)
	require.False(t, d.Exists("a"))
	require.Empty(t, content(t, open(t, d, "a")))
	d.Crash(nil)
	require.Empty(t, content(t, open(t, d, "a")), "nor does it come back")
}

package store

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/twohop/twohop/sim/hop2/disk"
)

// diskVFS is SQLite's file system on a disk. It has no locks: a database has one connection.
type diskVFS struct{ disk *disk.Disk }

// vfsCount makes the names that file systems are registered by.
var vfsCount atomic.Uint64

// register makes a disk known to SQLite, by a name, until it is released.
func register(d *disk.Disk) (name string, release func()) {
	name = fmt.Sprintf("twohop-%d", vfsCount.Add(1))
	vfs.Register(name, diskVFS{d})
	return name, func() { vfs.Unregister(name) }
}

func (v diskVFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if name == "" || flags&vfs.OPEN_CREATE == 0 && !v.disk.Exists(name) {
		return nil, flags, sqlite3.CANTOPEN
	}
	f, err := v.disk.Open(name)
	if err != nil {
		return nil, flags, sqlite3.CANTOPEN
	}
	return diskFile{f}, flags, nil
}

func (v diskVFS) Delete(name string, _ bool) error {
	if err := v.disk.Remove(name); err != nil {
		return sqlite3.IOERR_DELETE_NOENT
	}
	return nil
}

func (v diskVFS) Access(name string, _ vfs.AccessFlag) (bool, error) {
	return v.disk.Exists(name), nil
}

func (v diskVFS) FullPathname(name string) (string, error) { return name, nil }

// diskFile is an open file.
type diskFile struct{ *disk.File }

// ReadAt leaves it to SQLite to fill what is beyond the end with zeros.
func (f diskFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	if err == io.EOF {
		return n, io.EOF
	}
	return n, err
}

func (f diskFile) Sync(vfs.SyncFlag) error          { return f.File.Sync() }
func (f diskFile) Lock(vfs.LockLevel) error         { return nil }
func (f diskFile) Unlock(vfs.LockLevel) error       { return nil }
func (f diskFile) CheckReservedLock() (bool, error) { return false, nil }
func (f diskFile) SectorSize() int                  { return disk.Sector }
func (f diskFile) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE // a write changes nothing beside what it writes
}

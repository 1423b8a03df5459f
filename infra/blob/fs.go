package blob

import (
	"io"
	"io/fs"
	"os"
)

// FS is the one door to the disk, so that tests can fill it up or break it in the middle of a write.
type FS interface {
	CreateTemp(dir string) (Handle, error)
	Open(path string) (io.ReadCloser, error)
	Rename(from, to string) error
	Remove(path string) error
	MkdirAll(dir string) error
	Stat(path string) (fs.FileInfo, error)
	ReadDir(dir string) ([]fs.DirEntry, error)
	Sync(path string) error // a file or a folder
}

// Handle is a file that is being written.
type Handle interface {
	io.WriteCloser
	Name() string
	Sync() error
}

// Disk is the real file system.
type Disk struct{}

// CreateTemp makes a file of a new name in dir.
func (Disk) CreateTemp(dir string) (Handle, error) { return os.CreateTemp(dir, "put-*") }

// Open opens a file to read.
func (Disk) Open(path string) (io.ReadCloser, error) { return os.Open(path) }

// Rename moves a file.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove removes a file.
func (Disk) Remove(path string) error { return os.Remove(path) }

// MkdirAll makes a folder and those above it, for the owner only.
func (Disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// Stat describes a file.
func (Disk) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// ReadDir lists a folder by name.
func (Disk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// Sync writes a file or a folder through to the disk.
func (Disk) Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

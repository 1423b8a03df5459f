package series

import (
	"io"
	"os"
)

// FS is the one door to the disk, so that tests can fill it up or break it in the middle of a write.
type FS interface {
	Create(path string) (File, error) // a new file; one that is there already is an error
	Open(path string) (Reader, error)
	Rename(from, to string) error
	Link(from, to string) error
	Remove(path string) error
	MkdirAll(dir string) error
	ReadDir(dir string) ([]string, error) // names of files
	SyncDir(dir string) error
}

// File is a file that is being written.
type File interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// Reader is a file that is being read.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error)
}

// Disk is the real file system.
type Disk struct{}

// Create makes a file that only the owner of the process can read.
func (Disk) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

type osReader struct{ *os.File }

func (r osReader) Size() (int64, error) {
	info, err := r.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Open opens a file to read.
func (Disk) Open(path string) (Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return osReader{f}, nil
}

// Rename moves a file over another.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Link gives a file a second name.
func (Disk) Link(from, to string) error { return os.Link(from, to) }

// Remove removes a file.
func (Disk) Remove(path string) error { return os.Remove(path) }

// MkdirAll makes a folder and those above it, for the owner only.
func (Disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// ReadDir lists a folder by name.
func (Disk) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// SyncDir writes a folder through to the disk.
func (Disk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

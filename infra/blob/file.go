package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// File is a Store in a folder of the local disk. A blob is written to temp/, synced, renamed to its name, and the folder synced:
// a crash leaves at most a file in temp/, which the next NewFile removes.
type File struct {
	dir string
	fs  FS

	mu       sync.Mutex
	verified map[string]bool
}

// NewFile opens the store in dir, which it makes if needed. One process at a time may own dir.
func NewFile(dir string, disk FS) (*File, error) {
	s := &File{dir: dir, fs: disk, verified: map[string]bool{}}
	for _, d := range []string{s.temp(), filepath.Join(dir, "b3")} {
		if err := disk.MkdirAll(d); err != nil {
			return nil, diskFault(err, "make the folder %s", d)
		}
	}
	left, err := disk.ReadDir(s.temp())
	if err != nil {
		return nil, diskFault(err, "read the folder %s", s.temp())
	}
	for _, f := range left {
		if err := disk.Remove(filepath.Join(s.temp(), f.Name())); err != nil {
			return nil, diskFault(err, "remove the unfinished file %s", f.Name())
		}
	}
	return s, nil
}

func (s *File) temp() string            { return filepath.Join(s.dir, "temp") }
func (s *File) path(hash string) string { return filepath.Join(s.dir, "b3", hash[:2], hash) }

// Put stores what r gives.
func (s *File) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	temp, err := s.fs.CreateTemp(s.temp())
	if err != nil {
		return "", 0, diskFault(err, "store a blob")
	}
	hash, size, err := s.write(ctx, temp, r)
	if err == nil {
		err = s.place(temp.Name(), hash)
	}
	if err != nil {
		_ = s.fs.Remove(temp.Name()) // a best effort: NewFile removes what stays
		return "", 0, err
	}
	return hash, size, nil
}

func (s *File) write(ctx context.Context, temp Handle, r io.Reader) (string, int64, error) {
	hasher := blake3.New()
	size, err := io.Copy(io.MultiWriter(hasher, temp), withContext{ctx, r})
	if err != nil {
		temp.Close()
		return "", 0, diskFault(err, "store a blob")
	}
	if err := temp.Sync(); err != nil {
		temp.Close()
		return "", 0, diskFault(err, "sync a blob")
	}
	if err := temp.Close(); err != nil {
		return "", 0, diskFault(err, "close a blob")
	}
	return hex.EncodeToString(hasher.Sum(nil)), size, nil
}

// PutFile stores the file at path and removes it from there. A file on another disk is copied.
func (s *File) PutFile(ctx context.Context, path string) (string, int64, error) {
	hash, size, err := s.hashFile(ctx, path)
	if err != nil {
		return "", 0, err
	}
	if err := s.fs.Sync(path); err != nil {
		return "", 0, diskFault(err, "sync %s", filepath.Base(path))
	}
	err = s.place(path, hash)
	if !errors.Is(err, syscall.EXDEV) {
		return hash, size, err
	}
	f, err := s.fs.Open(path)
	if err != nil {
		return "", 0, diskFault(err, "read %s", filepath.Base(path))
	}
	defer f.Close()
	if hash, size, err = s.Put(ctx, f); err != nil {
		return "", 0, err
	}
	return hash, size, s.fs.Remove(path)
}

// place gives a synced file its name. The bytes were hashed as they were written, so the blob counts as verified.
func (s *File) place(from, hash string) error {
	to := s.path(hash)
	if _, err := s.fs.Stat(to); err == nil && s.verify(context.Background(), hash) == nil {
		return s.fs.Remove(from)
	}
	dir := filepath.Dir(to)
	if err := s.fs.MkdirAll(dir); err != nil {
		return diskFault(err, "make the folder %s", dir)
	}
	if err := s.fs.Rename(from, to); err != nil {
		return diskFault(err, "store the blob %s", hash)
	}
	// The folder of the first two digits may be new itself.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := s.fs.Sync(d); err != nil {
			return diskFault(err, "sync the folder %s", d)
		}
	}
	s.mu.Lock()
	s.verified[hash] = true
	s.mu.Unlock()
	return nil
}

// Open reads a blob that was verified.
func (s *File) Open(ctx context.Context, hash string) (io.ReadCloser, error) {
	path, err := s.Path(ctx, hash)
	if err != nil {
		return nil, err
	}
	r, err := s.fs.Open(path)
	if err != nil {
		return nil, diskFault(err, "open the blob %s", hash)
	}
	return r, nil
}

// Path is the blob's file, after its bytes were compared with its hash, which happens once in the life of the process.
func (s *File) Path(ctx context.Context, hash string) (string, error) {
	if err := checkHash(hash); err != nil {
		return "", err
	}
	if err := s.verify(ctx, hash); err != nil {
		return "", err
	}
	return s.path(hash), nil
}

func (s *File) verify(ctx context.Context, hash string) error {
	s.mu.Lock()
	done := s.verified[hash]
	s.mu.Unlock()
	if done {
		if _, err := s.fs.Stat(s.path(hash)); errors.Is(err, fs.ErrNotExist) {
			return notFound(hash)
		}
		return nil
	}
	got, _, err := s.hashFile(ctx, s.path(hash))
	if errors.Is(err, fs.ErrNotExist) {
		return notFound(hash)
	}
	if err != nil {
		return err
	}
	if got != hash {
		return fault.New(fault.Corrupt, "the blob %s is corrupt: its bytes have the hash %s", hash, got).
			WithHint("restore %s from a backup, or remove it and ingest its source again", s.path(hash)).
			With("blob", hash)
	}
	s.mu.Lock()
	s.verified[hash] = true
	s.mu.Unlock()
	return nil
}

func (s *File) hashFile(ctx context.Context, path string) (string, int64, error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	defer f.Close()
	return Hash(ctx, f)
}

// Hash is the hash that a store would give the bytes of r, and how many they are.
func Hash(ctx context.Context, r io.Reader) (string, int64, error) {
	hasher := blake3.New()
	size, err := io.CopyBuffer(hasher, withContext{ctx, r}, make([]byte, 1<<18))
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(hasher.Sum(nil)), size, nil
}

// Has tells whether a blob is there.
func (s *File) Has(_ context.Context, hash string) (bool, error) {
	if err := checkHash(hash); err != nil {
		return false, err
	}
	_, err := s.fs.Stat(s.path(hash))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, diskFault(err, "look for the blob %s", hash)
	}
	return true, nil
}

// Delete removes a blob.
func (s *File) Delete(_ context.Context, hash string) error {
	if err := checkHash(hash); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.verified, hash)
	s.mu.Unlock()
	if err := s.fs.Remove(s.path(hash)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskFault(err, "remove the blob %s", hash)
	}
	return nil
}

// List calls f with every blob.
func (s *File) List(ctx context.Context, f func(hash string, size int64) error) error {
	root := filepath.Join(s.dir, "b3")
	folders, err := s.fs.ReadDir(root)
	if err != nil {
		return diskFault(err, "list the blobs")
	}
	for _, folder := range folders {
		blobs, err := s.fs.ReadDir(filepath.Join(root, folder.Name()))
		if err != nil {
			return diskFault(err, "list the blobs")
		}
		for _, b := range blobs {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := b.Info()
			if errors.Is(err, fs.ErrNotExist) || !Valid(b.Name()) {
				continue
			}
			if err != nil {
				return diskFault(err, "list the blobs")
			}
			if err := f(b.Name(), info.Size()); err != nil {
				return err
			}
		}
	}
	return nil
}

func notFound(hash string) error {
	return fault.New(fault.NotFound, "there is no blob %s in the store", hash).
		WithHint("restore it from a backup, or ingest its source again").With("blob", hash)
}

// diskFault names what the disk would not do. A full disk is a condition that passes: the caller may try again.
func diskFault(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(err, fault.Unavailable, "cannot %s: the disk is full", what).WithHint("free some space and try again; nothing that was stored before is lost")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

// withContext ends a copy when the context ends.
type withContext struct {
	ctx context.Context
	r   io.Reader
}

func (r withContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

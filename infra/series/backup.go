package series

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Backup writes everything that was acknowledged before into dir, a new or empty folder, while the store goes on. Open opens it. Segments,
// which never change, are linked where dir is on the same disk.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := s.open(); err != nil {
		return err
	}
	s.manifestMu.Lock() // files are removed only under it
	defer s.manifestMu.Unlock()
	s.commit.Lock()
	s.mu.RLock()
	m := s.manifest()
	end := s.replayed
	if s.wal != nil {
		end = logEnd{s.wal.number, s.wal.size}
	}
	s.mu.RUnlock()
	s.commit.Unlock()
	for _, d := range []string{dir, filepath.Join(dir, "log"), filepath.Join(dir, "segments"), filepath.Join(dir, "temp")} {
		if err := s.disk.MkdirAll(d); err != nil {
			return diskFault(err, "make the folder %s", d)
		}
	}
	for _, seg := range m.Segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := s.segmentPath(seg.Number)
		to := filepath.Join(dir, "segments", filepath.Base(from))
		err := s.disk.Link(from, to)
		if errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
			err = s.copyFile(from, to, seg.Size)
		}
		if err != nil {
			return diskFault(err, "back up the segment %s", filepath.Base(from))
		}
	}
	names, err := s.disk.ReadDir(s.path("log"))
	if err != nil {
		return diskFault(err, "read the folder of the log")
	}
	for _, name := range names {
		number, ok := numberOf(name, "log")
		if !ok || number < m.Floor || number > end.number {
			continue
		}
		size := int64(-1)
		if number == end.number {
			size = end.size
		}
		if err := s.copyFile(s.path("log", name), filepath.Join(dir, "log", name), size); err != nil {
			return diskFault(err, "back up the log file %s", name)
		}
	}
	if err := s.writeManifest(&m, filepath.Join(dir, "temp", "MANIFEST"), filepath.Join(dir, "MANIFEST")); err != nil {
		return diskFault(err, "back up the list of segments")
	}
	for _, d := range []string{"log", "segments", "."} {
		if err := s.disk.SyncDir(filepath.Join(dir, d)); err != nil {
			return diskFault(err, "sync the folder %s", d)
		}
	}
	return nil
}

// copyFile copies the first size bytes of a file, or all of them when size is negative.
func (s *Store) copyFile(from, to string, size int64) error {
	r, err := s.disk.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	if size < 0 {
		if size, err = r.Size(); err != nil {
			return err
		}
	}
	f, err := s.disk.Create(to)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("the folder of the backup is not empty")
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.NewOffsetWriter(f, 0), io.NewSectionReader(r, 0, size)); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Package backup copies a whole state directory and its catalog, while both are in use, into one stream, and makes a
// directory and a catalog out of it again.
//
// It owns the form of the stream, its checksums, and the order that makes the copy whole. It must never know a noun:
// what is copied are the rows of the catalog and files.
//
// # Why the copy is whole
//
// The catalog comes first, as it is at one moment. Files come after it: a blob is stored before a row names it, and logs
// only grow, so everything that the rows name, and everything that was acknowledged before the backup began, is there.
// What could break this is a file that is removed in between: files are therefore linked (or copied, where the disk has
// no links) into a folder of the backup right after the rows were read, and when a file has gone by then that was there
// before the rows were read, all of this is done again. What a row names must not be removed within moments of being
// stored, between the list and the rows: collectors spare young blobs for an hour. A file that grows later is copied as long as it was then. A
// folder whose files depend on one another is copied by its owner (Folder).
//
// # The stream
//
// A tar archive: "backup.json" (Head), "catalog.rows" (catalog.Dump), "state/…", and at last "end.json". Every entry
// carries its BLAKE3 hash in the PAX record TRIMTAB.blake3; the last one has the number of the others and a hash over
// their names, sizes and hashes, so that a stream which was cut or rearranged is known as such.
package backup

import (
	"archive/tar"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	format     = 1
	headName   = "backup.json"
	rowsName   = "catalog.rows"
	stateName  = "state/"
	endName    = "end.json"
	errorName  = "error.json"
	hashRecord = "TRIMTAB.blake3"
	// tries is how often a copy is begun anew because files went away.
	tries = 20
)

// Head is the first thing in a backup.
type Head struct {
	Format    int       `json:"format"`
	Version   string    `json:"version"` // of the program that made it
	CreatedAt time.Time `json:"created_at"`
	Catalog   string    `json:"catalog"` // sqlite or postgres: where the rows came from
	Files     int64     `json:"files"`
	Bytes     int64     `json:"bytes"` // of all files and of the rows
}

// end is the last thing in a backup.
type end struct {
	Files  int64  `json:"files"`
	Blake3 string `json:"blake3"` // of one line "hash size name" for each entry before
}

// failure stands in a backup in place of its end when it could not be made whole, for whoever reads it.
type failure struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint"`
}

// Folder is a folder of the state directory that its owner copies.
type Folder struct {
	Path string                                       // in the state directory, with slashes
	Copy func(ctx context.Context, into string) error // into is not there yet; on the disk of the directory
}

// Source is what is backed up.
type Source struct {
	Dir     string // state directory
	Catalog *catalog.DB
	Folders []Folder
	Skip    []string // further names at the top of the directory that a backup does not have
	Version string
}

// skipped are names that are not worth keeping, wherever they are: unfinished things that a start removes anyway.
func skipped(name string) bool {
	return name == "temp" || strings.HasPrefix(name, "work-") || strings.HasSuffix(name, ".new")
}

// Snapshot is a copy that is complete on the disk and waits to be written out. Close removes it.
type Snapshot struct {
	Head  Head
	dir   string
	files []file
}

// file is a file of a snapshot.
type file struct {
	name string // in the stream
	path string
	size int64
}

// Take makes a snapshot. It needs the room of the rows, and of what cannot be linked.
func Take(ctx context.Context, s Source) (_ *Snapshot, err error) {
	temp := filepath.Join(s.Dir, "temp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return nil, diskFault(err, "make the folder of the backup")
	}
	dir, err := os.MkdirTemp(temp, "backup-")
	if err != nil {
		return nil, diskFault(err, "make the folder of the backup")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for try := range tries {
		snap := &Snapshot{dir: filepath.Join(dir, fmt.Sprint(try))}
		again, err := snap.take(ctx, s)
		if err != nil {
			return nil, err
		}
		if !again {
			return snap, nil
		}
		if err := os.RemoveAll(snap.dir); err != nil {
			return nil, diskFault(err, "begin the backup anew")
		}
	}
	return nil, fault.New(fault.Unavailable, "files of the state directory went away during each of %d tries to copy it", tries).
		WithHint("try again when less is deleted")
}

// Clean removes what a process that ended in the middle of a backup has left in a state directory. It must be called by
// whoever has the directory, before the first Take.
func Clean(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "temp", "backup-*"))
	for _, folder := range left {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	return err
}

// take copies once. again says that a file went away meanwhile.
func (s *Snapshot) take(ctx context.Context, from Source) (again bool, err error) {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return false, diskFault(err, "make the folder of the backup")
	}
	before, err := list(ctx, from)
	if err != nil {
		return false, err
	}
	rows := filepath.Join(s.dir, "rows")
	if err := dump(ctx, from.Catalog, rows); err != nil {
		return false, err
	}
	if err := s.add(rowsName, rows); err != nil {
		return false, err
	}
	for i, folder := range from.Folders {
		into := filepath.Join(s.dir, fmt.Sprint("folder-", i))
		if err := folder.Copy(ctx, into); err != nil {
			return false, fmt.Errorf("back up the folder %s: %w", folder.Path, err)
		}
		if err := s.addFolder(folder.Path, into); err != nil {
			return false, err
		}
	}
	now, err := list(ctx, from)
	if err != nil {
		return false, err
	}
	links := filepath.Join(s.dir, "files")
	for i, name := range now.names {
		if i%1000 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		size, err := link(filepath.Join(from.Dir, name), filepath.Join(links, name))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, diskFault(err, "back up the file %s", name)
		}
		s.files = append(s.files, file{stateName + filepath.ToSlash(name), filepath.Join(links, name), size})
	}
	after, err := list(ctx, from)
	if err != nil {
		return false, err
	}
	for name, id := range before.ids {
		if now.ids[name] != id || after.ids[name] != id {
			return true, nil
		}
	}
	s.Head = Head{Format: format, Version: from.Version, CreatedAt: time.Now().UTC().Truncate(time.Millisecond), Catalog: "sqlite",
		Files: int64(len(s.files))}
	if catalog.IsURL(from.Catalog.Place()) {
		s.Head.Catalog = "postgres"
	}
	for _, f := range s.files {
		s.Head.Bytes += f.size
	}
	return false, nil
}

func dump(ctx context.Context, db *catalog.DB, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diskFault(err, "back up the catalog")
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := db.Dump(ctx, f); err != nil {
		return diskFault(err, "back up the catalog")
	}
	return nil
}

func (s *Snapshot) add(name, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return diskFault(err, "back up %s", name)
	}
	s.files = append(s.files, file{name, path, info.Size()})
	return nil
}

func (s *Snapshot) addFolder(name, root string) error {
	return filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		return s.add(stateName+path.Join(name, filepath.ToSlash(rel)), at)
	})
}

// listing is which files there are: names in the state directory, and what tells a file from one that took its place.
type listing struct {
	names []string
	ids   map[string]uint64
}

// list looks at every file that is not copied in another way.
func list(ctx context.Context, s Source) (listing, error) {
	all := listing{ids: map[string]uint64{}}
	elsewhere := map[string]bool{}
	for _, name := range append([]string{"catalog.db", "catalog.db-wal", "catalog.db-shm", "catalog.db.lock"}, s.Skip...) {
		elsewhere[name] = true
	}
	for _, folder := range s.Folders {
		elsewhere[filepath.FromSlash(folder.Path)] = true
	}
	err := filepath.WalkDir(s.Dir, func(at string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && at != s.Dir {
			return nil // it went while we looked; the caller compares
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(s.Dir, at)
		if err != nil {
			return err
		}
		if rel != "." && (elsewhere[rel] || skipped(entry.Name())) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		all.names = append(all.names, rel)
		all.ids[rel] = info.Sys().(*syscall.Stat_t).Ino
		return nil
	})
	if err != nil {
		return listing{}, diskFault(err, "list the files of the state directory")
	}
	return all, nil
}

// link makes a file appear at another place, and tells how long it is now.
func link(from, to string) (int64, error) {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Lstat(from); gone != nil {
			return 0, err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return 0, err
		}
		err = os.Link(from, to)
	}
	if errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EMLINK) {
		err = duplicate(from, to)
	}
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func duplicate(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Close removes the snapshot from the disk.
func (s *Snapshot) Close() error { return os.RemoveAll(filepath.Dir(s.dir)) }

// Write writes the backup. A blob whose bytes are not those of its name ends it with fault.Corrupt: a backup that looks
// whole and is not would be worse than none.
func (s *Snapshot) Write(ctx context.Context, w io.Writer) error {
	head, err := json.MarshalIndent(s.Head, "", "  ")
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	sums := newSums()
	if err := putBytes(out, sums, headName, head, s.Head.CreatedAt); err != nil {
		return err
	}
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := put(ctx, out, sums, f, s.Head.CreatedAt); err != nil {
			reason, _ := json.Marshal(failure{fault.CodeOf(err), err.Error(), fault.HintOf(err)}) // three texts
			_ = putBytes(out, nil, errorName, reason, s.Head.CreatedAt)                           // fails too when the writer did, or a file is half written
			return err
		}
	}
	last, err := json.Marshal(sums.end())
	if err != nil {
		return err
	}
	if err := putBytes(out, nil, endName, last, s.Head.CreatedAt); err != nil {
		return err
	}
	return out.Close()
}

func put(ctx context.Context, out *tar.Writer, sums *sums, f file, at time.Time) error {
	in, err := os.Open(f.path)
	if err != nil {
		return diskFault(err, "back up %s", f.name)
	}
	defer in.Close()
	hash, named := path.Base(f.name), strings.HasPrefix(f.name, stateName+"blobs/") && blob.Valid(path.Base(f.name))
	if !named {
		if hash, _, err = blob.Hash(ctx, io.NewSectionReader(in, 0, f.size)); err != nil {
			return diskFault(err, "back up %s", f.name)
		}
	}
	if err := out.WriteHeader(header(f.name, f.size, hash, at)); err != nil {
		return err
	}
	hasher := blake3.New()
	n, err := io.CopyBuffer(out, io.TeeReader(io.NewSectionReader(in, 0, f.size), hasher), make([]byte, 1<<18))
	if err != nil {
		return err
	}
	got := hex.EncodeToString(hasher.Sum(nil))
	switch {
	case n != f.size:
		return fault.New(fault.Corrupt, "the file %s became shorter while it was copied", f.name).WithHint("try again")
	case got != hash && named:
		return fault.New(fault.Corrupt, "the blob %s is corrupt: its bytes have the hash %s", hash, got).
			WithHint("see what else is damaged with `trimtab doctor`, and repair it before you make a backup")
	case got != hash:
		return fault.New(fault.Corrupt, "the file %s changed while it was copied", f.name).WithHint("try again")
	}
	sums.note(f.name, f.size, hash)
	return nil
}

func putBytes(out *tar.Writer, sums *sums, name string, b []byte, at time.Time) error {
	sum := blake3.Sum256(b)
	hash := hex.EncodeToString(sum[:])
	if err := out.WriteHeader(header(name, int64(len(b)), hash, at)); err != nil {
		return err
	}
	if sums != nil {
		sums.note(name, int64(len(b)), hash)
	}
	_, err := out.Write(b)
	return err
}

func header(name string, size int64, hash string, at time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: at, Format: tar.FormatPAX,
		PAXRecords: map[string]string{hashRecord: hash}}
}

// sums is the hash over all entries so far.
type sums struct {
	files  int64
	hasher *blake3.Hasher
}

func newSums() *sums { return &sums{hasher: blake3.New()} }

func (s *sums) note(name string, size int64, hash string) {
	s.files++
	fmt.Fprintf(s.hasher, "%s %d %s\n", hash, size, name)
}

func (s *sums) end() end { return end{Files: s.files, Blake3: hex.EncodeToString(s.hasher.Sum(nil))} }

// diskFault names what the disk would not do.
func diskFault(err error, format string, args ...any) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Wrap(err, fault.Unavailable, "cannot %s: the disk is full", what).WithHint("free some space and try again")
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

package backup

import (
	"archive/tar"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Target is where a backup goes.
type Target struct {
	Dir     string  // a directory that is empty, or not there
	Place   string  // of the catalog; "" = catalog.db in Dir
	Schemas []fs.FS // the migrations of this program
}

// maxSmall bounds the entries that are read into memory.
const maxSmall = 1 << 20

// Read goes through a backup, checks it, and gives each file of it to each, which may be nil, with its name in the
// stream. When it returns nil the backup was whole. each must read r to its end, and must not trust what it read until
// Read returns.
func Read(ctx context.Context, r io.Reader, each func(name string, size int64, r io.Reader) error) (Head, error) {
	in := tar.NewReader(r)
	sums := newSums()
	var head Head
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return head, err
		}
		entry, err := in.Next()
		if err != nil {
			return head, broken(err)
		}
		hash := entry.PAXRecords[hashRecord]
		if entry.Typeflag != tar.TypeReg || !blob.Valid(hash) || first != (entry.Name == headName) {
			return head, foreignFile()
		}
		hasher := blake3.New()
		body := io.TeeReader(source{in}, hasher)
		switch {
		case entry.Name == headName:
			if err := small(body, entry.Size, &head); err != nil {
				return head, err
			}
			if head.Format != format {
				return head, fault.New(fault.Invalid, "the backup has the format %d, this program reads %d", head.Format, format).
					WithHint("restore it with the version %s of the program, or a newer one", head.Version)
			}
		case entry.Name == errorName:
			var reason failure
			if err := small(body, entry.Size, &reason); err != nil {
				return head, err
			}
			return head, fault.New(reason.Code, "%s", reason.Message).WithHint("%s", reason.Hint)
		case entry.Name == endName:
			var last end
			if err := small(body, entry.Size, &last); err != nil {
				return head, err
			}
			if last != sums.end() {
				return head, fault.New(fault.Corrupt, "the backup is not whole: it has %d files and should have %d", sums.files, last.Files).
					WithHint("take another backup")
			}
			return head, nil
		case entry.Name != rowsName && !local(entry.Name):
			return head, fault.New(fault.Corrupt, "the backup has a file %q that leads outside", entry.Name)
		default:
			if each != nil {
				if err := each(entry.Name, entry.Size, body); err != nil {
					return head, err
				}
			}
			if _, err := io.Copy(io.Discard, body); err != nil {
				return head, err
			}
		}
		if hex.EncodeToString(hasher.Sum(nil)) != hash {
			return head, fault.New(fault.Corrupt, "the file %s of the backup is damaged", entry.Name).WithHint("take another backup")
		}
		sums.note(entry.Name, entry.Size, hash)
	}
}

// source tells what is wrong with the backup apart from what is wrong with the disk that it goes to.
type source struct{ r io.Reader }

func (s source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF { // the interface asks for the very value
		err = broken(err)
	}
	return n, err
}

// local tells whether a name is of a file in the state directory and nowhere else.
func local(name string) bool {
	rest, ok := strings.CutPrefix(name, stateName)
	return ok && filepath.IsLocal(rest) && filepath.ToSlash(filepath.Clean(rest)) == rest && !strings.Contains(rest, "\\")
}

func small(r io.Reader, size int64, v any) error {
	if size > maxSmall {
		return foreignFile()
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return foreignFile()
	}
	return nil
}

func foreignFile() error {
	return fault.New(fault.Invalid, "this is not a backup of Trimtab").WithHint("give a file that `trimtab backup` wrote")
}

// broken is the fault of a stream that cannot be read on.
func broken(err error) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Corrupt, "the backup ends too early").WithHint("take another backup, or copy this one again")
	}
	if errors.Is(err, tar.ErrHeader) {
		return fault.Wrap(err, fault.Corrupt, "the backup cannot be read").WithHint("give a file that `trimtab backup` wrote")
	}
	return fault.Wrap(err, fault.Corrupt, "the backup cannot be read").WithHint("take another backup, or copy this one again")
}

// Unpack gives the archive inside of a file, which may be compressed with zstd or not at all. close ends it.
func Unpack(r io.Reader) (_ io.Reader, closeIt func(), err error) {
	start := make([]byte, 4)
	n, err := io.ReadFull(r, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	all := io.MultiReader(strings.NewReader(string(start[:n])), r)
	if string(start[:n]) != "\x28\xb5\x2f\xfd" { // the magic number of zstd: RFC 8878, 3.1.1
		return all, func() {}, nil
	}
	z, err := zstd.NewReader(all, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

// Restore makes a state directory and a catalog of a backup. Nothing appears at either place before the whole backup was
// read and found right; on an error both are as they were.
func Restore(ctx context.Context, r io.Reader, to Target) (head Head, err error) {
	made, err := emptyDir(to.Dir)
	if err != nil {
		return Head{}, err
	}
	staging := filepath.Join(to.Dir, ".restore")
	defer func() {
		err = errors.Join(err, os.RemoveAll(staging))
		if err != nil && made {
			err = errors.Join(err, os.Remove(to.Dir))
		}
	}()
	if err := os.Mkdir(staging, 0o700); err != nil {
		return Head{}, diskFault(err, "restore into %s", to.Dir)
	}
	state, rows := filepath.Join(staging, "state"), filepath.Join(staging, "rows")
	if err := os.Mkdir(state, 0o700); err != nil {
		return Head{}, diskFault(err, "restore into %s", to.Dir)
	}
	head, err = Read(ctx, r, func(name string, size int64, body io.Reader) error {
		path := rows
		if name != rowsName {
			path = filepath.Join(state, filepath.FromSlash(strings.TrimPrefix(name, stateName)))
		}
		if err := extract(path, body); err != nil {
			return misplaced(err, name)
		}
		return nil
	})
	if err != nil {
		return head, err
	}
	copied, err := os.Open(rows)
	if errors.Is(err, fs.ErrNotExist) {
		return head, fault.New(fault.Corrupt, "the backup has no catalog").WithHint("take another backup")
	}
	if err != nil {
		return head, err
	}
	defer copied.Close()
	place := to.Place
	if place == "" {
		place = filepath.Join(state, "catalog.db")
	}
	if err := catalog.Load(ctx, place, copied, to.Schemas...); err != nil {
		return head, err
	}
	syscall.Sync() // all at once: a sync of each of a hundred thousand files takes minutes
	entries, err := os.ReadDir(state)
	if err != nil {
		return head, diskFault(err, "restore into %s", to.Dir)
	}
	for _, entry := range entries {
		if err := os.Rename(filepath.Join(state, entry.Name()), filepath.Join(to.Dir, entry.Name())); err != nil {
			return head, diskFault(err, "restore into %s", to.Dir)
		}
	}
	return head, syncDir(to.Dir)
}

// misplaced names a file that cannot be where the backup says it is, because another one is.
func misplaced(err error, name string) error {
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) {
		return fault.Wrap(err, fault.Corrupt, "the backup has the file %s twice", name)
	}
	return diskFault(err, "restore the file %s", name)
}

// emptyDir makes a directory, or refuses one that has something in it.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return false, diskFault(err, "make the directory %s", dir)
		}
		return true, nil
	}
	if err != nil {
		return false, diskFault(err, "read the directory %s", dir)
	}
	if len(entries) > 0 {
		return false, fault.New(fault.Conflict, "the directory %s is not empty", dir).
			WithHint("restore into a new one: --dir NEW; nothing is ever overwritten")
	}
	return false, nil
}

func extract(path string, r io.Reader) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(f, r, make([]byte, 1<<18)); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return diskFault(err, "sync the directory %s", dir)
	}
	return errors.Join(d.Sync(), d.Close())
}

package track

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// Bounds of an upload in parts.
const (
	maxParts      = 10000
	uploadExpires = 24 * time.Hour
)

// Upload is a file that arrives in parts, in any order and over any number of connections and restarts of the server.
type Upload struct {
	ID        string       `json:"id"`
	Path      string       `json:"path"`
	CreatedAt time.Time    `json:"created_at"`
	Parts     []UploadPart `json:"parts,omitempty"` // those that are here, by number
}

// UploadPart is a part that has arrived.
type UploadPart struct {
	Number int    `json:"number"` // from 1
	Size   int64  `json:"size"`
	ETag   string `json:"etag"` // the MD5 of the bytes in hex, without quotes
}

// uploads keeps each unfinished upload in a folder: upload.json, and a file per part named <number>-<MD5>. Uploads that saw nothing for
// a day are removed.
type uploads struct {
	dir string
	now func() time.Time
	mu  sync.Mutex
	use map[string]int // uploads that a call works on, which are not removed meanwhile
}

func openUploads(dir string, now func() time.Time) (*uploads, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the folder of uploads: %w", err)
	}
	return &uploads{dir: dir, now: now, use: map[string]int{}}, nil
}

func noUpload(uploadID string) error {
	return fault.New(fault.NotFound, "Upload '%s' not found", uploadID).WithHint("it was completed or aborted, or saw nothing for a day: create a new one")
}

// enter keeps an upload from being removed until leave is called.
func (u *uploads) enter(uploadID string) (dir string, leave func(), err error) {
	if !id.Valid(uploadID) {
		return "", nil, noUpload(uploadID)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	dir = filepath.Join(u.dir, uploadID)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil, noUpload(uploadID)
	} else if err != nil {
		return "", nil, fmt.Errorf("look for upload: %w", err)
	}
	u.use[uploadID]++
	return dir, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.use[uploadID]--; u.use[uploadID] == 0 {
			delete(u.use, uploadID)
		}
	}, nil
}

func readUpload(dir string) (*Upload, error) {
	up := &Upload{}
	text, err := os.ReadFile(filepath.Join(dir, "upload.json"))
	if err == nil {
		err = json.Unmarshal(text, up)
	}
	if err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	newest := map[int]time.Time{} // a part that was sent again: the later one counts
	for _, file := range files {
		number, etag, ok := strings.Cut(file.Name(), "-")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read upload: %w", err)
		}
		part := UploadPart{Number: n, Size: info.Size(), ETag: etag}
		at, seen := newest[n]
		if seen && !info.ModTime().After(at) {
			continue
		}
		newest[n] = info.ModTime()
		up.Parts = slices.DeleteFunc(up.Parts, func(p UploadPart) bool { return p.Number == n })
		up.Parts = append(up.Parts, part)
	}
	slices.SortFunc(up.Parts, func(a, b UploadPart) int { return a.Number - b.Number })
	return up, nil
}

// CreateUpload begins an upload of the file at path.
func (a *Artifacts) CreateUpload(_ context.Context, path string) (*Upload, error) {
	path, err := CleanPath(path)
	if err == nil {
		err = writable(path)
	}
	if err != nil {
		return nil, err
	}
	up := &Upload{ID: id.New(), Path: path, CreatedAt: a.now()}
	text, err := json.Marshal(up)
	if err != nil {
		return nil, fmt.Errorf("create upload: %w", err)
	}
	// The folder gets its name when it is complete, so that nobody meets one without its description.
	temp, err := os.MkdirTemp(a.uploads.dir, "new-")
	if err != nil {
		return nil, fmt.Errorf("create upload: %w", err)
	}
	if err := os.WriteFile(filepath.Join(temp, "upload.json"), text, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("create upload: %w", err), os.RemoveAll(temp))
	}
	if err := os.Rename(temp, filepath.Join(a.uploads.dir, up.ID)); err != nil {
		return nil, errors.Join(fmt.Errorf("create upload: %w", err), os.RemoveAll(temp))
	}
	return up, nil
}

// GetUpload tells which parts of an upload are here, so that a sender that was cut off goes on where it stopped.
func (a *Artifacts) GetUpload(_ context.Context, uploadID string) (*Upload, error) {
	dir, leave, err := a.uploads.enter(uploadID)
	if err != nil {
		return nil, err
	}
	defer leave()
	return readUpload(dir)
}

// PutPart stores one part, in place of an earlier one of its number, and gives its ETag. When it returns the part survives a crash.
func (a *Artifacts) PutPart(_ context.Context, uploadID string, number int, body io.Reader, want Expect) (etag string, err error) {
	if number < 1 || number > maxParts {
		return "", fault.New(fault.Invalid, "Part number %d is out of range", number).WithHint("parts are numbered from 1 to %d", maxParts)
	}
	dir, leave, err := a.uploads.enter(uploadID)
	if err != nil {
		return "", err
	}
	defer leave()
	temp, err := os.CreateTemp(dir, "part-*")
	if err != nil {
		return "", full(err)
	}
	sum := md5.New()
	_, err = io.Copy(io.MultiWriter(temp, sum), newChecked(body, want))
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return "", errors.Join(full(err), os.Remove(temp.Name()))
	}
	etag = hex.EncodeToString(sum.Sum(nil))
	if err := os.Rename(temp.Name(), filepath.Join(dir, strconv.Itoa(number)+"-"+etag)); err != nil {
		return "", errors.Join(fmt.Errorf("store a part: %w", err), os.Remove(temp.Name()))
	}
	return etag, nil
}

// full says that a disk is full, which passes, unlike other errors of a disk.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Wrap(err, fault.Unavailable, "the disk is full").WithHint("free some space and send the part again")
	}
	return fmt.Errorf("store a part: %w", err)
}

// CompleteUpload puts the parts together, in the order they are named, and stores the file. The ETag of a part may be empty or quoted;
// no parts mean all that have arrived. An upload that was completed is gone.
func (a *Artifacts) CompleteUpload(ctx context.Context, uploadID string, parts []UploadPart) (*Artifact, error) {
	dir, leave, err := a.uploads.enter(uploadID)
	if err != nil {
		return nil, err
	}
	file, err := a.assemble(ctx, dir, parts)
	leave()
	if err != nil {
		return nil, err
	}
	return file, a.AbortUpload(ctx, uploadID)
}

func (a *Artifacts) assemble(ctx context.Context, dir string, parts []UploadPart) (*Artifact, error) {
	up, err := readUpload(dir)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		parts = up.Parts
	}
	if len(parts) == 0 {
		return nil, fault.New(fault.Invalid, "Upload '%s' has no parts", up.ID).WithHint("send the parts first")
	}
	whole := &sequence{}
	defer whole.close()
	before := 0
	for _, part := range parts {
		etag := strings.Trim(strings.TrimPrefix(part.ETag, "W/"), `"`)
		if part.Number <= before {
			return nil, fault.New(fault.Invalid, "Part %d of upload '%s' is out of order", part.Number, up.ID).WithHint("name every part once, by ascending number")
		}
		before = part.Number
		at := slices.IndexFunc(up.Parts, func(p UploadPart) bool { return p.Number == part.Number })
		if at < 0 {
			return nil, fault.New(fault.Invalid, "Part %d of upload '%s' has not arrived", part.Number, up.ID).WithHint("send it and complete again")
		}
		if etag != "" && !strings.EqualFold(etag, up.Parts[at].ETag) {
			return nil, fault.New(fault.Invalid, "Part %d of upload '%s' has the ETag %s and not %s", part.Number, up.ID, up.Parts[at].ETag, etag).
				WithHint("send it again and complete with the ETag of the answer")
		}
		whole.files = append(whole.files, filepath.Join(dir, strconv.Itoa(part.Number)+"-"+up.Parts[at].ETag))
	}
	return a.store(ctx, up.Path, whole)
}

// AbortUpload forgets an upload and its parts. One that is not there is no error.
func (a *Artifacts) AbortUpload(_ context.Context, uploadID string) error {
	if !id.Valid(uploadID) {
		return noUpload(uploadID)
	}
	a.uploads.mu.Lock()
	defer a.uploads.mu.Unlock()
	if a.uploads.use[uploadID] > 0 {
		return fault.New(fault.Conflict, "Upload '%s' is receiving a part", uploadID).WithHint("abort it when that has ended")
	}
	if err := os.RemoveAll(filepath.Join(a.uploads.dir, uploadID)); err != nil {
		return fmt.Errorf("remove upload: %w", err)
	}
	return nil
}

// SweepUploads removes the uploads that saw nothing for a day, and gives their number and bytes.
func (a *Artifacts) SweepUploads(ctx context.Context) (count, bytes int64, err error) {
	entries, err := os.ReadDir(a.uploads.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("sweep uploads: %w", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return count, bytes, err
		}
		size, err := a.uploads.sweep(e.Name())
		if err != nil {
			return count, bytes, err
		}
		if size >= 0 {
			count, bytes = count+1, bytes+size
		}
	}
	return count, bytes, nil
}

// sweep removes one upload if it is idle, and gives its size, or -1 when it stays.
func (u *uploads) sweep(name string) (size int64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.use[name] > 0 {
		return -1, nil
	}
	dir := filepath.Join(u.dir, name)
	var last time.Time
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			size += info.Size()
		}
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("sweep uploads: %w", err)
	}
	if u.now().Sub(last) < uploadExpires {
		return -1, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return -1, fmt.Errorf("sweep uploads: %w", err)
	}
	return size, nil
}

// sequence reads files one after the other and has one of them open at a time.
type sequence struct {
	files []string
	open  *os.File
}

// Read gives the next bytes.
func (s *sequence) Read(p []byte) (int, error) {
	for {
		if s.open == nil {
			if len(s.files) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(s.files[0])
			if err != nil {
				return 0, err
			}
			s.open, s.files = f, s.files[1:]
		}
		n, err := s.open.Read(p)
		if n > 0 {
			return n, nil
		}
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		s.close()
	}
}

func (s *sequence) close() {
	if s.open != nil {
		_ = s.open.Close() // it was only read
		s.open = nil
	}
}

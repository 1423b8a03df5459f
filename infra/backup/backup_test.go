package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/infra/backup"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a state directory with a catalog whose notes name blobs.
type house struct {
	t     *testing.T
	dir   string
	db    *catalog.DB
	blobs *blob.File
}

func newHouse(t *testing.T, place string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	if !catalog.IsURL(place) {
		place = filepath.Join(h.dir, "catalog.db")
	}
	h.db = catalogtest.Open(t, place, catalogtest.Notes)
	var err error
	h.blobs, err = blob.NewFile(filepath.Join(h.dir, "blobs"), blob.Disk{})
	must(t, err)
	for name, text := range map[string]string{"token": "secret", "log/flights/00001.seg": "predictions", "log/work-1/half": "half", "temp/x": "x",
		"server.json": "{}", "empty": "", "series/MANIFEST": "of its owner"} {
		path := filepath.Join(h.dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return h
}

// note stores a blob and a row that names it.
func (h *house) note(id string) (hash string, err error) {
	ctx := context.Background()
	if hash, _, err = h.blobs.Put(ctx, strings.NewReader("the blob of "+id)); err != nil {
		return "", err
	}
	return hash, h.db.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, body) VALUES ($1, $2)", id, hash)
		return err
	})
}

func (h *house) source() backup.Source {
	own := func(_ context.Context, into string) error {
		if err := os.MkdirAll(into, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(into, "MANIFEST"), []byte("copied by its owner"), 0o600)
	}
	return backup.Source{Dir: h.dir, Catalog: h.db, Skip: []string{"server.json"}, Version: "1.2.3",
		Folders: []backup.Folder{{Path: "series", Copy: own}}}
}

func (h *house) backup() []byte {
	h.t.Helper()
	snap, err := backup.Take(h.t.Context(), h.source())
	must(h.t, err)
	var out bytes.Buffer
	must(h.t, snap.Write(h.t.Context(), &out))
	must(h.t, snap.Close())
	if left, err := filepath.Glob(filepath.Join(h.dir, "temp", "backup-*")); err != nil || len(left) > 0 {
		h.t.Errorf("left behind: %v, %v", left, err)
	}
	return out.Bytes()
}

// tree is every file of a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(at)
		rel, _ := filepath.Rel(dir, at)
		all[rel] = string(b)
		return err
	}))
	return all
}

// notes are the rows of a catalog: id and blob.
func notes(t *testing.T, db *catalog.DB) map[string]string {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), "SELECT id, body FROM notes")
	must(t, err)
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var id, hash string
		must(t, rows.Scan(&id, &hash))
		all[id] = hash
	}
	must(t, rows.Err())
	return all
}

func TestBackupAndRestore(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		h := newHouse(t, place)
		for i := range 20 {
			_, err := h.note(fmt.Sprint(i))
			must(t, err)
		}
		archive := h.backup()
		head, err := backup.Read(t.Context(), bytes.NewReader(archive), nil)
		if err != nil || head.Version != "1.2.3" || head.Files != 25 || head.Bytes == 0 || head.CreatedAt.IsZero() {
			t.Errorf("head %+v, %v", head, err)
		}
		to := backup.Target{Dir: filepath.Join(t.TempDir(), "new"), Schemas: []fs.FS{catalogtest.Notes}}
		_, err = backup.Restore(t.Context(), bytes.NewReader(archive), to)
		must(t, err)
		files := tree(t, to.Dir)
		for name, want := range map[string]string{"token": "secret", "log/flights/00001.seg": "predictions", "empty": "", "series/MANIFEST": "copied by its owner"} {
			if got, ok := files[name]; !ok || got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		for name := range files {
			if strings.Contains(name, "temp") || strings.Contains(name, "work-") || name == "server.json" || strings.HasPrefix(name, ".restore") {
				t.Errorf("%s was restored", name)
			}
		}
		db := catalogtest.Open(t, filepath.Join(to.Dir, "catalog.db"), catalogtest.Notes)
		got := notes(t, db)
		if !maps.Equal(got, notes(t, h.db)) {
			t.Errorf("rows %v", got)
		}
		blobs, err := blob.NewFile(filepath.Join(to.Dir, "blobs"), blob.Disk{})
		must(t, err)
		for id, hash := range got {
			if b, err := blob.ReadAll(t.Context(), blobs, hash); err != nil || string(b) != "the blob of "+id {
				t.Errorf("blob of %s: %q, %v", id, b, err)
			}
		}
	})
}

// TestIntoTheOtherCatalog: what came from a file goes into PostgreSQL.
func TestIntoTheOtherCatalog(t *testing.T) {
	place := postgrestest.URL(t)
	h := newHouse(t, "")
	_, err := h.note("a")
	must(t, err)
	to := backup.Target{Dir: t.TempDir(), Place: place, Schemas: []fs.FS{catalogtest.Notes}}
	_, err = backup.Restore(t.Context(), bytes.NewReader(h.backup()), to)
	must(t, err)
	if got := notes(t, catalogtest.Open(t, place, catalogtest.Notes)); len(got) != 1 {
		t.Errorf("rows %v", got)
	}
	if _, ok := tree(t, to.Dir)["catalog.db"]; ok {
		t.Error("there is a file of a catalog too")
	}
}

// TestUnderLoad takes backups while blobs and rows come and go: what was there before is in each, and every row that is
// in it finds its blob.
func TestUnderLoad(t *testing.T) {
	h := newHouse(t, "")
	for i := range 50 {
		_, err := h.note(fmt.Sprint("before-", i))
		must(t, err)
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	for w := range 2 {
		work.Go(func() {
			ctx := context.Background()
			const young = 200 // a collector spares what was stored lately
			made := map[int]string{}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				hash, err := h.note(fmt.Sprint(w, "-", i))
				made[i] = hash
				if old := i - young; err == nil && old >= 0 && old%5 == 0 { // the row goes first, then the blob
					err = h.db.Write(ctx, func(tx *catalog.Tx) error {
						_, err := tx.ExecContext(ctx, "DELETE FROM notes WHERE id = $1", fmt.Sprint(w, "-", old))
						return err
					})
					if err == nil {
						err = h.blobs.Delete(ctx, made[old])
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		archive := h.backup()
		to := backup.Target{Dir: t.TempDir(), Schemas: []fs.FS{catalogtest.Notes}}
		_, err := backup.Restore(t.Context(), bytes.NewReader(archive), to)
		must(t, err)
		blobs, err := blob.NewFile(filepath.Join(to.Dir, "blobs"), blob.Disk{})
		must(t, err)
		db := catalogtest.Open(t, filepath.Join(to.Dir, "catalog.db"), catalogtest.Notes)
		rows := notes(t, db)
		for i := range 50 {
			if rows[fmt.Sprint("before-", i)] == "" {
				t.Errorf("before-%d is not in the backup", i)
			}
		}
		for id, hash := range rows {
			if _, err := blob.ReadAll(t.Context(), blobs, hash); err != nil {
				t.Errorf("the blob of %s: %v", id, err)
			}
		}
	}
	close(stop)
	work.Wait()
}

// TestAFileThatGoesIsNotMissed removes a file between the rows and the files, as a compaction does: the copy is begun anew.
func TestAFileThatGoesIsNotMissed(t *testing.T) {
	h := newHouse(t, "")
	source := h.source()
	segment := filepath.Join(h.dir, "log", "flights", "00001.seg")
	calls := 0
	inner := source.Folders[0].Copy
	source.Folders[0].Copy = func(ctx context.Context, into string) error { // after the rows, before the files
		if calls++; calls == 1 {
			if _, err := h.note("compacted"); err != nil {
				return err
			}
			if err := os.Remove(segment); err != nil {
				return err
			}
		}
		return inner(ctx, into)
	}
	snap, err := backup.Take(t.Context(), source)
	must(t, err)
	defer snap.Close()
	var out bytes.Buffer
	must(t, snap.Write(t.Context(), &out))
	to := backup.Target{Dir: t.TempDir(), Schemas: []fs.FS{catalogtest.Notes}}
	_, err = backup.Restore(t.Context(), &out, to)
	must(t, err)
	if rows := notes(t, catalogtest.Open(t, filepath.Join(to.Dir, "catalog.db"), catalogtest.Notes)); rows["compacted"] == "" || calls != 2 {
		t.Errorf("rows %v after %d copies, want those of the second", rows, calls)
	}
	source.Folders[0].Copy = func(ctx context.Context, into string) error { // without end
		if err := os.WriteFile(segment, nil, 0o600); err != nil {
			return err
		}
		return errors.Join(os.Rename(segment, filepath.Join(h.dir, "token")), inner(ctx, into))
	}
	if _, err := backup.Take(t.Context(), source); !fault.Is(err, fault.Unavailable) || fault.HintOf(err) == "" {
		t.Errorf("err %v, want unavailable", err)
	}
}

// TestAFileThatGrowsIsCopiedAsItWas appends between the snapshot and the writing.
func TestAFileThatGrowsIsCopiedAsItWas(t *testing.T) {
	h := newHouse(t, "")
	snap, err := backup.Take(t.Context(), h.source())
	must(t, err)
	defer snap.Close()
	f, err := os.OpenFile(filepath.Join(h.dir, "log", "flights", "00001.seg"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(" and more")
	must(t, errors.Join(err, f.Close()))
	must(t, os.Remove(filepath.Join(h.dir, "token")))
	var out bytes.Buffer
	must(t, snap.Write(t.Context(), &out))
	to := backup.Target{Dir: t.TempDir(), Schemas: []fs.FS{catalogtest.Notes}}
	_, err = backup.Restore(t.Context(), &out, to)
	must(t, err)
	if files := tree(t, to.Dir); files["log/flights/00001.seg"] != "predictions" || files["token"] != "secret" {
		t.Errorf("%q, %q", files["log/flights/00001.seg"], files["token"])
	}
}

func TestCleanRemovesWhatACrashLeft(t *testing.T) {
	h := newHouse(t, "")
	if _, err := backup.Take(t.Context(), h.source()); err != nil { // never closed
		t.Fatal(err)
	}
	must(t, backup.Clean(h.dir))
	left, err := os.ReadDir(filepath.Join(h.dir, "temp"))
	must(t, err)
	if len(left) != 1 || left[0].Name() != "x" {
		t.Errorf("left: %v", left)
	}
}

func TestACorruptBlobEndsTheBackup(t *testing.T) {
	h := newHouse(t, "")
	hash, err := h.note("a")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.dir, "blobs", "b3", hash[:2], hash), []byte("something else"), 0o600))
	snap, err := backup.Take(t.Context(), h.source())
	must(t, err)
	defer snap.Close()
	var out bytes.Buffer
	wrote := snap.Write(t.Context(), &out)
	_, read := backup.Read(t.Context(), &out, nil) // whoever is far away hears the reason too
	for name, err := range map[string]error{"write": wrote, "read": read} {
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), hash) || fault.HintOf(err) == "" {
			t.Errorf("%s: err %v, want corrupt with the name of the blob", name, err)
		}
	}
}

// edit rewrites an archive entry by entry.
func edit(t *testing.T, archive []byte, change func(h *tar.Header, body []byte) (keep bool, out []byte)) []byte {
	t.Helper()
	in := tar.NewReader(bytes.NewReader(archive))
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		body, err := io.ReadAll(in)
		must(t, err)
		keep, body := change(h, body)
		if !keep {
			continue
		}
		h.Size = int64(len(body))
		must(t, w.WriteHeader(h))
		_, err = w.Write(body)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func TestWhatIsNotWholeIsRefused(t *testing.T) {
	h := newHouse(t, "")
	_, err := h.note("a")
	must(t, err)
	good := h.backup()
	named := func(name string, do func(h *tar.Header, b []byte) (bool, []byte)) func(*tar.Header, []byte) (bool, []byte) {
		return func(h *tar.Header, b []byte) (bool, []byte) {
			if strings.HasPrefix(h.Name, name) {
				return do(h, b)
			}
			return true, b
		}
	}
	flip := func(h *tar.Header, b []byte) (bool, []byte) { b[len(b)/2] ^= 1; return true, b }
	gone := func(*tar.Header, []byte) (bool, []byte) { return false, nil }
	rename := func(to string) func(h *tar.Header, b []byte) (bool, []byte) {
		return func(h *tar.Header, b []byte) (bool, []byte) { h.Name = to; return true, b }
	}
	for name, archive := range map[string][]byte{
		"nothing":          nil,
		"text":             []byte(strings.Repeat("hello world ", 1000)),
		"cut":              good[:len(good)*2/3],
		"cut at the end":   good[:len(good)-1024-512],
		"a byte of a blob": edit(t, good, named("state/blobs/", flip)),
		"a byte of rows":   edit(t, good, named("catalog.rows", flip)),
		"no rows":          edit(t, good, named("catalog.rows", gone)),
		"no end":           edit(t, good, named("end.json", gone)),
		"no head":          edit(t, good, named("backup.json", gone)),
		"a file is gone":   edit(t, good, named("state/token", gone)),
		"another name":     edit(t, good, named("state/token", rename("state/lock"))),
		"leads outside":    edit(t, good, named("state/token", rename("state/../../../tmp/evil"))),
		"absolute":         edit(t, good, named("state/token", rename("/tmp/evil"))),
		"a link": edit(t, good, named("state/empty", func(h *tar.Header, _ []byte) (bool, []byte) {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
			return true, nil
		})),
		"no checksum":      edit(t, good, named("state/token", func(h *tar.Header, b []byte) (bool, []byte) { h.PAXRecords = nil; return true, b })),
		"twice":            edit(t, good, named("state/empty", rename("state/token"))),
		"a file as folder": edit(t, good, named("state/log", rename("state/empty/x"))),
	} {
		dir := filepath.Join(t.TempDir(), "new")
		_, err := backup.Restore(t.Context(), bytes.NewReader(archive), backup.Target{Dir: dir, Schemas: []fs.FS{catalogtest.Notes}})
		if !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was restored: %v", name, tree(t, dir))
		}
	}
	if _, err := os.Stat("/tmp/evil"); err == nil {
		t.Error("a file was written outside")
	}
}

func TestRestoreRefusesWhatIsInUse(t *testing.T) {
	h := newHouse(t, "")
	archive := h.backup()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600))
	_, err := backup.Restore(t.Context(), bytes.NewReader(archive), backup.Target{Dir: dir, Schemas: []fs.FS{catalogtest.Notes}})
	if !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("err %v, want a conflict with a hint", err)
	}
	if files := slices.Collect(maps.Keys(tree(t, dir))); len(files) != 1 {
		t.Errorf("files %v", files)
	}
}

func TestUnpack(t *testing.T) {
	plain := newHouse(t, "").backup()
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	must(t, err)
	_, err = z.Write(plain)
	must(t, errors.Join(err, z.Close()))
	for name, file := range map[string][]byte{"tar": plain, "zstd": packed.Bytes()} {
		in, done, err := backup.Unpack(bytes.NewReader(file))
		must(t, err)
		if _, err := backup.Read(t.Context(), in, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		done()
	}
	for _, size := range []int{0, 3, 100, packed.Len() / 2, packed.Len() - 1} {
		in, done, err := backup.Unpack(bytes.NewReader(packed.Bytes()[:size]))
		must(t, err)
		if _, err := backup.Read(t.Context(), in, nil); !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.Invalid) {
			t.Errorf("%d bytes: %v", size, err)
		}
		done()
	}
}

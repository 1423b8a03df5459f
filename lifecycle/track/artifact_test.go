package track_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// shelf is the artifacts of a test and what they stand on.
type shelf struct {
	*track.Artifacts
	db    *catalog.DB
	blobs blob.Store
	dir   string
	now   time.Time
}

// eachShelf runs a test on both catalogs.
func eachShelf(t *testing.T, f func(t *testing.T, s *shelf)) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) { f(t, newShelf(t, db)) })
}

// oneShelf is for what a catalog has no part in.
func oneShelf(t *testing.T) *shelf {
	return newShelf(t, catalogtest.Open(t, filepath.Join(t.TempDir(), "catalog.db"), schemas...))
}

func newShelf(t *testing.T, db *catalog.DB) *shelf {
	t.Helper()
	s := &shelf{db: db, dir: t.TempDir(), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	var err error
	if s.blobs, err = blob.NewFile(filepath.Join(s.dir, "blobs"), blob.Disk{}); err != nil {
		t.Fatal(err)
	}
	s.reopen(t)
	return s
}

// reopen does what a restart of the server does.
func (s *shelf) reopen(t *testing.T) {
	t.Helper()
	var err error
	if s.Artifacts, err = track.NewArtifacts(s.db, s.blobs, filepath.Join(s.dir, "uploads"), func() time.Time { return s.now }); err != nil {
		t.Fatal(err)
	}
}

func (s *shelf) put(t *testing.T, path, body string) *track.Artifact {
	t.Helper()
	a, err := s.PutArtifact(t.Context(), path, strings.NewReader(body), track.Expect{})
	if err != nil {
		t.Fatalf("put %s: %v", path, err)
	}
	return a
}

func (s *shelf) read(t *testing.T, path string) string {
	t.Helper()
	r, err := s.OpenArtifact(t.Context(), path)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// names lists a folder; folders end with a slash.
func (s *shelf) names(t *testing.T, list func() ([]track.Artifact, error)) []string {
	t.Helper()
	files, err := list()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, f := range files {
		name := f.Path
		if f.Dir {
			name += "/"
		}
		out = append(out, name)
	}
	return out
}

func (s *shelf) ls(t *testing.T, folder string) []string {
	t.Helper()
	return s.names(t, func() ([]track.Artifact, error) { return s.ListArtifacts(t.Context(), folder) })
}

func (s *shelf) tree(t *testing.T, path string) []string {
	t.Helper()
	return s.names(t, func() ([]track.Artifact, error) { return s.Tree(t.Context(), path) })
}

func TestArtifactsAreFilesInImpliedFolders(t *testing.T) {
	eachShelf(t, func(t *testing.T, s *shelf) {
		s.put(t, "1/r/artifacts/model/MLmodel", "flavors")
		s.put(t, "1/r/artifacts/model/data/model.pkl", "pickled")
		s.put(t, "1/r/artifacts/c.json", "{}")
		s.put(t, "1/r/artifacts/ä ö#100%.txt", "named")
		s.put(t, "1/r/artifacts/empty", "")
		for folder, want := range map[string][]string{
			"":                             {"1/"},
			"1/r/artifacts":                {"c.json", "empty", "model/", "ä ö#100%.txt"},
			"1/r/artifacts/":               {"c.json", "empty", "model/", "ä ö#100%.txt"},
			"1/r/artifacts/model":          {"MLmodel", "data/"},
			"1/r/artifacts/c.json":         {}, // a file
			"1/r/artifacts/missing/folder": {},
		} {
			if diff := cmp.Diff(want, s.ls(t, folder)); diff != "" {
				t.Errorf("ls %q: %s", folder, diff)
			}
		}
		for path, want := range map[string][]string{
			"1/r/artifacts/model":         {"MLmodel", "data/model.pkl"},
			"1/r/artifacts/model/MLmodel": {"MLmodel"},
			"1/none":                      {},
		} {
			if diff := cmp.Diff(want, s.tree(t, path)); diff != "" {
				t.Errorf("tree %q: %s", path, diff)
			}
		}
		if got := s.read(t, "1/r/artifacts/ä ö#100%.txt"); got != "named" {
			t.Errorf("read %q", got)
		}
		if got := s.read(t, "1/r/artifacts/empty"); got != "" {
			t.Errorf("read %q", got)
		}

		// Overwriting gives the path new bytes; deleting removes folders that became empty.
		s.now = s.now.Add(time.Hour)
		s.put(t, "1/r/artifacts/c.json", `{"a": 1}`)
		again, err := s.StatArtifact(t.Context(), "1/r/artifacts/c.json")
		if err != nil || again.Size != 8 || !again.ModifiedAt.Equal(s.now) || s.read(t, "1/r/artifacts/c.json") != `{"a": 1}` {
			t.Errorf("after overwriting: %+v, %v", again, err)
		}
		for _, path := range []string{"1/r/artifacts/model/data/model.pkl", "1/r/artifacts/missing"} {
			if err := s.DeleteArtifacts(t.Context(), path); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]string{"MLmodel"}, s.ls(t, "1/r/artifacts/model")); diff != "" {
			t.Error(diff)
		}
		if err := s.DeleteArtifacts(t.Context(), "1/r"); err != nil {
			t.Error(err)
		}
		if got := s.ls(t, ""); len(got) > 0 {
			t.Errorf("after deleting everything: %v", got)
		}
	})
}

func TestAMissingArtifactIsNotFound(t *testing.T) {
	eachShelf(t, func(t *testing.T, s *shelf) {
		s.put(t, "1/r/artifacts/d/x.txt", "x")
		for _, path := range []string{"1/r/artifacts/y.txt", "1/r/artifacts/d", "1/r/artifacts/d/x.txt/z", "", "1/r/artifacts/D/X.TXT"} {
			if _, err := s.OpenArtifact(t.Context(), path); !fault.Is(err, fault.NotFound) {
				t.Errorf("open %q: %v", path, err)
			}
		}
	})
}

func TestAPathIsEitherAFileOrAFolder(t *testing.T) {
	eachShelf(t, func(t *testing.T, s *shelf) {
		s.put(t, "a/b", "file")
		for _, path := range []string{"a", "a/b/c"} {
			if _, err := s.PutArtifact(t.Context(), path, strings.NewReader("x"), track.Expect{}); !fault.Is(err, fault.Invalid) {
				t.Errorf("put %q: %v", path, err)
			}
		}
		if diff := cmp.Diff([]string{"b"}, s.tree(t, "a")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestPathsDoNotLeave holds the ways in which a path can try to, in every encoding.
func TestPathsDoNotLeave(t *testing.T) {
	eachShelf(t, func(t *testing.T, s *shelf) {
		for _, path := range []string{
			"..", "../x", "a/../x", "a/..", "./x", "a/./x", "/etc/passwd", "//etc/passwd", "a//b", "a///",
			"%2e%2e/x", "a/%2e%2e/x", "a/%2E./x", "%252e%252e/x", "a/%25252e%25252e%25252fx", "..%2fx", "a%2f..%2fx", "%2fetc%2fpasswd", "%252fetc",
			"..%5cx", `..\x`, `a\b`, "a%5Cb", "a%255cb", "C:/windows", "c%3a/windows", "a\x00b", "a%00b", "a%2500b", "a\nb", "a%0ab", "a\x7fb",
			"a/\xff", strings.Repeat("a", 1501), strings.Repeat("a/", 65) + "x", "..%2f..%2f..%2fetc",
		} {
			if _, err := s.PutArtifact(t.Context(), path, strings.NewReader("x"), track.Expect{}); !fault.Is(err, fault.Invalid) {
				t.Errorf("put %q: %v", path, err)
			}
			if _, err := s.OpenArtifact(t.Context(), path); !fault.Is(err, fault.Invalid) {
				t.Errorf("open %q: %v", path, err)
			}
			if _, err := s.ListArtifacts(t.Context(), path); !fault.Is(err, fault.Invalid) {
				t.Errorf("list %q: %v", path, err)
			}
			if err := s.DeleteArtifacts(t.Context(), path); !fault.Is(err, fault.Invalid) {
				t.Errorf("delete %q: %v", path, err)
			}
			if _, err := s.CreateUpload(t.Context(), path); !fault.Is(err, fault.Invalid) {
				t.Errorf("upload %q: %v", path, err)
			}
		}
		for _, path := range []string{"...", "a..b", "..a/b..", "a%b", "100%", "%zz", "%2", "a:b", "a b", "~", "a/.hidden", "日本/語"} {
			s.put(t, path, "fine")
			if s.read(t, path) != "fine" {
				t.Errorf("%q was not stored", path)
			}
		}
		// Whatever the paths were, the disk holds blobs by their hash and nothing else.
		err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !blob.Valid(d.Name()) && !strings.HasPrefix(d.Name(), "catalog.db") {
				t.Errorf("unexpected file %s", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestChecksumsAreVerified(t *testing.T) {
	body := "some bytes"
	md, sha := md5.Sum([]byte(body)), sha256.Sum256([]byte(body))
	s := oneShelf(t)
	b3 := s.put(t, "probe", body).Blob
	good := track.Expect{Size: int64(len(body)), MD5: hex.EncodeToString(md[:]), SHA256: strings.ToUpper(hex.EncodeToString(sha[:])), BLAKE3: b3}
	if _, err := s.PutArtifact(t.Context(), "good", strings.NewReader(body), good); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]track.Expect{
		"size": {Size: 11}, "md5": {MD5: strings.Repeat("0", 32)}, "sha256": {SHA256: strings.Repeat("0", 64)}, "blake3": {BLAKE3: strings.Repeat("0", 64)},
	} {
		if _, err := s.PutArtifact(t.Context(), "bad", strings.NewReader(body), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cut := io.MultiReader(strings.NewReader("half of"), failing{io.ErrUnexpectedEOF})
	if _, err := s.PutArtifact(t.Context(), "bad", cut, track.Expect{}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "after 7 bytes") {
		t.Errorf("a cut upload: %v", err)
	}
	if _, err := s.StatArtifact(t.Context(), "bad"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a refused upload left a row: %v", err)
	}
	blobs := 0
	if err := s.blobs.List(t.Context(), func(string, int64) error { blobs++; return nil }); err != nil || blobs != 1 {
		t.Errorf("%d blobs, %v; the same bytes are stored once and refused ones never", blobs, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSnapshotsDoNotChange(t *testing.T) {
	eachShelf(t, func(t *testing.T, s *shelf) {
		s.put(t, "1/models/m/artifacts/MLmodel", "one")
		files, err := s.Tree(t.Context(), "1/models/m/artifacts")
		if err != nil {
			t.Fatal(err)
		}
		link := func(root string) error {
			return s.db.Write(t.Context(), func(tx *catalog.Tx) error { return s.LinkArtifacts(t.Context(), tx, root, files) })
		}
		if err := link("versions/abc"); err != nil {
			t.Fatal(err)
		}
		s.put(t, "1/models/m/artifacts/MLmodel", "two")
		if got := s.read(t, "versions/abc/MLmodel"); got != "one" {
			t.Errorf("the snapshot reads %q", got)
		}
		for _, path := range []string{"versions", "versions/abc/MLmodel", "versions/new", "versions/"} {
			if _, err := s.PutArtifact(t.Context(), path, strings.NewReader("x"), track.Expect{}); !fault.Is(err, fault.Denied) {
				t.Errorf("put %q: %v", path, err)
			}
			if err := s.DeleteArtifacts(t.Context(), path); !fault.Is(err, fault.Denied) {
				t.Errorf("delete %q: %v", path, err)
			}
			if _, err := s.CreateUpload(t.Context(), path); !fault.Is(err, fault.Denied) {
				t.Errorf("upload %q: %v", path, err)
			}
		}
		if _, err := s.PutArtifact(t.Context(), "versionsx/y", strings.NewReader("x"), track.Expect{}); err != nil {
			t.Error(err)
		}
		if err := link("versions/../x"); !fault.Is(err, fault.Invalid) {
			t.Errorf("link: %v", err)
		}
		held := map[string]bool{}
		if err := s.Blobs(t.Context(), func(hash string) error { held[hash] = true; return nil }); err != nil || len(held) != 3 {
			t.Errorf("%d blobs are held, %v; want those of one, two and x", len(held), err)
		}
	})
}

func TestUploadInParts(t *testing.T) {
	s := oneShelf(t)
	up, err := s.CreateUpload(t.Context(), "1/r/artifacts/big.bin")
	if err != nil {
		t.Fatal(err)
	}
	part := func(n int, body string) track.UploadPart {
		t.Helper()
		etag, err := s.PutPart(t.Context(), up.ID, n, strings.NewReader(body), track.Expect{Size: int64(len(body))})
		if err != nil {
			t.Fatal(err)
		}
		return track.UploadPart{Number: n, ETag: `"` + etag + `"`}
	}
	third, first := part(3, "ghi"), part(1, "abc")
	s.reopen(t) // parts survive a restart
	part(2, "xxx")
	second := part(2, "def") // a part that is sent again counts

	here, err := s.GetUpload(t.Context(), up.ID)
	if err != nil || len(here.Parts) != 3 || here.Path != "1/r/artifacts/big.bin" || here.Parts[1].Size != 3 {
		t.Fatalf("%+v, %v", here, err)
	}
	for name, parts := range map[string][]track.UploadPart{
		"out of order": {second, first, third}, "twice": {first, first}, "missing": {first, {Number: 4}}, "other ETag": {first, {Number: 2, ETag: third.ETag}},
	} {
		if _, err := s.CompleteUpload(t.Context(), up.ID, parts); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file, err := s.CompleteUpload(t.Context(), up.ID, []track.UploadPart{first, second, third})
	if err != nil || file.Size != 9 || s.read(t, "1/r/artifacts/big.bin") != "abcdefghi" {
		t.Fatalf("%+v, %v", file, err)
	}
	for name, err := range map[string]error{
		"complete again": func() error { _, err := s.CompleteUpload(t.Context(), up.ID, nil); return err }(),
		"part": func() error {
			_, err := s.PutPart(t.Context(), up.ID, 1, strings.NewReader(""), track.Expect{})
			return err
		}(),
		"get": func() error { _, err := s.GetUpload(t.Context(), "../../etc"); return err }(),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int{0, -1, 10001} {
		if _, err := s.PutPart(t.Context(), up.ID, n, strings.NewReader(""), track.Expect{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("part %d: %v", n, err)
		}
	}
	if err := s.AbortUpload(t.Context(), up.ID); err != nil {
		t.Error(err)
	}
}

func TestIdleUploadsAreSweptAfterADay(t *testing.T) {
	s := oneShelf(t)
	s.now = time.Now() // files carry the time of the disk
	up, err := s.CreateUpload(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPart(t.Context(), up.ID, 1, strings.NewReader("abc"), track.Expect{}); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(23 * time.Hour)
	if count, _, err := s.SweepUploads(t.Context()); err != nil || count != 0 {
		t.Errorf("after 23 hours: %d, %v", count, err)
	}
	s.now = s.now.Add(2 * time.Hour)
	if count, size, err := s.SweepUploads(t.Context()); err != nil || count != 1 || size < 3 {
		t.Errorf("after 25 hours: %d uploads, %d bytes, %v", count, size, err)
	}
	if _, err := s.GetUpload(t.Context(), up.ID); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// TestWritersOfOneFolder has many writers put and delete in the same folders: whatever happened last, a file that is there can be found
// by listing from the root, and folders without files are gone.
func TestWritersOfOneFolder(t *testing.T) {
	eachShelf(t, func(t *testing.T, s *shelf) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 1))
				for range 15 {
					path := fmt.Sprintf("d%d/e/f%d", random.IntN(2), random.IntN(3))
					var err error
					if random.IntN(2) == 0 {
						_, err = s.PutArtifact(t.Context(), path, strings.NewReader(path), track.Expect{})
					} else {
						err = s.DeleteArtifacts(t.Context(), path)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		found := map[string]bool{}
		var walk func(folder string)
		walk = func(folder string) {
			files, err := s.ListArtifacts(t.Context(), folder)
			if err != nil {
				t.Fatal(err)
			}
			if len(files) == 0 {
				t.Errorf("%q is an empty folder", folder)
			}
			for _, f := range files {
				path := strings.TrimPrefix(folder+"/"+f.Path, "/")
				if f.Dir {
					walk(path)
				} else {
					found[path] = true
				}
			}
		}
		if top, _ := s.ListArtifacts(t.Context(), ""); len(top) > 0 {
			walk("")
		}
		for d := range 2 {
			for f := range 3 {
				path := fmt.Sprintf("d%d/e/f%d", d, f)
				if _, err := s.StatArtifact(t.Context(), path); (err == nil) != found[path] {
					t.Errorf("%s: listed %v, looked up %v", path, found[path], err)
				}
			}
		}
	})
}

// zeros is a stream of n zero bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	clear(p[:n])
	z.n -= int64(n)
	return n, nil
}

func TestBigArtifactsTakeLittleMemory(t *testing.T) {
	const size = 128 << 20
	s := oneShelf(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := s.PutArtifact(t.Context(), "big", &zeros{size}, track.Expect{Size: size}); err != nil {
		t.Fatal(err)
	}
	r, err := s.OpenArtifact(t.Context(), "big")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d MiB through took %d KiB of memory", size>>20, used>>10)
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"a/b", "..", "%2e%2e/x", "%25%32%65", "a%5cb", "/", "a/%2f/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		clean, err := track.CleanPath(path)
		if err != nil {
			return
		}
		again, err := track.CleanPath(clean)
		if err != nil || again != clean {
			t.Fatalf("%q became %q, which becomes %q (%v)", path, clean, again, err)
		}
		if joined := filepath.Join("/root", clean); joined != "/root" && !strings.HasPrefix(joined, "/root/") || bytes.ContainsRune([]byte(clean), 0) {
			t.Fatalf("%q leaves the root: %q", path, joined)
		}
	})
}

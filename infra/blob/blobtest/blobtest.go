// Package blobtest is the conformance suite that every blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Known hashes: the BLAKE3 test vectors for the empty input and for the bytes "abc" (github.com/BLAKE3-team/BLAKE3, test_vectors).
const (
	emptyHash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	abcHash   = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
)

// Run checks a store. open gives a new, empty one; corrupt changes the stored bytes of a blob behind the store's back and returns a
// store that has not read it yet.
func Run(t *testing.T, open func(t *testing.T) blob.Store, corrupt func(t *testing.T, s blob.Store, hash string) blob.Store) {
	ctx := context.Background()
	put := func(t *testing.T, s blob.Store, text string) string {
		t.Helper()
		hash, size, err := s.Put(ctx, strings.NewReader(text))
		if err != nil || size != int64(len(text)) {
			t.Fatalf("Put gave size %d, %v", size, err)
		}
		return hash
	}
	t.Run("hashes are BLAKE3", func(t *testing.T) {
		s := open(t)
		if got := put(t, s, ""); got != emptyHash {
			t.Errorf("nothing has the hash %s, want %s", got, emptyHash)
		}
		if got := put(t, s, "abc"); got != abcHash {
			t.Errorf("abc has the hash %s, want %s", got, abcHash)
		}
	})
	t.Run("what is put can be read", func(t *testing.T) {
		s := open(t)
		for _, text := range []string{"", "abc", strings.Repeat("x", 3<<20)} {
			hash := put(t, s, text)
			got, err := blob.ReadAll(ctx, s, hash)
			if err != nil || string(got) != text {
				t.Errorf("read %d bytes, %v; want %d", len(got), err, len(text))
			}
			path, err := s.Path(ctx, hash)
			if err != nil {
				t.Fatal(err)
			}
			if got, err = os.ReadFile(path); err != nil || string(got) != text {
				t.Errorf("the file at Path has %d bytes, %v; want %d", len(got), err, len(text))
			}
			if has, err := s.Has(ctx, hash); !has || err != nil {
				t.Errorf("Has gave %v, %v", has, err)
			}
		}
	})
	t.Run("a file is moved in", func(t *testing.T) {
		s := open(t)
		path := filepath.Join(t.TempDir(), "file")
		for range 2 { // the second time it is there already
			if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
				t.Fatal(err)
			}
			if hash, size, err := s.PutFile(ctx, path); hash != abcHash || size != 3 || err != nil {
				t.Errorf("PutFile gave %s, %d, %v", hash, size, err)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		}
	})
	t.Run("list and delete", func(t *testing.T) {
		s := open(t)
		var want []string
		for i := range 20 {
			want = append(want, put(t, s, fmt.Sprint(i)))
		}
		slices.Sort(want)
		list := func() (got []string) {
			if err := s.List(ctx, func(hash string, size int64) error { got = append(got, hash); return nil }); err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := list(); !slices.Equal(got, want) {
			t.Errorf("List gave %v, want %v", got, want)
		}
		for range 2 {
			if err := s.Delete(ctx, want[0]); err != nil {
				t.Fatal(err)
			}
		}
		if got := list(); !slices.Equal(got, want[1:]) {
			t.Errorf("List after Delete gave %v", got)
		}
		stop := errors.New("stop")
		if err := s.List(ctx, func(string, int64) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("List gave %v, want the error of its callback", err)
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		s := open(t)
		if _, err := s.Open(ctx, abcHash); !fault.Is(err, fault.NotFound) {
			t.Errorf("Open gave %v", err)
		}
		if _, err := s.Path(ctx, abcHash); !fault.Is(err, fault.NotFound) {
			t.Errorf("Path gave %v", err)
		}
		if has, err := s.Has(ctx, abcHash); has || err != nil {
			t.Errorf("Has gave %v, %v", has, err)
		}
		hash := put(t, s, "soon gone")
		if err := s.Delete(ctx, hash); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Path(ctx, hash); !fault.Is(err, fault.NotFound) {
			t.Errorf("Path of a deleted blob gave %v", err)
		}
	})
	t.Run("a hash is never a path", func(t *testing.T) {
		s := open(t)
		for _, hash := range []string{"", "..", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("a", 63), abcHash + "/"} {
			if _, err := s.Open(ctx, hash); !fault.Is(err, fault.Invalid) {
				t.Errorf("Open(%q) gave %v", hash, err)
			}
			if _, err := s.Has(ctx, hash); !fault.Is(err, fault.Invalid) {
				t.Errorf("Has(%q) gave %v", hash, err)
			}
			if err := s.Delete(ctx, hash); !fault.Is(err, fault.Invalid) {
				t.Errorf("Delete(%q) gave %v", hash, err)
			}
		}
	})
	t.Run("corrupt bytes are named and not served, and can be put anew", func(t *testing.T) {
		s := open(t)
		hash := put(t, s, "the truth")
		s = corrupt(t, s, hash)
		for range 2 {
			if _, err := s.Open(ctx, hash); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), hash) {
				t.Errorf("Open gave %v, want a fault that names the hash", err)
			}
			if _, err := s.Path(ctx, hash); !fault.Is(err, fault.Corrupt) {
				t.Errorf("Path gave %v", err)
			}
		}
		put(t, s, "the truth")
		if got, err := blob.ReadAll(ctx, s, hash); err != nil || string(got) != "the truth" {
			t.Errorf("after another Put, %q, %v", got, err)
		}
	})
	t.Run("concurrent puts of the same bytes", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, _, err := s.Put(ctx, bytes.NewReader(make([]byte, 1<<20))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a cancelled put leaves nothing", func(t *testing.T) {
		s := open(t)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := s.Put(ended, strings.NewReader("abc")); !errors.Is(err, context.Canceled) {
			t.Errorf("Put gave %v", err)
		}
		if has, _ := s.Has(ctx, abcHash); has {
			t.Error("the blob is there")
		}
	})
}

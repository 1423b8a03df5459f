package blob_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/blob/blobtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func TestFileConforms(t *testing.T) {
	dirs := map[blob.Store]string{}
	blobtest.Run(t, func(t *testing.T) blob.Store {
		dir := t.TempDir()
		s, err := blob.NewFile(dir, blob.Disk{})
		if err != nil {
			t.Fatal(err)
		}
		dirs[s] = dir
		return s
	}, func(t *testing.T, s blob.Store, hash string) blob.Store {
		dir := dirs[s]
		if err := os.WriteFile(filepath.Join(dir, "b3", hash[:2], hash), []byte("the trush"), 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := blob.NewFile(dir, blob.Disk{})
		if err != nil {
			t.Fatal(err)
		}
		return again
	})
}

// failing is a disk that fails at one operation.
type failing struct {
	blob.Disk
	at    string
	with  error
	calls *[]string
}

func (f failing) step(name string) error {
	*f.calls = append(*f.calls, name)
	if name == f.at {
		return f.with
	}
	return nil
}

func (f failing) CreateTemp(dir string) (blob.Handle, error) {
	if err := f.step("create"); err != nil {
		return nil, err
	}
	h, err := f.Disk.CreateTemp(dir)
	return failingHandle{h, f}, err
}

func (f failing) Rename(from, to string) error {
	if err := f.step("rename"); err != nil {
		return err
	}
	return f.Disk.Rename(from, to)
}

func (f failing) Sync(path string) error {
	if err := f.step("sync folder"); err != nil {
		return err
	}
	return f.Disk.Sync(path)
}

type failingHandle struct {
	blob.Handle
	f failing
}

func (h failingHandle) Write(p []byte) (int, error) {
	if err := h.f.step("write"); err != nil {
		n, _ := h.Handle.Write(p[:len(p)/2])
		return n, err
	}
	return h.Handle.Write(p)
}

func (h failingHandle) Sync() error {
	if err := h.f.step("sync"); err != nil {
		return err
	}
	return h.Handle.Sync()
}

func TestEveryStepOfAWriteMayFail(t *testing.T) {
	ctx := context.Background()
	for _, at := range []string{"create", "write", "sync", "rename", "sync folder"} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			var calls []string
			s, err := blob.NewFile(dir, failing{at: at, with: syscall.ENOSPC, calls: &calls})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = s.Put(ctx, strings.NewReader("abc"))
			if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "disk is full") {
				t.Errorf("a full disk gave %v", err)
			}
			// What is visible afterwards is whole, and there is room again once the rest is cleaned.
			again, err := blob.NewFile(dir, blob.Disk{})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.List(ctx, func(hash string, _ int64) error { _, err := again.Path(ctx, hash); return err }); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "temp")); len(left) > 0 {
				t.Errorf("%d unfinished files are left", len(left))
			}
			if _, _, err := again.Put(ctx, strings.NewReader("abc")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWriteIsSyncedBeforeItIsNamed(t *testing.T) {
	var calls []string
	s, err := blob.NewFile(t.TempDir(), failing{calls: &calls})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Put(context.Background(), strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	want := "create write sync rename sync folder sync folder"
	if got := strings.Join(calls, " "); got != want {
		t.Errorf("the steps were %q, want %q", got, want)
	}
}

func TestUnfinishedFilesAreRemovedAtStart(t *testing.T) {
	dir := t.TempDir()
	if _, err := blob.NewFile(dir, blob.Disk{}); err != nil {
		t.Fatal(err)
	}
	unfinished := filepath.Join(dir, "temp", "put-123")
	if err := os.WriteFile(unfinished, []byte("half of"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.NewFile(dir, blob.Disk{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of an earlier process is still there: %v", err)
	}
}

package blob_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/blob/blobtest"
)

func TestGuardConforms(t *testing.T) {
	dirs := map[blob.Store]string{}
	open := func(t *testing.T, dir string) blob.Store {
		files, err := blob.NewFile(dir, blob.Disk{})
		if err != nil {
			t.Fatal(err)
		}
		s := blob.NewGuard(files, time.Hour)
		dirs[s] = dir
		return s
	}
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) }, func(t *testing.T, s blob.Store, hash string) blob.Store {
		if err := os.WriteFile(filepath.Join(dirs[s], "b3", hash[:2], hash), []byte("the trush"), 0o600); err != nil {
			t.Fatal(err)
		}
		return open(t, dirs[s])
	})
}

func TestWhatWasJustPutIsNotSwept(t *testing.T) {
	ctx := t.Context()
	files, err := blob.NewFile(t.TempDir(), blob.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	old, _, err := files.Put(ctx, strings.NewReader("old"))
	if err != nil {
		t.Fatal(err)
	}
	s := blob.NewGuard(files, time.Hour)
	again, _, err := s.Put(ctx, strings.NewReader("old"))
	if err != nil || again != old {
		t.Fatal(again, err)
	}
	if swept, err := s.Sweep(ctx, old); swept || err != nil {
		t.Errorf("bytes that were put again just now: swept %v, %v", swept, err)
	}
	asked := blob.NewGuard(files, time.Hour)
	if there, err := asked.Has(ctx, old); !there || err != nil {
		t.Fatal(there, err)
	}
	if swept, err := asked.Sweep(ctx, old); swept || err != nil {
		t.Errorf("bytes that somebody asked for just now: swept %v, %v", swept, err)
	}
	later := blob.NewGuard(files, 0) // an hour later, so to say
	if swept, err := later.Sweep(ctx, old); !swept || err != nil {
		t.Errorf("an old blob: swept %v, %v", swept, err)
	}
	if there, err := s.Has(ctx, old); there || err != nil {
		t.Errorf("it is there: %v, %v", there, err)
	}
}

func TestFindLosesNoHash(t *testing.T) {
	a, b := strings.Repeat("a1", 32), strings.Repeat("0f", 32)
	found := map[string]bool{}
	err := blob.Find(`{"blob":"`+a+`","both":"`+a+b+`","short":"abc","upper":"`+strings.ToUpper(b)+`"}`, func(hash string) error {
		found[hash] = true
		return nil
	})
	if err != nil || !found[a] || !found[b] {
		t.Errorf("%d hashes, %v", len(found), err)
	}
}

package queue_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/infra/queue/queuetest"
)

func open(t *testing.T, place string, opts queue.Options) (*catalog.DB, queuetest.Queue) {
	t.Helper()
	db, err := catalog.Open(t.Context(), place, queue.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return db, queue.New(db, opts)
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "catalog.db") }

// copyFiles copies the files of a catalog as a machine would find them, while the queue runs on.
func copyFiles(t *testing.T, from string) string {
	t.Helper()
	to := file(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// copyRows copies what is committed: it is what the next server finds in PostgreSQL when the last one was killed.
func copyRows(t *testing.T, from string) string {
	t.Helper()
	var rows bytes.Buffer
	if err := catalogtest.Open(t, from, queue.Schema).Dump(t.Context(), &rows); err != nil {
		t.Fatal(err)
	}
	to := postgrestest.URL(t)
	if err := catalog.Load(t.Context(), to, &rows, queue.Schema); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestSQLite(t *testing.T) {
	queuetest.Run(t, queuetest.Opener{Fresh: file, Crash: copyFiles, Open: open})
}

func TestPostgres(t *testing.T) {
	fresh := func(t *testing.T) string { return postgrestest.URL(t) }
	queuetest.Run(t, queuetest.Opener{Fresh: fresh, Crash: copyRows, Open: open})
}

func TestRegisterMistakesArePanics(t *testing.T) {
	q := queue.New(nil, queue.Options{})
	q.Register("a", nil)
	defer func() {
		if recover() == nil {
			t.Error("a kind was registered twice")
		}
	}()
	q.Register("a", nil)
}

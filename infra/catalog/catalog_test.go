package catalog_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const notes = `-- +goose Up
CREATE TABLE notes (workspace_id TEXT NOT NULL DEFAULT 'default', id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (workspace_id, id));
`

func schema(name, text string) fstest.MapFS {
	return fstest.MapFS{"schema/" + name: {Data: []byte(text)}}
}

func asFS(schemas []fstest.MapFS) []fs.FS {
	out := make([]fs.FS, len(schemas))
	for i, s := range schemas {
		out[i] = s
	}
	return out
}

func open(t *testing.T) *catalog.DB {
	t.Helper()
	db, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "a b?c#d.db"), schema("00100_notes.sql", notes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func count(t *testing.T, q catalog.Querier) (n int) {
	t.Helper()
	if err := q.QueryRowContext(t.Context(), "SELECT count(*) FROM notes").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func insert(ctx context.Context, tx *catalog.Tx, id string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, body) VALUES ($1, $2)", id, "text")
	return err
}

func TestWriteCommitsOrLeavesNothing(t *testing.T) {
	db := open(t)
	var order []string
	err := db.Write(t.Context(), func(tx *catalog.Tx) error {
		tx.OnCommit(func() { order = append(order, "first") })
		tx.OnCommit(func() {
			order = append(order, "second")
			// A hook may write: the connection is free again.
			if err := db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, "hook") }); err != nil {
				t.Error(err)
			}
		})
		return insert(t.Context(), tx, "a")
	})
	if err != nil || strings.Join(order, " ") != "first second" {
		t.Fatalf("err %v, hooks %v", err, order)
	}
	if n := count(t, db.Read()); n != 2 {
		t.Fatalf("%d rows, want 2", n)
	}
	boom := errors.New("boom")
	err = db.Write(t.Context(), func(tx *catalog.Tx) error {
		tx.OnCommit(func() { t.Error("a hook of a rolled-back transaction ran") })
		if err := insert(t.Context(), tx, "b"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("err %v, want the error of the function", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Write(t.Context(), func(tx *catalog.Tx) error {
			if err := insert(t.Context(), tx, "c"); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	if n := count(t, db.Read()); n != 2 {
		t.Fatalf("%d rows after a rollback and a panic, want 2", n)
	}
}

func TestCanceledWriteLeavesNothing(t *testing.T) {
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Write(ctx, func(tx *catalog.Tx) error {
		if err := insert(ctx, tx, "a"); err != nil {
			return err
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("err %v, want context.Canceled", err)
	}
	if n := count(t, db.Read()); n != 0 {
		t.Fatalf("%d rows, want 0", n)
	}
}

func TestReadersCannotWriteAndSeeWhileAWriterIsOpen(t *testing.T) {
	db := open(t)
	if _, err := db.Read().ExecContext(t.Context(), "DELETE FROM notes"); err == nil {
		t.Error("a reading connection wrote")
	}
	err := db.Write(t.Context(), func(tx *catalog.Tx) error {
		if err := insert(t.Context(), tx, "a"); err != nil {
			return err
		}
		if inside, outside := count(t, tx), count(t, db.Read()); inside != 1 || outside != 0 {
			t.Errorf("inside %d, outside %d; want 1 and 0", inside, outside)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	db := open(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				id := string(rune('a'+w)) + string(rune('a'+i))
				if err := db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, id) }); err != nil {
					t.Error(err)
				}
				var n int
				if err := db.Read().QueryRow("SELECT count(*) FROM notes").Scan(&n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, db.Read()); n != 200 {
		t.Fatalf("%d rows, want 200", n)
	}
}

func TestUniqueIsRecognised(t *testing.T) {
	db := open(t)
	write := func() error {
		return db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, "a") })
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if err := write(); !catalog.IsUnique(err) {
		t.Fatalf("err %v, want a unique violation", err)
	}
	if catalog.IsUnique(sql.ErrNoRows) || catalog.IsUnique(nil) {
		t.Error("other errors are not unique violations")
	}
}

func TestMigrationsMergeAndJoinLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	late := schema("00050_early.sql", "-- +goose Up\nCREATE TABLE early (id TEXT PRIMARY KEY);\n")
	for _, schemas := range [][]fstest.MapFS{
		{schema("00100_notes.sql", notes)},
		{schema("00100_notes.sql", notes), late}, // a lower number that joins later
		{schema("00100_notes.sql", notes), late}, // nothing to do
	} {
		var all []string
		db, err := catalog.Open(t.Context(), path, asFS(schemas)...)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Read().Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('notes', 'early')")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			all = append(all, name)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if len(all) != len(schemas) {
			t.Fatalf("tables %v, want %d", all, len(schemas))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrationMistakes(t *testing.T) {
	ok := schema("00100_notes.sql", notes)
	for name, test := range map[string]struct {
		schema fstest.MapFS
		want   string
	}{
		"same number": {schema("00100_other.sql", notes), "have the same number"},
		"bad name":    {schema("notes.sql", notes), "NNNNN_name.sql"},
		"bad SQL":     {schema("00200_bad.sql", "-- +goose Up\nCREATE TABEL x;\n"), "apply migrations"},
	} {
		_, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "c.db"), ok, test.schema)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: err %v, want %q", name, err, test.want)
		}
	}
}

func TestDamageIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := catalog.Open(t.Context(), path, schema("00100_notes.sql", notes))
	if !fault.Is(err, fault.Corrupt) || fault.HintOf(err) == "" {
		t.Fatalf("err %v, want corrupt with a hint", err)
	}
	if err := open(t).Check(t.Context()); err != nil {
		t.Fatalf("a sound catalog: %v", err)
	}
	_, err = catalog.Open(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder", "c.db"))
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("err %v, want unavailable", err)
	}
}

func TestMicros(t *testing.T) {
	for _, at := range []time.Time{{}, time.UnixMicro(1).UTC(), time.Date(2013, 4, 1, 5, 0, 0, 123000, time.UTC)} {
		if got := catalog.Time(catalog.Micros(at)); !got.Equal(at) {
			t.Errorf("%v came back as %v", at, got)
		}
	}
}

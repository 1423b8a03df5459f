package catalogtest

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Schema is one migration: what a package brings, made in place.
func Schema(name, statements string) fs.FS {
	return fstest.MapFS{"schema/" + name: {Data: []byte("-- +goose Up\n" + statements)}}
}

// Notes is a schema for tests that need any table: notes with a key, a text and a number.
var Notes = Schema("00100_notes.sql", `CREATE TABLE notes (
	workspace_id TEXT NOT NULL DEFAULT 'default', id TEXT NOT NULL, body TEXT NOT NULL, n BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (workspace_id, id));`)

var values = Schema("00200_values.sql", `CREATE TABLE kept (
	workspace_id TEXT NOT NULL DEFAULT 'default', id TEXT NOT NULL,
	words TEXT, whole BIGINT, flag INTEGER, fraction DOUBLE PRECISION, bytes BYTEA, PRIMARY KEY (workspace_id, id));`)

// Run runs the suite; newPlace gives an empty place for each test.
func Run(t *testing.T, newPlace func(t *testing.T) string) {
	for name, test := range map[string]func(*testing.T, string){
		"CommitsOrLeavesNothing":       commitsOrLeavesNothing,
		"CanceledWriteLeavesNothing":   canceledWriteLeavesNothing,
		"ReadersOnlyRead":              readersOnlyRead,
		"OneWriterAtATime":             oneWriterAtATime,
		"AWaitingWriterHeedsContext":   aWaitingWriterHeedsContext,
		"AFailedStatementIsTheEnd":     aFailedStatementIsTheEnd,
		"RecognisesUnique":             recognisesUnique,
		"NamesConstraints":             namesConstraints,
		"KeepsValues":                  keepsValues,
		"RefusesUnkeepableText":        refusesUnkeepableText,
		"ComparesTextByBytes":          comparesTextByBytes,
		"HeedsCaseInLike":              heedsCaseInLike,
		"UpsertsAndReturns":            upsertsAndReturns,
		"CanceledReadEnds":             canceledReadEnds,
		"MigratesOnceAndLater":         migratesOnceAndLater,
		"AFailedMigrationIsUndone":     aFailedMigrationIsUndone,
		"ManyMayOpenAtOnce":            manyMayOpenAtOnce,
		"ChecksWhatIsSound":            checksWhatIsSound,
		"CopiesRowsToAnother":          copiesRowsToAnother,
		"CopyIsOfOneMoment":            copyIsOfOneMoment,
		"CopyOfAnOlderProgramIsLoaded": copyOfAnOlderProgramIsLoaded,
		"LoadRefusesWhatIsNotEmpty":    loadRefusesWhatIsNotEmpty,
		"LoadRefusesANewerCopy":        loadRefusesANewerCopy,
		"LoadIsAllOrNothing":           loadIsAllOrNothing,
	} {
		t.Run(name, func(t *testing.T) { test(t, newPlace(t)) })
	}
}

func insert(ctx context.Context, tx *catalog.Tx, id string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, body) VALUES ($1, $2)", id, "text")
	return err
}

func count(t *testing.T, q catalog.Querier) (n int) {
	t.Helper()
	if err := q.QueryRowContext(t.Context(), "SELECT count(*) FROM notes").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func write(t *testing.T, db *catalog.DB, statement string, args ...any) error {
	t.Helper()
	return db.Write(t.Context(), func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(t.Context(), statement, args...)
		return err
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func commitsOrLeavesNothing(t *testing.T, place string) {
	db := Open(t, place, Notes)
	var order []string
	err := db.Write(t.Context(), func(tx *catalog.Tx) error {
		tx.OnCommit(func() {
			order = append(order, "first")
			if n := count(t, db.Read()); n != 1 {
				t.Errorf("a hook sees %d rows, want 1: it runs when the row is there for all", n)
			}
		})
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

func canceledWriteLeavesNothing(t *testing.T, place string) {
	db := Open(t, place, Notes)
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
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, "a") }))
}

func readersOnlyRead(t *testing.T, place string) {
	db := Open(t, place, Notes)
	if _, err := db.Read().ExecContext(t.Context(), "DELETE FROM notes"); err == nil {
		t.Error("a reading connection wrote")
	}
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error {
		if err := insert(t.Context(), tx, "a"); err != nil {
			return err
		}
		if inside, outside := count(t, tx), count(t, db.Read()); inside != 1 || outside != 0 {
			t.Errorf("inside %d, outside %d; want 1 and 0", inside, outside)
		}
		return nil
	}))
	if n := count(t, db.Read()); n != 1 {
		t.Errorf("%d rows after the commit, want 1", n)
	}
}

// oneWriterAtATime adds to a number by reading and writing it, from many goroutines of two servers: a lost update would
// show in the sum.
func oneWriterAtATime(t *testing.T, place string) {
	const writers, rounds = 4, 25
	servers := []*catalog.DB{Open(t, place, Notes), Open(t, place, Notes)}
	must(t, write(t, servers[0], "INSERT INTO notes (id, body) VALUES ('n', '')"))
	var wg sync.WaitGroup
	for _, db := range servers {
		for range writers {
			wg.Go(func() {
				for range rounds {
					if err := add(t.Context(), db); err != nil {
						t.Error(err)
					}
					if n := count(t, db.Read()); n != 1 {
						t.Errorf("%d rows, want 1", n)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, db := range servers {
		var n int
		must(t, db.Read().QueryRowContext(t.Context(), "SELECT n FROM notes WHERE id = 'n'").Scan(&n))
		if want := len(servers) * writers * rounds; n != want {
			t.Fatalf("the sum is %d, want %d: updates were lost", n, want)
		}
	}
}

func add(ctx context.Context, db *catalog.DB) error {
	return db.Write(ctx, func(tx *catalog.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT n FROM notes WHERE id = 'n'").Scan(&n); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE notes SET n = $1 WHERE id = 'n'", n+1)
		return err
	})
}

func aWaitingWriterHeedsContext(t *testing.T, place string) {
	db, other := Open(t, place, Notes), Open(t, place, Notes)
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error {
		if err := insert(t.Context(), tx, "a"); err != nil {
			return err
		}
		for name, waiting := range map[string]*catalog.DB{"same server": db, "other server": other} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := waiting.Write(ctx, func(tx *catalog.Tx) error { return insert(ctx, tx, name) })
			if err == nil {
				t.Errorf("%s: two writers at once", name)
			}
			cancel()
		}
		return nil
	}))
	for _, db := range []*catalog.DB{db, other} {
		must(t, db.Write(t.Context(), func(tx *catalog.Tx) error { return nil }))
		if n := count(t, db.Read()); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	}
}

func aFailedStatementIsTheEnd(t *testing.T, place string) {
	db := Open(t, place, Notes)
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, "a") }))
	for name, fail := range map[string]func(tx *catalog.Tx) error{
		"exec": func(tx *catalog.Tx) error { return insert(t.Context(), tx, "a") },
		"query": func(tx *catalog.Tx) error {
			_, err := tx.QueryContext(t.Context(), "SELECT nothing FROM notes")
			return err
		},
		"row": func(tx *catalog.Tx) error {
			return tx.QueryRowContext(t.Context(), "SELECT nothing FROM notes").Scan(new(string))
		},
	} {
		err := db.Write(t.Context(), func(tx *catalog.Tx) error {
			if err := insert(t.Context(), tx, name); err != nil {
				return err
			}
			if err := fail(tx); err == nil {
				t.Errorf("%s: the statement did not fail", name)
			}
			return nil
		})
		if err == nil {
			t.Errorf("%s: committed after a statement failed", name)
		}
	}
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error {
		// No row is not a failure.
		if err := tx.QueryRowContext(t.Context(), "SELECT id FROM notes WHERE id = 'none'").Scan(new(string)); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("err %v, want no rows", err)
		}
		return nil
	}))
	if n := count(t, db.Read()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func recognisesUnique(t *testing.T, place string) {
	db := Open(t, place, Notes)
	again := func() error {
		return db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, "a") })
	}
	must(t, again())
	if err := again(); !catalog.IsUnique(err) {
		t.Fatalf("err %v, want a unique violation", err)
	}
	if catalog.IsUnique(sql.ErrNoRows) || catalog.IsUnique(nil) {
		t.Error("other errors are not unique violations")
	}
}

func namesConstraints(t *testing.T, place string) {
	db := Open(t, place, Notes)
	err := write(t, db, "INSERT INTO notes (id, body) VALUES ('a', NULL)")
	if err == nil || catalog.IsUnique(err) || !strings.Contains(err.Error(), "body") {
		t.Errorf("err %v, want one that names the column that must not be NULL", err)
	}
	if fault.Is(err, fault.Unavailable) {
		t.Error("trying again would not help")
	}
}

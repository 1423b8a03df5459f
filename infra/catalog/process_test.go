package catalog_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
)

// roles are what this test program does when it is started again as another process, by the value of roleVariable.
var roles = map[string]func(place string) error{"opener": openMany, "worker": work}

const roleVariable, placeVariable = "TRIMTAB_TEST_ROLE", "TRIMTAB_TEST_PLACE"

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(os.Getenv(placeVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process starts this program again in a role.
func process(t *testing.T, role, place string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, placeVariable+"="+place)
	cmd.Stderr = &strings.Builder{}
	return cmd
}

// history is what a program gathers over its versions: each table is made once, and its row is put in once.
func history(versions int) []fs.FS {
	schemas := []fs.FS{catalogtest.Notes}
	for i := range versions {
		schemas = append(schemas, catalogtest.Schema(fmt.Sprintf("%05d_more.sql", 200+i), fmt.Sprintf(
			"CREATE TABLE more_%d (id TEXT PRIMARY KEY);\nINSERT INTO more_%d (id) VALUES ('once');\nALTER TABLE notes ADD COLUMN tag_%d TEXT NOT NULL DEFAULT '';\nCREATE INDEX notes_%d ON notes (tag_%d);", i, i, i, i, i)))
	}
	return schemas
}

const openers, versions = 8, 12

// openMany opens the place from many goroutines at the same moment, and writes through each.
func openMany(place string) error {
	errs := make(chan error, openers)
	for i := range openers {
		go func() {
			ctx := context.Background()
			db, err := catalog.Open(ctx, place, history(versions)...)
			if err == nil {
				err = db.Write(ctx, func(tx *catalog.Tx) error {
					_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, body) VALUES ($1, 'opened')", fmt.Sprint(os.Getpid(), "-", i))
					return err
				})
			}
			if err == nil {
				err = db.Close()
			}
			errs <- err
		}()
	}
	for range openers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func TestProcessesOpenAFreshCatalogAtOnce(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		const processes = 2
		var wg sync.WaitGroup
		for range processes {
			wg.Go(func() {
				cmd := process(t, "opener", place)
				if err := cmd.Run(); err != nil {
					t.Errorf("%v: %s", err, cmd.Stderr)
				}
			})
		}
		wg.Wait()
		db := catalogtest.Open(t, place, history(versions)...)
		var opened int
		if err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM notes").Scan(&opened); err != nil || opened != processes*openers {
			t.Errorf("%d opened it, want %d (%v)", opened, processes*openers, err)
		}
		for i := range versions {
			var n int
			err := db.Read().QueryRowContext(t.Context(), fmt.Sprintf("SELECT count(*) FROM more_%d", i)).Scan(&n)
			if err != nil || n != 1 {
				t.Errorf("migration %d was applied %d times (%v)", i, n, err)
			}
		}
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// work is an older program that reads and writes until its input ends. It says when it has begun, and at the end how
// many rows were acknowledged.
func work(place string) error {
	ctx := context.Background()
	db, err := catalog.Open(ctx, place, history(2)...)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the pipe, however that ends
		close(stop)
	}()
	for n := 1; ; n++ {
		err := db.Write(ctx, func(tx *catalog.Tx) error {
			var before int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM notes").Scan(&before); err != nil {
				return err
			}
			if before != n-1 {
				return fmt.Errorf("%d rows before row %d", before, n)
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO notes (id, body) VALUES ($1, 'text')", fmt.Sprint(n))
			return err
		})
		if err != nil {
			return err
		}
		var seen int
		if err := db.Read().QueryRowContext(ctx, "SELECT count(*) FROM notes").Scan(&seen); err != nil || seen != n {
			return fmt.Errorf("%d rows seen after row %d: %w", seen, n, err)
		}
		if n == 10 {
			fmt.Println("working")
		}
		select {
		case <-stop:
			fmt.Println(n)
			return db.Close()
		default:
		}
	}
}

func TestAnUpgradeWhileAnotherProcessWorks(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		old, err := catalog.Open(t.Context(), place, history(2)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		worker := process(t, "worker", place)
		in, err := worker.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := worker.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		if !said.Scan() || said.Text() != "working" {
			t.Fatalf("the worker said %q: %s", said.Text(), worker.Stderr)
		}
		db := catalogtest.Open(t, place, history(versions)...)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if !said.Scan() {
			t.Fatalf("the worker ended without a word: %v, %s", worker.Wait(), worker.Stderr)
		}
		acknowledged := said.Text()
		if err := worker.Wait(); err != nil {
			t.Fatalf("%v: %s", err, worker.Stderr)
		}
		var n int
		if err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM notes WHERE tag_5 = ''").Scan(&n); err != nil || fmt.Sprint(n) != acknowledged {
			t.Errorf("%d rows after the upgrade, the worker was told of %s (%v)", n, acknowledged, err)
		}
	})
}

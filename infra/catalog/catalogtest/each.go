// Package catalogtest is the conformance suite of catalogs, and what other packages need to run their tests on each of
// them: what is written once for both dialects is tested on both.
//
// It must never be imported outside of tests.
package catalogtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
)

// Places runs a test on an empty place of each dialect: as subtests "sqlite" and "postgres". Opening the place again
// gives the same catalog. Without PostgreSQL its half is skipped (see package postgrestest).
func Places(t *testing.T, fn func(t *testing.T, place string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, filepath.Join(t.TempDir(), "catalog.db")) })
	t.Run("postgres", func(t *testing.T) { fn(t, postgrestest.URL(t)) })
}

// Each runs a test on an empty catalog of each dialect, with the migrations of schemas, as subtests "sqlite" and
// "postgres". The catalog is closed after the test.
func Each(t *testing.T, schemas []fs.FS, fn func(t *testing.T, db *catalog.DB)) {
	t.Helper()
	Places(t, func(t *testing.T, place string) { fn(t, Open(t, place, schemas...)) })
}

// In is the place of the catalog of a state directory, the same at every call: a file in it, or with
// TRIMTAB_TEST_CATALOG=postgres a schema. It is for the tests of packages that lean on other files too: `make test` runs
// them once with each catalog.
func In(t testing.TB, dir string) string {
	t.Helper()
	if os.Getenv("TRIMTAB_TEST_CATALOG") != "postgres" {
		return filepath.Join(dir, "catalog.db")
	}
	// The address is kept in the directory, so that a process that the test starts finds it.
	memo := filepath.Join(dir, "test-catalog")
	if b, err := os.ReadFile(memo); err == nil {
		return string(b)
	}
	place := postgrestest.URL(t)
	if err := os.WriteFile(memo, []byte(place), 0o600); err != nil {
		t.Fatal(err)
	}
	return place
}

// Open opens the catalog at a place and closes it with the test.
func Open(t testing.TB, place string, schemas ...fs.FS) *catalog.DB {
	t.Helper()
	db, err := catalog.Open(t.Context(), place, schemas...)
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

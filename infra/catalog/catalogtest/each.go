// Package catalogtest is the conformance suite of catalogs, and what other packages need to run their tests on each of
// them: what is written once for both dialects is tested on both.
//
// It must never be imported outside of tests.
package catalogtest

import (
	"io/fs"
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

package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func TestSQLite(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "a b?c#d.db") })
}

func TestPostgres(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) string { return postgrestest.URL(t) })
}

func TestMigrationMistakes(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"same number": {"00100_other.sql", "have the same number"},
		"bad name":    {"notes.sql", "NNNNN_name.sql"},
	} {
		other := catalogtest.Schema(test.file, "CREATE TABLE other (id TEXT PRIMARY KEY);")
		_, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "c.db"), catalogtest.Notes, other)
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
	_, err := catalog.Open(t.Context(), path, catalogtest.Notes)
	if !fault.Is(err, fault.Corrupt) || fault.HintOf(err) == "" {
		t.Fatalf("err %v, want corrupt with a hint", err)
	}
	_, err = catalog.Open(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder", "c.db"))
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("err %v, want unavailable", err)
	}
}

func TestTheFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	catalogtest.Open(t, path, catalogtest.Notes)
	for _, suffix := range []string{"", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path+suffix, info, err)
		}
	}
}

func TestMicros(t *testing.T) {
	for _, at := range []time.Time{{}, time.UnixMicro(1).UTC(), time.Date(2013, 4, 1, 5, 0, 0, 123000, time.UTC)} {
		if got := catalog.Time(catalog.Micros(at)); !got.Equal(at) {
			t.Errorf("%v came back as %v", at, got)
		}
	}
}

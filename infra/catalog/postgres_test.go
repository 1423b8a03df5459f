package catalog_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// with changes the query of an address.
func with(t *testing.T, address, key, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(key, value)
	u.RawQuery = query.Encode()
	return u.String()
}

func TestPlacesThatCannotBeOpened(t *testing.T) {
	place := postgrestest.URL(t)
	postgrestest.Do(t, "CREATE ROLE guest LOGIN")
	postgrestest.Do(t, "CREATE ROLE nobody_may LOGIN CONNECTION LIMIT 0")
	for name, test := range map[string]struct {
		place string
		code  fault.Code
		want  string // in the hint
	}{
		"nobody listens":     {"postgres://me:secret@127.0.0.1:1/db", fault.Unavailable, "is it running"},
		"no such socket":     {"postgres:///db?host=/tmp/none&user=me&password=secret", fault.Unavailable, "is it running"},
		"not an address":     {"postgres://me:secret@host:port/db", fault.Invalid, "%40"},
		"a bad escape":       {"postgres://me:secret%zz@host/db", fault.Invalid, "%40"},
		"a bad setting":      {"postgres://me:secret@host/db?sslmode=sometimes", fault.Invalid, "postgres://"},
		"no such database":   {strings.Replace(place, "/trimtab?", "/none?", 1), fault.Unavailable, "createdb"},
		"no such user":       {with(t, place, "user", "none"), fault.Unavailable, "password"},
		"no such schema":     {with(t, place, "search_path", "none"), fault.Invalid, "search_path"},
		"another encoding":   {postgrestest.Database(t, "LATIN1"), fault.Invalid, "UTF8"},
		"no right":           {with(t, with(t, place, "user", "guest"), "search_path", "public"), fault.Unavailable, "CREATE"},
		"no more connection": {with(t, place, "user", "nobody_may"), fault.Unavailable, "connections"},
	} {
		_, err := catalog.Open(t.Context(), test.place, catalogtest.Notes)
		if err == nil {
			t.Errorf("%s: it was opened", name)
			continue
		}
		if !fault.Is(err, test.code) || !strings.Contains(fault.HintOf(err), test.want) {
			t.Errorf("%s: %v (%s), hint %q; want %s and a hint with %q", name, err, fault.CodeOf(err), fault.HintOf(err), test.code, test.want)
		}
		if strings.Contains(err.Error()+fault.HintOf(err), "secret") {
			t.Errorf("%s: the password is in the message: %v", name, err)
		}
	}
}

// TestALostConnection cuts every connection, as a restart of PostgreSQL does: whoever asks in that moment hears that it
// may try again, and then everything works as before.
func TestALostConnection(t *testing.T) {
	db := catalogtest.Open(t, postgrestest.URL(t), catalogtest.Notes)
	write := func(id string) error {
		return db.Write(t.Context(), func(tx *catalog.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO notes (id, body) VALUES ($1, 'text')", id)
			return err
		})
	}
	read := func(want int) error {
		var n int
		err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM notes").Scan(&n)
		if err == nil && n != want {
			t.Errorf("%d rows, want %d", n, want)
		}
		return err
	}
	if err := write("before"); err != nil {
		t.Fatal(err)
	}
	const cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trimtab'"
	postgrestest.Do(t, cut)
	for _, ask := range []func() error{func() error { return read(1) }, func() error { return write("after") }} {
		tries := 0
		for err := ask(); err != nil; err = ask() {
			if tries++; !fault.Is(err, fault.Unavailable) || tries > 3 {
				t.Fatalf("%v after %d tries", err, tries)
			}
		}
	}
	err := db.Write(t.Context(), func(tx *catalog.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO notes (id, body) VALUES ('cut', 'text')"); err != nil {
			return err
		}
		postgrestest.Do(t, cut)
		_, err := tx.ExecContext(t.Context(), "INSERT INTO notes (id, body) VALUES ('cut too', 'text')")
		return err
	})
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "/tmp") || strings.Contains(err.Error(), "user=") {
		t.Errorf("err %v, want unavailable, and not where the database is", err)
	}
	for tries := 0; tries < 3 && write("again") != nil; tries++ {
	}
	var found int
	if err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM notes WHERE id LIKE 'cut%'").Scan(&found); err != nil || found != 0 {
		t.Errorf("%d rows of a transaction that was cut (%v)", found, err)
	}
}

func TestRedact(t *testing.T) {
	for place, want := range map[string]string{
		"/var/lib/trimtab/catalog.db":                                     "/var/lib/trimtab/catalog.db",
		"postgres://me:secret@db.example:5432/trimtab":                    "postgres://me:xxxxx@db.example:5432/trimtab",
		"postgresql://me@db.example/trimtab?sslmode=require":              "postgresql://me@db.example/trimtab?sslmode=require",
		"postgres://db.example/trimtab?user=me&password=secret":           "postgres://db.example/trimtab?password=xxxxx&user=me",
		"postgres://db.example/trimtab?password=secret&sslpassword=other": "postgres://db.example/trimtab?password=xxxxx&sslpassword=xxxxx",
		"postgres://me:se%zzcret@db.example/trimtab":                      "postgres://…",
	} {
		if got := catalog.Redact(place); got != want {
			t.Errorf("%s: %s, want %s", place, got, want)
		}
	}
}

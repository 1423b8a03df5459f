package catalogtest

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func dump(t *testing.T, db *catalog.DB) string {
	t.Helper()
	var out bytes.Buffer
	must(t, db.Dump(t.Context(), &out))
	return out.String()
}

// elsewhere is an empty SQLite file: what one dialect wrote, it must take, and back.
func elsewhere(t *testing.T) string { return filepath.Join(t.TempDir(), "copy.db") }

func copiesRowsToAnother(t *testing.T, place string) {
	from, other := Open(t, elsewhere(t), values, Notes), elsewhere(t)
	insertRich(t, from)
	must(t, from.Write(t.Context(), func(tx *catalog.Tx) error {
		for i := range 10_000 { // more than one batch
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO notes (id, body, n) VALUES ($1, $2, $3)",
				fmt.Sprintf("%05d", i), strings.Repeat("text", i%100), i); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, catalog.Load(t.Context(), place, strings.NewReader(dump(t, from)), values, Notes))
	db := Open(t, place, values, Notes)
	checkRich(t, db)
	if n := count(t, db.Read()); n != 10_000 {
		t.Errorf("%d rows, want 10000", n)
	}
	// And back: the copy of the copy.
	must(t, catalog.Load(t.Context(), other, strings.NewReader(dump(t, db)), values, Notes))
	checkRich(t, Open(t, other, values, Notes))
}

// onFirst calls do before the first bytes go through.
type onFirst struct {
	w  io.Writer
	do func()
}

func (o *onFirst) Write(b []byte) (int, error) {
	if o.do != nil {
		o.do()
		o.do = nil
	}
	return o.w.Write(b)
}

func copyIsOfOneMoment(t *testing.T, place string) {
	later := Schema("00300_later.sql", "CREATE TABLE sums (id TEXT PRIMARY KEY, n BIGINT NOT NULL);")
	db := Open(t, place, Notes, later)
	both := func(id string) error {
		return db.Write(t.Context(), func(tx *catalog.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO notes (id, body) VALUES ($1, $2)", id, strings.Repeat("x", 1000)); err != nil {
				return err
			}
			_, err := tx.ExecContext(t.Context(), "INSERT INTO sums (id, n) VALUES ($1, 1)", id)
			return err
		})
	}
	for i := range 200 { // more than the buffer of the copy: its first bytes leave before the last are read
		must(t, both(fmt.Sprint(i)))
	}
	var out bytes.Buffer
	must(t, db.Dump(t.Context(), &onFirst{w: &out, do: func() { must(t, both("meanwhile")) }}))
	copied := elsewhere(t)
	must(t, catalog.Load(t.Context(), copied, &out, Notes, later))
	reader := Open(t, copied, Notes, later).Read()
	for _, table := range []string{"notes", "sums"} {
		var n int
		must(t, reader.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		if n != 200 {
			t.Errorf("%d rows of %s, want 200: those of the moment in which the copy began", n, table)
		}
	}
}

func copyOfAnOlderProgramIsLoaded(t *testing.T, place string) {
	old := Open(t, elsewhere(t), Notes)
	must(t, write(t, old, "INSERT INTO notes (id, body) VALUES ('a', 'from the older program')"))
	split := Schema("00110_split.sql", `ALTER TABLE notes ADD COLUMN tag TEXT NOT NULL DEFAULT '';
UPDATE notes SET tag = 'moved ' || id;
CREATE TABLE defaults (id TEXT PRIMARY KEY);
INSERT INTO defaults (id) VALUES ('0');`)
	must(t, catalog.Load(t.Context(), place, strings.NewReader(dump(t, old)), Notes, split))
	db := Open(t, place, Notes, split)
	if got := texts(t, db, "SELECT tag FROM notes"); len(got) != 1 || got[0] != "moved a" {
		t.Errorf("tags %q: the later migration must see the rows of the copy", got)
	}
	// What a migration put in is in the copy already, and there once.
	again := elsewhere(t)
	must(t, write(t, db, "UPDATE defaults SET id = '1'"))
	must(t, catalog.Load(t.Context(), again, strings.NewReader(dump(t, db)), Notes, split))
	if got := texts(t, Open(t, again, Notes, split), "SELECT id FROM defaults"); len(got) != 1 || got[0] != "1" {
		t.Errorf("defaults %q, want those of the copy", got)
	}
}

func loadRefusesWhatIsNotEmpty(t *testing.T, place string) {
	db := Open(t, place, Notes)
	must(t, write(t, db, "INSERT INTO notes (id, body) VALUES ('a', 'b')"))
	err := catalog.Load(t.Context(), place, strings.NewReader(dump(t, db)), Notes)
	if !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("err %v, want a conflict with a hint", err)
	}
	if n := count(t, db.Read()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func loadRefusesANewerCopy(t *testing.T, place string) {
	more := Schema("00110_more.sql", "CREATE TABLE more (id TEXT PRIMARY KEY);")
	copied := dump(t, Open(t, elsewhere(t), Notes, more))
	for name, text := range map[string]string{"migration": copied, "format": strings.Replace(copied, `"format":1`, `"format":2`, 1)} {
		if err := catalog.Load(t.Context(), place, strings.NewReader(text), Notes); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%s: err %v, want invalid with a hint", name, err)
		}
	}
	must(t, catalog.Load(t.Context(), place, strings.NewReader(copied), Notes, more))
}

func loadIsAllOrNothing(t *testing.T, place string) {
	from := Open(t, elsewhere(t), Notes)
	for i := range 5 {
		must(t, write(t, from, "INSERT INTO notes (id, body) VALUES ($1, 'b')", fmt.Sprint(i)))
	}
	sound := dump(t, from)
	lines := strings.SplitAfter(sound, "\n")
	for name, text := range map[string]string{
		"empty":           "",
		"not a copy":      "hello\n",
		"cut in a line":   sound[:len(sound)/2],
		"cut at a line":   strings.Join(lines[:4], ""),
		"a row is gone":   lines[0] + lines[1] + strings.Join(lines[3:], ""),
		"a row twice":     lines[0] + lines[1] + lines[2] + lines[2] + strings.Join(lines[4:], ""),
		"a value is gone": strings.Replace(sound, `"b",0]`, `"b"]`, 1),
		"a strange value": strings.Replace(sound, `"b",0]`, `"b",true]`, 1),
		"a strange cell":  strings.Replace(sound, `"b",0]`, `"b",{"x":"y"}]`, 1),
		"a fraction":      strings.Replace(sound, `"b",0]`, `"b",0.5]`, 1),
		"unknown table":   strings.Replace(sound, `"table":"notes"`, `"table":"nodes"`, 1),
		"injection":       strings.Replace(sound, `"body"`, `"body) SELECT 1; --"`, 1),
		"NULL":            strings.Replace(sound, `"b",0]`, `null,0]`, 1),
	} {
		if err := catalog.Load(t.Context(), place, strings.NewReader(text), Notes); err == nil {
			t.Fatalf("%s was loaded", name)
		}
	}
	must(t, catalog.Load(t.Context(), place, strings.NewReader(sound), Notes))
	if n := count(t, Open(t, place, Notes).Read()); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

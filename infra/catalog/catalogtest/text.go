package catalogtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// kept is a row with everything that a catalog can keep; the pointers are NULL when nil.
type kept struct {
	words    *string
	whole    *int64
	flag     any
	fraction *float64
	bytes    []byte
}

func some[T any](v T) *T { return &v }

// rich are rows at the edges of what can be kept.
var rich = map[string]kept{
	"null":     {},
	"empty":    {words: some(""), whole: some(int64(0)), flag: 0, fraction: some(0.0), bytes: []byte{}},
	"least":    {words: some("\x01\t\r\n'\"\\\x7f"), whole: some(int64(math.MinInt64)), flag: math.MinInt32, fraction: some(-math.MaxFloat64), bytes: []byte{0}},
	"most":     {words: some("\U0010ffff\uffff\u2028"), whole: some(int64(math.MaxInt64)), flag: math.MaxInt32, fraction: some(math.MaxFloat64), bytes: []byte{255, 0, 255}},
	"small":    {words: some("Ünïcödé 漢字 👩‍🔬 e\u0301"), fraction: some(math.SmallestNonzeroFloat64)},
	"third":    {words: some(`{"a": "\u0000", "b": [1, 2.5e300]}`), fraction: some(1.0 / 3)},
	"integer":  {words: some("12"), fraction: some(1e15)},
	"infinite": {words: some("Infinity"), fraction: some(math.Inf(-1)), flag: true},
	"false":    {words: some("NULL"), flag: false, bytes: bytes.Repeat([]byte{0, 1, 2, 255}, 1<<18)},
	"big":      {words: some(strings.Repeat("a long text; ", 400_000))},
}

func insertRich(t *testing.T, db *catalog.DB) {
	t.Helper()
	for id, v := range rich {
		var b any
		if v.bytes != nil {
			b = v.bytes
		}
		must(t, write(t, db, "INSERT INTO kept (id, words, whole, flag, fraction, bytes) VALUES ($1, $2, $3, $4, $5, $6)",
			id, v.words, v.whole, v.flag, v.fraction, b))
	}
}

func checkRich(t *testing.T, db *catalog.DB) {
	t.Helper()
	var n int
	must(t, db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM kept").Scan(&n))
	if n != len(rich) {
		t.Errorf("%d rows, want %d", n, len(rich))
	}
	for id, want := range rich {
		var got kept
		var flag sql.NullInt64
		err := db.Read().QueryRowContext(t.Context(), "SELECT words, whole, flag, fraction, bytes FROM kept WHERE id = $1", id).
			Scan(&got.words, &got.whole, &flag, &got.fraction, &got.bytes)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if !same(got.words, want.words) || !same(got.whole, want.whole) || !same(got.fraction, want.fraction) {
			t.Errorf("%s: got %.60v, want %.60v", id, show(got), show(want))
		}
		if (got.bytes == nil) != (want.bytes == nil) || !bytes.Equal(got.bytes, want.bytes) {
			t.Errorf("%s: %d bytes came back as %d", id, len(want.bytes), len(got.bytes))
		}
		wanted := map[any]int64{true: 1, false: 0, 0: 0, math.MinInt32: math.MinInt32, math.MaxInt32: math.MaxInt32}
		if flag.Valid != (want.flag != nil) || flag.Int64 != wanted[want.flag] {
			t.Errorf("%s: flag %v came back as %v", id, want.flag, flag)
		}
	}
}

func same[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func show(v kept) string {
	text := func(p any) string {
		switch p := p.(type) {
		case *string:
			if p != nil {
				return fmt.Sprintf("%.40q", *p)
			}
		case *int64:
			if p != nil {
				return fmt.Sprint(*p)
			}
		case *float64:
			if p != nil {
				return fmt.Sprint(*p)
			}
		}
		return "NULL"
	}
	return text(v.words) + " " + text(v.whole) + " " + text(v.fraction)
}

func keepsValues(t *testing.T, place string) {
	db := Open(t, place, values)
	insertRich(t, db)
	checkRich(t, db)
	must(t, write(t, db, "INSERT INTO kept (id, fraction) VALUES ($1, $2)", "nan", math.NaN()))
	var null bool
	must(t, db.Read().QueryRowContext(t.Context(), "SELECT fraction IS NULL FROM kept WHERE id = 'nan'").Scan(&null))
	if !null {
		t.Error("NaN is not kept as NULL")
	}
}

func refusesUnkeepableText(t *testing.T, place string) {
	db := Open(t, place, Notes)
	for name, text := range map[string]string{"zero byte": "a\x00b", "only a zero byte": "\x00", "not UTF-8": "a\xff", "half a rune": "\xc3",
		"surrogate": "\xed\xa0\x80"} {
		if err := write(t, db, "INSERT INTO notes (id, body) VALUES ($1, $2)", name, text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: err %v, want invalid", name, err)
		}
		err := db.Read().QueryRowContext(t.Context(), "SELECT id FROM notes WHERE id = $1", text).Scan(new(string))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("reading by %s: err %v, want invalid", name, err)
		}
	}
	if n := count(t, db.Read()); n != 0 {
		t.Errorf("%d rows, want 0", n)
	}
}

// unordered would be ordered otherwise by every language: a, A, ä, b, Z.
var unordered = []string{"b", "a", "Z", "A", "ä", "a b", "a-b", "a.b", "aB", "ab", "_", "~", "10", "9", "", "漢", "\U0001f600", "\uffff"}

func comparesTextByBytes(t *testing.T, place string) {
	db := Open(t, place, Notes)
	for _, id := range unordered {
		must(t, write(t, db, "INSERT INTO notes (id, body) VALUES ($1, $1)", id))
	}
	want := slices.Sorted(slices.Values(unordered))
	for _, column := range []string{"id", "body"} { // with an index and without
		if got := texts(t, db, "SELECT "+column+" FROM notes ORDER BY "+column); !slices.Equal(got, want) {
			t.Errorf("order of %s: %q, want %q", column, got, want)
		}
		got := texts(t, db, "SELECT "+column+" FROM notes WHERE "+column+" >= $1 AND "+column+" < $2 ORDER BY "+column, "a", "b")
		if want := []string{"a", "a b", "a-b", "a.b", "aB", "ab"}; !slices.Equal(got, want) {
			t.Errorf("range of %s: %q, want %q", column, got, want)
		}
	}
	if got := texts(t, db, "SELECT max(body) FROM notes"); got[0] != "\U0001f600" {
		t.Errorf("greatest %q", got)
	}
}

func heedsCaseInLike(t *testing.T, place string) {
	db := Open(t, place, Notes)
	for _, id := range []string{"Model_a", "model_a", "modelxa", "MODEL_Ä", `100%`, `1000`} {
		must(t, write(t, db, "INSERT INTO notes (id, body) VALUES ($1, $1)", id))
	}
	for _, test := range []struct {
		where, pattern string
		want           []string
	}{
		{`body LIKE $1 ESCAPE '\'`, `model\_%`, []string{"model_a"}},
		{`body LIKE $1 ESCAPE '\'`, `model_a`, []string{"model_a", "modelxa"}},
		{`body LIKE $1 ESCAPE '\'`, `100\%`, []string{"100%"}},
		{`lower(body) LIKE lower($1) ESCAPE '\'`, `MODEL\_a`, []string{"Model_a", "model_a"}},
	} {
		if got := texts(t, db, "SELECT body FROM notes WHERE "+test.where+" ORDER BY body", test.pattern); !slices.Equal(got, test.want) {
			t.Errorf("%s with %q: %q, want %q", test.where, test.pattern, got, test.want)
		}
	}
	if got := texts(t, db, "SELECT lower(body) FROM notes WHERE id = $1", "MODEL_Ä"); got[0] != "model_Ä" {
		t.Errorf("lower() folds beyond A to Z: %q", got)
	}
}

func texts(t *testing.T, db *catalog.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), query, args...)
	must(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		must(t, rows.Scan(&s))
		all = append(all, s)
	}
	must(t, rows.Err())
	return all
}

func upsertsAndReturns(t *testing.T, place string) {
	db := Open(t, place, Notes)
	for want := int64(1); want <= 3; want++ {
		var got int64
		must(t, db.Write(t.Context(), func(tx *catalog.Tx) error {
			return tx.QueryRowContext(t.Context(), `INSERT INTO notes (id, body, n) VALUES ($1, $2, 1)
				ON CONFLICT (workspace_id, id) DO UPDATE SET n = notes.n + excluded.n, body = excluded.body RETURNING n`, "a", "b").Scan(&got)
		}))
		if got != want {
			t.Errorf("n %d, want %d", got, want)
		}
	}
	result, err := sql.Result(nil), error(nil)
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error {
		result, err = tx.ExecContext(t.Context(), "UPDATE notes SET n = 0 WHERE n = $1", 3)
		return err
	}))
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Errorf("%d rows affected, %v", n, err)
	}
}

func canceledReadEnds(t *testing.T, place string) {
	db := Open(t, place, Notes)
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-started
		cancel()
	})
	close(started)
	var n int64
	err := db.Read().QueryRowContext(ctx, `WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000000000)
		SELECT count(*) FROM c`).Scan(&n)
	wg.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want context.Canceled", err)
	}
	if n := count(t, db.Read()); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func migratesOnceAndLater(t *testing.T, place string) {
	early := Schema("00050_early.sql", "CREATE TABLE early (id TEXT PRIMARY KEY);")
	more := Schema("00110_more.sql", "ALTER TABLE notes ADD COLUMN tag TEXT NOT NULL DEFAULT 'x';\nCREATE INDEX notes_by_tag ON notes (workspace_id, tag);")
	for i, schemas := range [][]fs.FS{
		{Notes},
		{Notes, early, more}, // a lower number that joins later
		{Notes, early, more}, // nothing to do
	} {
		db, err := catalog.Open(t.Context(), place, schemas...)
		must(t, err)
		must(t, db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, fmt.Sprint(i)) }))
		if i > 0 {
			if got := texts(t, db, "SELECT tag FROM notes"); len(got) != i+1 || got[0] != "x" {
				t.Errorf("tags %q", got)
			}
			must(t, write(t, db, "INSERT INTO early (id) VALUES ($1)", fmt.Sprint(i)))
		}
		must(t, db.Close())
	}
}

func aFailedMigrationIsUndone(t *testing.T, place string) {
	bad := Schema("00110_bad.sql", "CREATE TABLE half (id TEXT PRIMARY KEY);\nCREATE TABEL other (id TEXT);")
	if db, err := catalog.Open(t.Context(), place, Notes, bad); err == nil || !strings.Contains(err.Error(), "apply migrations") {
		t.Fatalf("db %v, err %v", db, err)
	}
	good := Schema("00110_bad.sql", "CREATE TABLE half (id TEXT PRIMARY KEY);")
	db := Open(t, place, Notes, good)
	must(t, write(t, db, "INSERT INTO half (id) VALUES ('a')"))
}

func manyMayOpenAtOnce(t *testing.T, place string) {
	schemas := []fs.FS{Notes}
	for i := range 10 {
		schemas = append(schemas, Schema(fmt.Sprintf("%05d_more.sql", 200+i),
			fmt.Sprintf("CREATE TABLE more_%d (id TEXT PRIMARY KEY);\nINSERT INTO more_%d (id) VALUES ('once');", i, i)))
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := catalog.Open(t.Context(), place, schemas...)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, fmt.Sprint(i)) }); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, Open(t, place, schemas...).Read()); n != 8 {
		t.Errorf("%d rows, want 8", n)
	}
}

func checksWhatIsSound(t *testing.T, place string) {
	db := Open(t, place, Notes)
	must(t, db.Write(t.Context(), func(tx *catalog.Tx) error { return insert(t.Context(), tx, "a") }))
	must(t, db.Check(t.Context()))
	must(t, catalog.Inspect(t.Context(), place))
}

// Package catalog is the small-row store of the platform: one SQLite file or one schema of a PostgreSQL database, with
// one writing connection, a pool of readers, and the migrations of every package that keeps rows in it.
//
// It owns the store, its connections and the order of migrations. It must never know a table: each lifecycle package
// brings its own `schema/NNNNN_name.sql` and its own queries.
//
// # One text for both dialects
//
// Statements and migrations are written once. What that asks of them:
//
//   - Every table starts its keys with workspace_id. Times are BIGINT microseconds UTC, documents TEXT with JSON, truth
//     values INTEGER 0 or 1, fractions DOUBLE PRECISION, bytes BYTEA (SQLite keeps them as they are too), and there are
//     no other types: REAL has half the digits on PostgreSQL, INTEGER 32 bits.
//   - Parameters are written $1, $2, … and must first appear in that order: SQLite numbers them by appearance.
//     There are at most 32,000 of them in one statement.
//   - Text compares and sorts by its bytes. SQLite does so by itself; on PostgreSQL the migrations' TEXT becomes TEXT
//     COLLATE "C". So a range of a prefix is an index range in both. LIKE heeds case in both; an escape character must be
//     named (ESCAPE '\'), and lower() folds A to Z only.
//   - ORDER BY of a column that may be NULL says NULLS FIRST or NULLS LAST: the dialects differ in what they do unasked.
//   - Text is UTF-8 without zero bytes. Anything else is refused as fault.Invalid before it reaches the store, because
//     PostgreSQL cannot keep it. NaN is kept as NULL, because SQLite cannot keep it.
//   - Neither JSON functions, rowid, AUTOINCREMENT, REFERENCES, INSERT OR …, nor scalar max(a, b).
//   - A transaction in which a statement failed cannot be committed, whatever the function does afterwards: PostgreSQL
//     has given it up. Look before, or say ON CONFLICT.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"
)

// Workspace is the one workspace there is until governance brings more; it is the first column of every key.
const Workspace = "default"

// busyTimeout is how long a writer waits for another process before it reports that the catalog is held.
const busyTimeout = 10 * time.Second

// DB is an open catalog. It is safe for concurrent use.
type DB struct {
	dialect dialect
	write   *sql.DB
	read    *sql.DB
}

// dialect is what differs between the stores.
type dialect interface {
	// name is the store for people: a path, or an address without its password.
	name() string
	// migrate applies what is missing, alone among all processes.
	migrate(ctx context.Context, migrations merged) error
	// open opens the one writing connection, or one that can only read; the pool is sized by the caller.
	open(writing bool) *sql.DB
	// check reads everything and reports damage as fault.Corrupt.
	check(ctx context.Context, db *sql.DB) error
	// tables lists the tables of the packages, sorted.
	tables(ctx context.Context, q Querier) ([]string, error)
	// vacant refuses a place that is in use: fault.Conflict.
	vacant(ctx context.Context) error
	// clear takes away what migrate made at a place that was vacant.
	clear(ctx context.Context) error
	// alone keeps other servers away until release is called.
	alone(ctx context.Context, lost func(error)) (release func() error, err error)
}

// Open opens or creates the catalog at a place, which is a path or a postgres:// URL, and applies the migrations found
// in schemas that it does not have yet. Each schema holds files NNNNN_name.sql, at its root or in a folder "schema"; two
// files with one number are an error. Any number of processes may open one catalog at once, also while others use it:
// migrations are applied by one of them, under a lock, and the others wait.
//
// On PostgreSQL the tables live in the first schema of the search path (`?search_path=name` in the URL), which must
// exist, in a database with the encoding UTF8.
//
// Commits are durable when Write returns, because a catalog row acknowledges things (a version, a route, a job) that a
// power cut must not take back.
func Open(ctx context.Context, place string, schemas ...fs.FS) (*DB, error) {
	migrations, err := merge(schemas)
	if err != nil {
		return nil, err
	}
	d, err := dialectOf(ctx, place)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, migrations); err != nil {
		return nil, wrap(err, "open the catalog %s", d.name())
	}
	db := &DB{dialect: d, write: d.open(true), read: d.open(false)}
	db.write.SetMaxOpenConns(1)
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	return db, nil
}

// dialectOf prepares a store, as far as that is needed to speak with it.
func dialectOf(ctx context.Context, place string) (dialect, error) {
	if IsURL(place) {
		return newPostgres(ctx, place)
	}
	return newSQLite(place)
}

// IsURL reports whether a place is an address of PostgreSQL and not a path.
func IsURL(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// Place is where the catalog is, for people: the path of the file, or the address without its password.
func (d *DB) Place() string { return d.dialect.name() }

// Read is the pool of reading connections. They cannot write, and they see what was committed when a statement starts.
func (d *DB) Read() *sql.DB { return d.read }

// Alone keeps other servers away from the catalog until release is called: a second one is refused with fault.Conflict.
// Not everything that a server remembers or takes for its own (running jobs, traffic, the files beside the catalog) is
// shared among servers. A file of SQLite needs no help: whoever has its directory has it.
//
// The lock goes with its connection. When PostgreSQL is restarted it is taken again as soon as that is possible, and lost
// hears why it is not held meanwhile.
func (d *DB) Alone(ctx context.Context, lost func(error)) (release func() error, err error) {
	return d.dialect.alone(ctx, lost)
}

// Close waits for running statements and closes every connection. SQLite folds its write-ahead log into the file.
func (d *DB) Close() error { return errors.Join(d.read.Close(), d.write.Close()) }

// Check reads the whole catalog and reports damage as fault.Corrupt.
func (d *DB) Check(ctx context.Context) error { return d.dialect.check(ctx, d.read) }

// Inspect checks the catalog at a place, which may be in use by another process, without changing it.
func Inspect(ctx context.Context, place string) (err error) {
	d, err := dialectOf(ctx, place)
	if err != nil {
		return err
	}
	db := d.open(false)
	defer func() { err = errors.Join(err, db.Close()) }()
	return d.check(ctx, db)
}

// Querier reads, inside a transaction (*Tx) or outside of one (DB.Read()).
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a write transaction. It belongs to the function it was given to and must not outlive it.
type Tx struct {
	tx     *sql.Tx
	hooks  []func()
	failed error // of the first statement that failed
}

// ExecContext runs a statement that returns no rows.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := t.tx.ExecContext(ctx, query, args...)
	t.note(err)
	return result, err
}

// QueryContext runs a statement that returns rows; they must be closed before the next statement.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := t.tx.QueryContext(ctx, query, args...)
	t.note(err)
	return rows, err
}

// QueryRowContext runs a statement that returns at most one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := t.tx.QueryRowContext(ctx, query, args...)
	t.note(row.Err())
	return row
}

func (t *Tx) note(err error) {
	if err != nil && t.failed == nil {
		t.failed = err
	}
}

// OnCommit has f run once after the transaction is durable, in the order of registration and before Write returns.
// When the transaction is rolled back f never runs. f may write to the catalog: the connection is free again.
func (t *Tx) OnCommit(f func()) { t.hooks = append(t.hooks, f) }

// Write runs fn in one transaction on the one writing connection: it commits when fn returns nil and rolls back when
// fn returns an error or panics. Keep fn short, and never call Write inside fn: it would wait for itself.
// An error of fn is returned as it is; errors of the database come wrapped as faults where a caller can act on them.
//
// There is one writer at a time, also among processes: SQLite locks the file, and on PostgreSQL every Write first takes
// an advisory lock of the schema. So what fn reads through tx stays true until it commits, and whatever an earlier Write
// committed, in any process, is seen. A writer that waits 10 s for another process gives up with fault.Unavailable.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	sqlTx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return wrap(err, "begin a transaction")
	}
	tx := &Tx{tx: sqlTx}
	committed := false
	defer func() {
		if !committed {
			// The reason for the rollback is what the caller hears of.
			_ = sqlTx.Rollback()
		}
	}()
	if err := fn(tx); err != nil {
		return wrap(err, "write to the catalog")
	}
	if tx.failed != nil {
		return fmt.Errorf("write to the catalog: nothing is written, because a statement failed: %w", tx.failed)
	}
	if err := sqlTx.Commit(); err != nil {
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err() // which rolled it back a moment before
		}
		return wrap(err, "commit to the catalog")
	}
	committed = true
	for _, hook := range tx.hooks {
		hook()
	}
	return nil
}

// Micros is the form in which the catalog keeps a time: microseconds since 1970, UTC; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of Micros.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

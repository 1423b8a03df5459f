// Package catalog is the small-row store of the platform: one SQLite file with one writing connection, a pool of
// readers, and the migrations of every package that keeps rows in it.
//
// It owns the file, its connections and the order of migrations. It must never know a table: each lifecycle package
// brings its own `schema/NNNNN_name.sql` and its own queries. SQL is limited to what SQLite and Postgres both take,
// every table starts its keys with workspace_id, times are INTEGER microseconds UTC and documents are TEXT JSON.
// Parameters are written $1, $2, … and must first appear in that order: SQLite numbers them by appearance.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers the driver "sqlite3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Workspace is the one workspace there is until governance brings more; it is the first column of every key.
const Workspace = "default"

// busyTimeout is how long a connection waits for another process or a checkpoint before it reports "locked".
const busyTimeout = 10 * time.Second

// DB is an open catalog. It is safe for concurrent use.
type DB struct {
	path  string
	write *sql.DB
	read  *sql.DB
}

// Open opens or creates the catalog at path and applies the migrations found in schemas that it does not have yet.
// Each schema holds files NNNNN_name.sql, at its root or in a folder "schema"; two files with one number are an error.
//
// Commits are durable when Write returns: the journal is a write-ahead log synced at every commit (synchronous=FULL),
// because a catalog row acknowledges things (a version, a route, a job) that a power cut must not take back.
func Open(ctx context.Context, path string, schemas ...fs.FS) (*DB, error) {
	migrations, err := merge(schemas)
	if err != nil {
		return nil, err
	}
	// SQLite would make the file readable for everyone; its log takes the mode of the file.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "open the catalog").WithHint("check that the state directory is writable")
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	if err := migrate(ctx, path, migrations); err != nil {
		return nil, wrap(err, "open the catalog %s", path)
	}
	write, err := sql.Open("sqlite3", dsn(path, url.Values{"_txlock": {"immediate"}, "_synchronous": {"FULL"}}))
	if err != nil {
		return nil, fmt.Errorf("open the catalog %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite3", dsn(path, url.Values{"_query_only": {"true"}, "_txlock": {"deferred"}}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalog %s: %w", path, err), write.Close())
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &DB{path: path, write: write, read: read}, nil
}

// dsn is the data source name of a connection to path with the settings that all connections share, and extra.
func dsn(path string, extra url.Values) string {
	extra.Set("_journal_mode", "WAL")
	extra.Set("_foreign_keys", "true")
	extra.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	extra.Set("_stmt_cache_size", "64")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: extra.Encode()}).String()
}

// Path is the file of the catalog.
func (d *DB) Path() string { return d.path }

// Read is the pool of reading connections. They cannot write, and they see what was committed when a statement starts.
func (d *DB) Read() *sql.DB { return d.read }

// Close waits for running statements and closes every connection. The write-ahead log is folded into the file.
func (d *DB) Close() error { return errors.Join(d.read.Close(), d.write.Close()) }

// Check reads the whole file and reports damage as fault.Corrupt.
func (d *DB) Check(ctx context.Context) error { return check(ctx, d.read, d.path) }

// Inspect checks the catalog at path, which may be in use by another process, without changing it.
func Inspect(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"_query_only": {"true"}, "mode": {"ro"}}))
	if err != nil {
		return fmt.Errorf("open the catalog %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return check(ctx, db, path)
}

func check(ctx context.Context, db *sql.DB, path string) error {
	rows, err := db.QueryContext(ctx, "PRAGMA quick_check")
	if err != nil {
		return wrap(err, "check the catalog %s", path)
	}
	defer rows.Close()
	for rows.Next() {
		var finding string
		if err := rows.Scan(&finding); err != nil {
			return wrap(err, "check the catalog %s", path)
		}
		if finding != "ok" {
			return corrupt(path, finding)
		}
	}
	return wrap(rows.Err(), "check the catalog %s", path)
}

// Querier reads, inside a transaction (*Tx) or outside of one (DB.Read()).
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a write transaction. It belongs to the function it was given to and must not outlive it.
type Tx struct {
	tx    *sql.Tx
	hooks []func()
}

// ExecContext runs a statement that returns no rows.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext runs a statement that returns rows; they must be closed before the next statement.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a statement that returns at most one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// OnCommit has f run once after the transaction is durable, in the order of registration and before Write returns.
// When the transaction is rolled back f never runs. f may write to the catalog: the connection is free again.
func (t *Tx) OnCommit(f func()) { t.hooks = append(t.hooks, f) }

// Write runs fn in one transaction on the one writing connection: it commits when fn returns nil and rolls back when
// fn returns an error or panics. Keep fn short, and never call Write inside fn: it would wait for itself.
// An error of fn is returned as it is; errors of the database come wrapped as faults where a caller can act on them.
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
	if err := sqlTx.Commit(); err != nil {
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

package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// sqlite is a catalog in one file.
type sqlite struct{ path string }

func newSQLite(path string) (dialect, error) { return sqlite{path: path}, nil }

func (s sqlite) name() string { return s.path }

// dsn is the data source name of a connection to path with the settings that all connections share, and extra.
// The journal is a write-ahead log, synced at every commit of the writing connection (synchronous=FULL).
func (s sqlite) dsn(extra url.Values) string {
	extra.Set("_journal_mode", "WAL")
	extra.Set("_foreign_keys", "true")
	extra.Set("_case_sensitive_like", "true")
	if !extra.Has("_busy_timeout") {
		extra.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	}
	extra.Set("_stmt_cache_size", "64")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: s.path}).EscapedPath(), RawQuery: extra.Encode()}).String()
}

func (s sqlite) connect(extra url.Values, begin func(context.Context, driver.Conn) (driver.Tx, error)) *sql.DB {
	dsn := s.dsn(extra)
	return sql.OpenDB(connector{
		connect: func(context.Context) (driver.Conn, error) { return (&sqlite3.SQLiteDriver{}).Open(dsn) },
		begin:   begin,
	})
}

func (s sqlite) open(writing bool) *sql.DB {
	if writing {
		return s.connect(url.Values{"_txlock": {"immediate"}, "_synchronous": {"FULL"}, "_busy_timeout": {"50"}}, beginSQLite)
	}
	return s.connect(url.Values{"_query_only": {"true"}, "_txlock": {"deferred"}}, nil)
}

// beginSQLite waits for the lock of the file in short steps: SQLite does not look at a context while it waits.
func beginSQLite(ctx context.Context, c driver.Conn) (driver.Tx, error) {
	for begun := time.Now(); ; {
		tx, err := c.(driver.ConnBeginTx).BeginTx(ctx, driver.TxOptions{})
		var lite sqlite3.Error
		if !errors.As(err, &lite) || lite.Code != sqlite3.ErrBusy || time.Since(begun) > busyTimeout {
			return tx, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// migrate makes the file and applies what is missing, while it holds a lock beside the file.
//
// It runs with synchronous=NORMAL: a power cut may then undo the last migrations but never tears one, the next start
// applies them again, and the first durable commit makes them durable too, being later in the same log.
func (s sqlite) migrate(ctx context.Context, migrations merged) (err error) {
	lock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := s.create(); err != nil {
		return err
	}
	db := s.connect(url.Values{"_txlock": {"immediate"}, "_synchronous": {"NORMAL"}}, nil)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	return up(ctx, goose.DialectSQLite3, db, migrations)
}

// lock waits until no other process, and nobody else in this one, prepares the file. SQLite's own locks do not do:
// turning on the write-ahead log and asking which migrations are there happen outside of a transaction.
func (s sqlite) lock(ctx context.Context) (*os.File, error) {
	file, err := os.OpenFile(s.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "open the catalog").WithHint("check that the state directory is writable")
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock the catalog: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-ticker.C:
		}
	}
}

// create makes an empty file that only its owner can read; SQLite would make it readable for everyone, and its log takes
// the mode of the file. A file that is there is not opened: closing it would drop the locks that SQLite holds on it for
// other connections of this process.
func (s sqlite) create() error {
	if _, err := os.Stat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "open the catalog").WithHint("check that the state directory is writable")
	}
	return file.Close()
}

func (s sqlite) check(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "PRAGMA quick_check")
	if err != nil {
		return wrap(err, "check the catalog %s", s.path)
	}
	defer rows.Close()
	for rows.Next() {
		var finding string
		if err := rows.Scan(&finding); err != nil {
			return wrap(err, "check the catalog %s", s.path)
		}
		if finding != "ok" {
			return corrupt(s.path, finding)
		}
	}
	return wrap(rows.Err(), "check the catalog %s", s.path)
}

func (s sqlite) tables(ctx context.Context, q Querier) ([]string, error) {
	return names(q.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND name <> 'goose_db_version' ORDER BY name`))
}

func (s sqlite) vacant(context.Context) error {
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, occupied(s.path))
	}
	return nil
}

func (s sqlite) clear(context.Context) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Remove(s.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s sqlite) alone(context.Context, func(error)) (func() error, error) {
	return func() error { return nil }, nil
}

// names reads and closes rows of one text each; it takes the results of a query call as they are.
func names(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

package catalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// IsUnique reports whether err says that a row with this key exists already.
func IsUnique(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return p.Code == "23505"
	}
	var e sqlite3.Error
	return errors.As(err, &e) &&
		(e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}

const (
	freeSpace = "the disk is full: free some space, then try again"
	held      = "another process holds the catalog; try again"
	backup    = "restore the state directory from a backup"
)

// wrap gives a database error the code a caller can act on. Faults pass unchanged, and so does every other error:
// it belongs to the caller's own function.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what := func() string { return fmt.Sprintf(format, args...) }
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		if code, hint := ofSQLite(lite); code != "" {
			return fault.Wrap(err, code, "%s", what()).WithHint("%s", hint)
		}
		return fmt.Errorf("%s: %w", what(), err)
	}
	var p *pgconn.PgError
	if errors.As(err, &p) {
		if code, hint := ofPostgres(p.Code); code != "" {
			return fault.Wrap(discreet{err, p.Message + " (SQLSTATE " + p.Code + ")"}, code, "%s", what()).WithHint("%s", hint)
		}
		return fmt.Errorf("%s: %w", what(), err)
	}
	if lost(err) {
		return fault.Wrap(discreet{err, bare(err)}, fault.Unavailable, "%s", what()).WithHint("PostgreSQL does not answer: is it running, and is its address right?")
	}
	return err
}

// discreet is an error with a text for everybody: the driver's names the machine, the user and the database, and what
// is wrong with the catalog may be told to whoever calls the API.
type discreet struct {
	error
	text string
}

func (d discreet) Error() string { return d.text }
func (d discreet) Unwrap() error { return d.error }

// bare is why a connection failed, without with whom.
func bare(err error) string {
	var system syscall.Errno
	var network net.Error
	switch {
	case errors.As(err, &system):
		return system.Error()
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	return "the connection is lost"
}

// lost reports whether the connection to PostgreSQL failed or could not be made.
func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn)
}

// ofSQLite is the code and the next step for an error of SQLite; "" when a caller cannot act on it.
func ofSQLite(err sqlite3.Error) (fault.Code, string) {
	switch err.Code {
	case sqlite3.ErrFull:
		return fault.Unavailable, freeSpace
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrPerm:
		return fault.Unavailable, "check that the disk works and that the state directory is writable"
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fault.Unavailable, held
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return fault.Corrupt, backup
	}
	return "", ""
}

// ofPostgres is the same for a SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
func ofPostgres(state string) (fault.Code, string) {
	switch state {
	case "53100":
		return fault.Unavailable, freeSpace
	case "53300":
		return fault.Unavailable, "PostgreSQL has too many connections: raise its max_connections, or try again"
	case "40001", "40P01", "55P03":
		return fault.Unavailable, held
	case "25P03", "57P05":
		return fault.Unavailable, "PostgreSQL ended a transaction that had been idle; try again"
	case "28000", "28P01":
		return fault.Unavailable, "PostgreSQL refuses the user or the password: check --catalog or TRIMTAB_CATALOG"
	case "3D000":
		return fault.Unavailable, "make the database first, for example with createdb --encoding=UTF8"
	case "42501":
		return fault.Unavailable, "the user may not do this in PostgreSQL: it must own the schema, or have CREATE and USAGE on it"
	case "57014":
		return fault.Unavailable, "PostgreSQL stopped a statement that took longer than it allows"
	case "25006":
		return fault.Unavailable, "this PostgreSQL only reads, as a standby does: give the address of the primary"
	case "22021", "22P05":
		return fault.Invalid, "text in the catalog is UTF-8 without zero bytes"
	}
	switch state[:min(2, len(state))] {
	case "53":
		return fault.Unavailable, "PostgreSQL lacks memory or another resource; try again"
	case "08", "57":
		return fault.Unavailable, "PostgreSQL is starting, stopping or gone; try again"
	case "58":
		return fault.Unavailable, "check the disk and the log of PostgreSQL"
	case "XX":
		if state == "XX001" || state == "XX002" {
			return fault.Corrupt, backup
		}
	}
	return "", ""
}

func corrupt(place, finding string) error {
	return fault.New(fault.Corrupt, "the catalog %s is damaged: %s", place, finding).WithHint(backup)
}

func occupied(place string) error {
	return fault.New(fault.Conflict, "there is something at %s already", place).
		WithHint("choose an empty place: a path where no file is, or a schema without tables")
}

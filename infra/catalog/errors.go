package catalog

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// IsUnique reports whether err says that a row with this key exists already.
func IsUnique(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) &&
		(e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}

// wrap gives a database error the code a caller can act on. Faults pass unchanged, and so does every other error:
// it belongs to the caller's own function.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	what := fmt.Sprintf(format, args...)
	switch e.Code {
	case sqlite3.ErrFull:
		return fault.Wrap(err, fault.Unavailable, "%s", what).WithHint("the disk is full: free some space, then try again")
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrPerm:
		return fault.Wrap(err, fault.Unavailable, "%s", what).
			WithHint("check that the disk works and that the state directory is writable")
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fault.Wrap(err, fault.Unavailable, "%s", what).WithHint("another process holds the catalog; try again")
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return fault.Wrap(err, fault.Corrupt, "%s", what).WithHint("restore the state directory from a backup")
	}
	return fmt.Errorf("%s: %w", what, err)
}

func corrupt(path, finding string) error {
	return fault.New(fault.Corrupt, "the catalog %s is damaged: %s", path, finding).
		WithHint("restore the state directory from a backup")
}

package server

import (
	"context"
	"io"

	"github.com/trimtab-ml/trimtab/infra/backup"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// unsaved are the names in the state directory that say who uses it now, and where.
var unsaved = []string{"lock", InfoFile, catalogAddress}

// snapshots gives the function that copies everything a server on dir keeps.
func snapshots(cfg Config, db *catalog.DB, points *series.Store) func(ctx context.Context) (*backup.Snapshot, error) {
	return func(ctx context.Context) (*backup.Snapshot, error) {
		return backup.Take(ctx, backup.Source{Dir: cfg.Dir, Catalog: db, Version: cfg.Version, Skip: unsaved,
			Folders: []backup.Folder{{Path: "series", Copy: points.Backup}}})
	}
}

// Restore makes a state directory, with its catalog in it or at the address of a PostgreSQL, of a backup. Neither may
// have anything in it.
func Restore(ctx context.Context, r io.Reader, dir, address string) (backup.Head, error) {
	if address != "" && !catalog.IsURL(address) {
		return backup.Head{}, fault.New(fault.Invalid, "the catalog %q is not an address of PostgreSQL", catalog.Redact(address)).
			WithHint("write postgres://user:password@host/database, or nothing for a file in the state directory")
	}
	head, err := backup.Restore(ctx, r, backup.Target{Dir: dir, Place: address, Schemas: schemas})
	if err != nil {
		return head, err
	}
	return head, rememberCatalog(dir, address)
}

package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"sort"
	"strconv"

	"github.com/pressly/goose/v3"
)

var migrationName = regexp.MustCompile(`^(\d+)_[a-z0-9_]+\.sql$`)

// merged shows the migration files of several file systems as one folder.
type merged map[string]source

type source struct {
	fs   fs.FS
	path string
}

// Open gives a migration file by its base name.
func (m merged) Open(name string) (fs.File, error) {
	s, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return s.fs.Open(s.path)
}

// Glob lists the files in order; goose asks for every *.sql.
func (m merged) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range m {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

// merge collects the migrations of all schemas and refuses a number that is used twice: two packages would then
// depend on which of them came first.
func merge(schemas []fs.FS) (merged, error) {
	all := merged{}
	owner := map[int64]string{}
	for _, schema := range schemas {
		for _, pattern := range []string{"*.sql", "schema/*.sql"} {
			files, err := fs.Glob(schema, pattern)
			if err != nil {
				return nil, fmt.Errorf("list migrations: %w", err)
			}
			for _, file := range files {
				name := path.Base(file)
				parts := migrationName.FindStringSubmatch(name)
				if parts == nil {
					return nil, fmt.Errorf("migration %s: the name must be NNNNN_name.sql", file)
				}
				version, err := strconv.ParseInt(parts[1], 10, 64)
				if err != nil {
					return nil, fmt.Errorf("migration %s: %w", file, err)
				}
				if other, taken := owner[version]; taken {
					return nil, fmt.Errorf("migrations %s and %s have the same number", other, name)
				}
				owner[version] = name
				all[name] = source{fs: schema, path: file}
			}
		}
	}
	return all, nil
}

// migrate applies what is missing, each file in its own transaction. A package that joins later has lower numbers
// than one that is there, so order of numbers is order of application only among what is missing.
//
// It runs with synchronous=NORMAL: a power cut may then undo the last migrations but never tears one, the next start
// applies them again, and the first durable commit makes them durable too, being later in the same log.
func migrate(ctx context.Context, path string, migrations merged) (err error) {
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"_txlock": {"immediate"}, "_synchronous": {"NORMAL"}}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	if len(migrations) == 0 {
		return nil
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations,
		goose.WithAllowOutofOrder(true), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}

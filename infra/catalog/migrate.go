package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

var migrationName = regexp.MustCompile(`^(\d+)_[a-z0-9_]+\.sql$`)

// merged shows the migration files of several file systems as one folder.
type merged map[string]source

type source struct {
	fs      fs.FS
	path    string
	collate bool // for PostgreSQL
}

// Open gives a migration file by its base name.
func (m merged) Open(name string) (fs.File, error) {
	s, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if !s.collate {
		return s.fs.Open(s.path)
	}
	script, err := fs.ReadFile(s.fs, s.path)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(s.fs, s.path)
	if err != nil {
		return nil, err
	}
	return collatedFile{Reader: strings.NewReader(collate(string(script))), info: info}, nil
}

// collatedFile is a migration as PostgreSQL is to see it.
type collatedFile struct {
	*strings.Reader
	info fs.FileInfo
}

func (f collatedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f collatedFile) Close() error               { return nil }

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

// only gives the migrations with these numbers, and the numbers that no migration has.
func (m merged) only(numbers []int64) (some merged, unknown []int64) {
	byNumber := map[int64]string{}
	for name := range m {
		number, err := strconv.ParseInt(migrationName.FindStringSubmatch(name)[1], 10, 64)
		if err == nil { // merge has seen to it
			byNumber[number] = name
		}
	}
	some = merged{}
	for _, number := range numbers {
		if name, ok := byNumber[number]; ok {
			some[name] = m[name]
		} else {
			unknown = append(unknown, number)
		}
	}
	return some, unknown
}

// columnText finds the type TEXT, and the casts to it, which cannot have a collation.
var columnText = regexp.MustCompile(`(?i)(\bAS\s+)?\bTEXT\b`)

// collated gives the migrations as PostgreSQL is to see them: text compares by its bytes, as it does in SQLite, whatever
// the language of the database is.
func (m merged) collated() merged {
	all := make(merged, len(m))
	for name, s := range m {
		s.collate = true
		all[name] = s
	}
	return all
}

// collate writes a collation behind every type TEXT outside of comments.
func collate(script string) string {
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		code, comment, commented := strings.Cut(line, "--")
		code = columnText.ReplaceAllStringFunc(code, func(found string) string {
			if len(found) > len("TEXT") {
				return found
			}
			return found + ` COLLATE "C"`
		})
		if commented {
			code += "--" + comment
		}
		lines[i] = code
	}
	return strings.Join(lines, "\n")
}

// up applies what is missing, each file in its own transaction. A package that joins later has lower numbers than one
// that is there, so order of numbers is order of application only among what is missing.
func up(ctx context.Context, dialect goose.Dialect, db *sql.DB, migrations merged) error {
	if len(migrations) == 0 {
		return nil
	}
	provider, err := goose.NewProvider(dialect, db, migrations,
		goose.WithAllowOutofOrder(true), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}

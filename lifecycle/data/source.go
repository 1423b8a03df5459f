package data

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The formats that are read.
const (
	csvFormat     = "csv"
	tsvFormat     = "tsv"
	jsonlFormat   = "jsonl"
	parquetFormat = "parquet"
)

// source is one file to read.
type source struct {
	path   string // where it is
	name   string // how people call it: relative to the project's folder
	format string
	size   int64
	hash   string // BLAKE3, set by digest

	// whole is set by digest: no byte of the file can be part of a number with a fraction, so what looks like whole numbers at the start is so to the end.
	whole bool
}

// resolve finds the files that the patterns mean, each once, in the order of the patterns and then of the names. Relative patterns start
// from dir and stay inside of it.
func resolve(dir string, patterns []string, format string) ([]source, error) {
	if len(patterns) == 0 {
		return nil, fault.New(fault.Invalid, "the dataset names no files").WithHint("add files: with a path or a glob")
	}
	var found []source
	seen := map[string]bool{}
	for _, pattern := range patterns {
		full := pattern
		if !filepath.IsAbs(pattern) {
			if !filepath.IsLocal(pattern) {
				return nil, fault.New(fault.Invalid, "the path %q leads out of the project's folder", pattern).
					WithHint("move the file beside trimtab.yaml, or write its absolute path")
			}
			full = filepath.Join(dir, pattern)
		}
		paths := []string{full}
		if _, err := os.Stat(full); errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(pattern, "*?[") {
			if paths, err = filepath.Glob(full); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "the pattern %q cannot be understood", pattern)
			}
			if len(paths) == 0 {
				return nil, fault.New(fault.NotFound, "no file matches %q", pattern).WithHint("patterns start from %s", dir)
			}
			slices.Sort(paths)
		}
		for _, path := range paths {
			if seen[path] {
				continue
			}
			seen[path] = true
			src, err := newSource(dir, path, format)
			if err != nil {
				return nil, err
			}
			found = append(found, src)
		}
	}
	return found, nil
}

func newSource(dir, path, format string) (source, error) {
	name := path
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		name = filepath.ToSlash(rel)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return source{}, fault.New(fault.NotFound, "there is no file %s", name).WithHint("paths start from %s", dir)
	case err != nil:
		return source{}, fault.Wrap(err, fault.Invalid, "the file %s cannot be read", name)
	case !info.Mode().IsRegular():
		return source{}, fault.New(fault.Invalid, "%s is not a file", name).WithHint("name the files in a folder with a pattern: %s/*.csv", name)
	case info.Size() == 0:
		return source{}, fault.New(fault.Invalid, "the file is empty").At(fault.Position{File: name, Line: 1}).
			WithHint("it has 0 bytes; was its export finished?")
	}
	if format == "" {
		if format, err = formatOf(name); err != nil {
			return source{}, err
		}
	}
	return source{path: path, name: name, format: format, size: info.Size()}, nil
}

// formatOf tells a file's format from the ending of its name.
func formatOf(name string) (string, error) {
	base := strings.ToLower(filepath.Base(name))
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".gz"), ".zst")
	switch filepath.Ext(base) {
	case ".csv", ".txt":
		return csvFormat, nil
	case ".tsv", ".tab":
		return tsvFormat, nil
	case ".jsonl", ".ndjson":
		return jsonlFormat, nil
	case ".parquet", ".pq":
		return parquetFormat, nil
	}
	return "", fault.New(fault.Invalid, "the format of %s cannot be told from its name", name).
		WithHint("set format: csv, tsv, jsonl or parquet")
}

// digest reads the file once and sets its hash.
func (f *source) digest(ctx context.Context) error {
	r, err := os.Open(f.path)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the file %s cannot be read", f.name)
	}
	defer r.Close()
	fractions := &fractionFinder{}
	f.hash, f.size, err = blob.Hash(ctx, io.TeeReader(r, fractions))
	f.whole = !fractions.found && !f.packed()
	return err
}

// fractionFinder looks for what a number with a fraction has: a point, or a negative exponent.
type fractionFinder struct {
	found bool
	last  byte
}

func (f *fractionFinder) Write(p []byte) (int, error) {
	if !f.found && len(p) > 0 {
		f.found = bytes.IndexByte(p, '.') >= 0 || bytes.Contains(p, []byte("e-")) || bytes.Contains(p, []byte("E-")) ||
			(f.last == 'e' || f.last == 'E') && p[0] == '-'
		f.last = p[len(p)-1]
	}
	return len(p), nil
}

func (f *source) packed() bool {
	name := strings.ToLower(f.path)
	return strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".zst")
}

// unchanged tells whether the file still has the size it had when it was digested; a file that grows while it is read is refused.
func (f *source) unchanged(ctx context.Context) error {
	info, err := os.Stat(f.path)
	if err == nil && info.Size() == f.size {
		return nil
	}
	return errors.Join(err, fault.New(fault.Conflict, "the file %s changed while it was read", f.name).WithHint("ingest it when its writer has finished"))
}

// prefix reads at most n bytes from the start of the file, for looking at what DuckDB cannot read.
func (f *source) prefix(n int64) ([]byte, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, n))
}

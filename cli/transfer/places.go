package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

const artifactScheme = "mlflow-artifacts:"

// Places finds the folders that artifact URIs name, as far as they can be read from here.
type Places struct {
	proxy *Server           // where mlflow-artifacts: leads to; nil = Dir
	dir   string            // the folder behind mlflow-artifacts:, "" = unknown
	bases []string          // what relative paths are relative to
	moved map[string]string // folders that are not where they say: as they are named, and where they are
}

// At gives the folder of a URI, or why it cannot be read.
func (p *Places) At(uri string) (Place, string) {
	scheme, rest, ok := strings.Cut(uri, ":")
	switch {
	case uri == "":
		return nil, "nothing says where they are"
	case ok && strings.EqualFold(scheme, "mlflow-artifacts"):
		rest = strings.TrimLeft(withoutHost(rest), "/")
		switch {
		case p.proxy != nil:
			return remote{p.proxy, rest}, ""
		case p.dir != "":
			return p.local(filepath.Join(p.dir, filepath.FromSlash(rest)))
		}
		return nil, "--artifacts must say where the MLflow server keeps them"
	case ok && (scheme == "http" || scheme == "https"):
		base, below, found := strings.Cut(uri, proxyAPI+"/")
		if !found {
			return nil, "they are at an address that is no MLflow server's"
		}
		s, err := NewServer(base)
		if err != nil {
			return nil, err.Error()
		}
		return remote{s, below}, ""
	}
	folder, ok := localPath(uri)
	if !ok {
		return nil, "they are in " + scheme + " storage, which is not read: they stay there"
	}
	return p.local(folder)
}

// withoutHost drops the host of //host/path.
func withoutHost(rest string) string {
	if below, ok := strings.CutPrefix(rest, "//"); ok && !strings.HasPrefix(below, "/") {
		_, below, _ = strings.Cut(below, "/")
		return below
	}
	return rest
}

// localPath is the path of file:///x, file:x, /x and x; false for other schemes.
func localPath(uri string) (string, bool) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || strings.Contains(scheme, "/") {
		return uri, true
	}
	if !strings.EqualFold(scheme, "file") {
		return "", false
	}
	rest = strings.TrimPrefix(rest, "//")
	if plain, err := url.PathUnescape(rest); err == nil {
		rest = plain
	}
	return rest, true
}

func (p *Places) local(folder string) (Place, string) {
	candidates := []string{folder}
	if !filepath.IsAbs(folder) {
		candidates = nil
		for _, base := range p.bases {
			candidates = append(candidates, filepath.Join(base, folder))
		}
	}
	for from, to := range p.moved {
		if rest, ok := strings.CutPrefix(folder, from); ok && (rest == "" || rest[0] == '/') {
			candidates = append(candidates, to+rest)
		}
	}
	for _, c := range candidates {
		if info, err := os.Stat(c); err == nil && info.IsDir() {
			return disk(c), ""
		}
	}
	// A run without files has no folder: it is empty when those around it are here.
	for _, c := range candidates {
		for range 3 {
			c = filepath.Dir(c)
			if info, err := os.Stat(c); err == nil && info.IsDir() && c != "/" && c != "." {
				return disk(""), ""
			}
		}
	}
	return nil, "the folder is not on this machine"
}

// disk is a folder here; "" is an empty one. Links that lead out of it are refused.
type disk string

// List walks the folder.
func (d disk) List(context.Context) ([]File, error) {
	if d == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	defer root.Close()
	var files []File
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := root.Stat(name)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "%s leads nowhere", name)
		}
		if !info.Mode().IsRegular() {
			return fault.New(fault.Invalid, "%s is not a plain file", name)
		}
		files = append(files, File{name, info.Size(), info.ModTime().UnixMilli()})
		return nil
	})
	return files, err
}

// Open opens one file.
func (d disk) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.OpenInRoot(string(d), filepath.FromSlash(name))
}

// remote is a folder behind the artifact proxy of a server.
type remote struct {
	s    *Server
	path string
}

func escape(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// List asks for folder after folder.
func (r remote) List(ctx context.Context) ([]File, error) {
	var files []File
	folders := []string{""}
	for len(folders) > 0 {
		folder := folders[0]
		folders = folders[1:]
		var answer struct {
			Files []struct {
				Path string  `json:"path"`
				Dir  bool    `json:"is_dir"`
				Size integer `json:"file_size"`
			} `json:"files"`
		}
		err := r.s.call(ctx, http.MethodGet, proxyAPI, url.Values{"path": {path.Join(r.path, folder)}}, &answer)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range answer.Files {
			below := path.Join(folder, path.Base(f.Path))
			if f.Dir {
				folders = append(folders, below)
				continue
			}
			files = append(files, File{Path: below, Size: int64(f.Size)})
		}
		if len(files)+len(folders) > 1_000_000 {
			return nil, errors.New("more than a million files below one folder")
		}
	}
	return files, nil
}

// Open reads one file.
func (r remote) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	res, err := r.s.do(ctx, http.MethodGet, proxyAPI+"/"+escape(path.Join(r.path, name)), nil, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

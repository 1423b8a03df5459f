package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Engines opens what does not run in this process: workers with Python or R, and ONNX Runtime.
type Engines interface {
	// Open starts an engine for one version and returns when it has loaded the model. fault.Unavailable says that the engine is not
	// installed, or cannot start now, with what to do; fault.Invalid and fault.FormatNotServed that the model is not for it. The predictor
	// may be Described.
	Open(ctx context.Context, w WorkerSpec) (predictor.Predictor, error)
}

// WorkerSpec is what a worker needs to know of a version.
type WorkerSpec struct {
	Engine       string            `json:"engine"` // EnginePython, EngineR or EngineONNXRuntime
	Kind         string            `json:"kind"`   // one of Kinds
	Model        string            `json:"-"`
	Version      int               `json:"-"`
	Dir          string            `json:"-"`                      // folder with the version's files, read-only, shared by its workers
	Path         string            `json:"path"`                   // in Dir: the file or folder to open; "" = Dir itself
	Python       string            `json:"python,omitempty"`       // interpreter; "" = an environment made of Requirements, or the default one
	Requirements string            `json:"requirements,omitempty"` // in Dir: what the environment is made of; "" = nothing is said
	Flavor       string            `json:"flavor,omitempty"`       // of MLmodel
	Data         string            `json:"data,omitempty"`         // in Dir: the flavour's file
	Inputs       []predictor.Field `json:"inputs,omitempty"`       // of MLmodel's signature, for models that do not describe themselves
	Outputs      []predictor.Field `json:"outputs,omitempty"`
	Timeout      time.Duration     `json:"timeout,omitempty"` // for loading; 0 = the engine's own
}

// linger is how long an engine that nobody uses stays open: a version that was examined is often deployed next.
const linger = time.Minute

// engines keeps those that are open, so that a version has its processes once, however often its package is loaded.
type engines struct {
	mu     sync.Mutex
	open   map[string]*engine
	closed bool
}

type engine struct {
	predictor.Predictor
	ready  chan struct{} // closed when Predictor or err is set
	err    error
	users  int
	timer  *time.Timer
	digest string
}

// settled is how old a folder is before it is removed.
const settled = 15 * time.Minute

// acquire gives the engine of a spec, opening it when it is not open. The caller releases it.
func (s *Service) acquire(ctx context.Context, digest string, w WorkerSpec) (*engine, func(), error) {
	doc, err := json.Marshal(w)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the spec of a worker: %w", err)
	}
	sum := blake3.Sum256(append(doc, digest...))
	key := string(sum[:])
	p := &s.pool
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, fault.New(fault.Unavailable, "the server stops")
	}
	e, there := p.open[key]
	if !there {
		e = &engine{ready: make(chan struct{}), digest: digest}
		p.open[key] = e
	}
	e.users++
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	p.mu.Unlock()
	if !there {
		e.Predictor, e.err = s.engines.Open(ctx, w)
		close(e.ready)
	}
	var once sync.Once
	release := func() { once.Do(func() { p.release(key, e) }) }
	select {
	case <-e.ready:
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
	if e.err != nil {
		release()
		return nil, nil, e.err
	}
	return e, release, nil
}

func (p *engines) release(key string, e *engine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.users--; e.users > 0 || p.open[key] != e {
		return
	}
	select {
	case <-e.ready:
	default:
		return // who opens it releases it
	}
	if e.err != nil || p.closed {
		delete(p.open, key)
		if e.Predictor != nil {
			_ = e.Close() // nobody asked it for anything
		}
		return
	}
	e.timer = time.AfterFunc(linger, func() {
		p.mu.Lock()
		if e.users > 0 || p.open[key] != e {
			p.mu.Unlock()
			return
		}
		delete(p.open, key)
		p.mu.Unlock()
		_ = e.Close()
	})
}

// holds tells whether an engine uses the files of a digest.
func (p *engines) holds(digest string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.open {
		if e.digest == digest {
			return true
		}
	}
	return false
}

// Close ends the engines that nobody uses and makes the others end when they are released.
func (s *Service) Close() error {
	p := &s.pool
	p.mu.Lock()
	p.closed = true
	var idle []*engine
	for key, e := range p.open {
		if e.users == 0 {
			if e.timer != nil {
				e.timer.Stop()
			}
			delete(p.open, key)
			idle = append(idle, e)
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, e := range idle {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// pooled is a predictor of the pool: closing it gives it back.
type pooled struct {
	*engine
	release func()
}

func (p *pooled) Close() error {
	p.release()
	return nil
}

// Classes implements Described.
func (p *pooled) Classes() []string {
	if d, ok := p.Predictor.(Described); ok {
		return d.Classes()
	}
	return nil
}

// Broken is why its processes are no longer started; "" when it works.
func (p *pooled) Broken() string {
	if b, ok := p.Predictor.(interface{ Broken() string }); ok {
		return b.Broken()
	}
	return ""
}

// Status implements predictor.Reporter.
func (p *pooled) Status() predictor.Status {
	if r, ok := p.Predictor.(predictor.Reporter); ok {
		return r.Status()
	}
	return predictor.Status{}
}

// layOut makes the folder of a version's files, read-only, and gives its path. It is named by the digest of the files, made whole or not at
// all, and shared by all versions with the same files.
func (s *Service) layOut(ctx context.Context, digest string, files []File) (string, error) {
	if s.folder == "" {
		return "", fault.New(fault.Unavailable, "this server has no folder for the files of workers")
	}
	if !blob.Valid(digest) {
		return "", fault.New(fault.Corrupt, "%.80q is no digest of files", digest)
	}
	s.laying.Lock()
	defer s.laying.Unlock()
	to := filepath.Join(s.folder, digest)
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of models: %w", err)
	}
	temp, err := os.MkdirTemp(s.folder, "unfinished-")
	if err != nil {
		return "", fmt.Errorf("make a folder for a version: %w", err)
	}
	defer removeAll(temp)
	for _, f := range files {
		if err := s.copyOut(ctx, f, temp); err != nil {
			return "", err
		}
	}
	err = filepath.WalkDir(temp, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != temp {
			err = os.Chmod(path, 0o555)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("protect the files of a version: %w", err)
	}
	if err := os.Rename(temp, to); err != nil {
		return "", fmt.Errorf("keep the files of a version: %w", err)
	}
	return to, os.Chmod(to, 0o555)
}

func (s *Service) copyOut(ctx context.Context, f File, dir string) error {
	if err := checkFileName(f.Path); err != nil {
		return fault.Wrap(err, fault.Corrupt, "the version names a file outside of its folder")
	}
	to := filepath.Join(dir, filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("make a folder for %s: %w", f.Path, err)
	}
	in, err := s.blobs.Open(ctx, f.Blob)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	return nil
}

// removeAll removes a folder whose folders may be read-only.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// Sweep removes the folders of files that no version has and no engine uses. It is called when the server starts and when versions go.
func (s *Service) Sweep(ctx context.Context) error {
	if s.folder == "" {
		return nil
	}
	s.laying.Lock()
	defer s.laying.Unlock()
	entries, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) || len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the folder of models: %w", err)
	}
	rows, err := s.db.Read().QueryContext(ctx, `SELECT DISTINCT digest FROM model_versions WHERE workspace_id = 'default' AND deleted = 0`)
	if err != nil {
		return fmt.Errorf("list the digests of versions: %w", err)
	}
	defer rows.Close()
	held := map[string]bool{}
	for rows.Next() {
		var digest string
		if err := rows.Scan(&digest); err != nil {
			return fmt.Errorf("list the digests of versions: %w", err)
		}
		held[digest] = true
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list the digests of versions: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		name := entry.Name()
		if info, err := entry.Info(); err != nil || time.Since(info.ModTime()) < settled {
			continue // somebody may be about to register it
		}
		if held[name] || s.pool.holds(name) || !blob.Valid(name) && !strings.HasPrefix(name, "unfinished-") {
			continue
		}
		errs = append(errs, removeAll(filepath.Join(s.folder, name)))
	}
	return errors.Join(errs...)
}

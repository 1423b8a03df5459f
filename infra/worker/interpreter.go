package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/infra/exec"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// askTime bounds asking an interpreter where it lives.
const askTime = 20 * time.Second

// interpreter is a program that runs workers.
type interpreter struct {
	language string   // python, r, node
	argv     []string // without the worker's program
	folders  []string // that it reads
	environ  map[string]string
	version  string
}

// whereabouts has a Python tell where it and its packages are.
const whereabouts = `import json, os, sys
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable, "folders": sorted({os.path.realpath(p) for p in
    [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable)), *sys.path] if p and os.path.exists(p)})}))
`

// python asks a Python where it is; the answer is kept.
func (m *Manager) python(ctx context.Context, path string) (*interpreter, error) {
	m.mu.Lock()
	known := m.interpreters[path]
	m.mu.Unlock()
	if known != nil {
		return known, nil
	}
	file, err := exec.Find(path, "", os.Environ())
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the interpreter of the model").WithHint("install Python 3.10 or newer, or name one that is there")
	}
	var out bytes.Buffer
	log := exec.NewLog(8 << 10)
	result, err := exec.Run(ctx, exec.Command{Argv: []string{file, "-I", "-c", whereabouts}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, Stdout: &out, Log: log, Timeout: askTime, Grace: time.Second})
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var told struct {
		Version    string
		Executable string // behind a shim, as pyenv has them, another one than was named
		Folders    []string
	}
	if result.Code != 0 || json.Unmarshal(out.Bytes(), &told) != nil || !filepath.IsAbs(told.Executable) {
		return nil, fault.New(fault.Unavailable, "%s does not answer as a Python does: %s", file, log.Last(3))
	}
	var major, minor int
	if n, _ := fmt.Sscanf(told.Version, "%d.%d", &major, &minor); n != 2 || major != 3 || minor < 10 {
		return nil, fault.New(fault.Unavailable, "%s is Python %s; workers need 3.10 or newer", file, told.Version)
	}
	in := &interpreter{language: "python", argv: []string{told.Executable, "-I", "-u"}, version: told.Version}
	for _, folder := range told.Folders {
		if folder != "/" {
			in.folders = append(in.folders, folder)
		}
	}
	in.folders = append(in.folders, links(told.Executable)...)
	m.mu.Lock()
	m.interpreters[path] = in
	m.mu.Unlock()
	return in, nil
}

// links is a program and the chain of symbolic links that leads to it, as far as folders go.
func links(file string) []string {
	out := []string{file}
	for range 10 {
		to, err := os.Readlink(file)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(file), to)
		}
		file = to
		out = append(out, file)
	}
	return out
}

// prepare finds or makes what the model runs in.
func (m *Manager) prepare(ctx context.Context, s *Spec) (*interpreter, error) {
	if s.Kind == R {
		return m.rscript(s.Env.Interpreter)
	}
	if s.Kind == ONNXRuntime && (s.Env == Env{}) {
		return m.onnxruntime(ctx)
	}
	if s.Env.Interpreter != "" {
		if filepath.Base(s.Env.Interpreter) == "node" {
			return m.node(s.Env.Interpreter)
		}
		return m.python(ctx, s.Env.Interpreter)
	}
	if s.Env.Requirements != "" {
		path, err := m.environment(ctx, s.Env)
		if err != nil {
			return nil, err
		}
		return m.python(ctx, path)
	}
	path := m.options.Python
	if path == "" {
		path = "python3"
	}
	return m.python(ctx, path)
}

// rscript finds R. Workers of R have pipes instead of a socket and no isolated mode: --vanilla reads no profile.
func (m *Manager) rscript(path string) (*interpreter, error) {
	if path == "" {
		path = "Rscript"
	}
	file, err := exec.Find(path, "", os.Environ())
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "R is needed for this model").WithHint("install R (Debian: r-base-core), or name an Rscript")
	}
	return &interpreter{language: "r", argv: []string{file, "--vanilla"}, folders: links(file)}, nil
}

func (m *Manager) node(path string) (*interpreter, error) {
	file, err := exec.Find(path, "", os.Environ())
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "Node.js is needed for this model")
	}
	return &interpreter{language: "node", argv: []string{file, "--max-old-space-size=512"}, folders: links(file)}, nil
}

// apart tells why workers get no namespaces of their own; nil when they do. It is tried once, with a launcher that only looks around.
func (m *Manager) apart() error {
	m.apartOnce.Do(func() {
		if _, err := probe(true); err != nil {
			m.apartErr = fmt.Errorf("the machine does not permit them: %w", err)
		}
	})
	return m.apartErr
}

// Rungs tells which measures of the sandbox this machine permits.
func (m *Manager) Rungs() ([]predictor.Rung, error) {
	apart := m.apart()
	rungs, err := probe(apart == nil)
	if err != nil {
		return nil, err
	}
	first := predictor.Rung{Name: rungNamespaces, Holds: apart == nil}
	if apart != nil {
		first.Reason = apart.Error()
	}
	return append([]predictor.Rung{{Name: rungGroup, Holds: true}, {Name: rungEnvironment, Holds: true}, first}, rungs...), nil
}

// probe has a launcher take all measures, tell which held, and end.
func probe(apart bool) ([]predictor.Rung, error) {
	text, err := json.Marshal(launch{Probe: true, Apart: apart, Memory: 8 << 30, Files: 1024, Processes: 256})
	if err != nil {
		return nil, err
	}
	self, err := selfPath()
	if err != nil {
		return nil, err
	}
	var out, errs bytes.Buffer
	cmd := &osexec.Cmd{Path: self, Args: []string{launcherName, string(text)}, Dir: "/", Env: []string{}, Stdout: &out, Stderr: &errs, SysProcAttr: attributes(apart)}
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			err = errors.New(text)
		}
		return nil, err
	}
	var rungs []predictor.Rung
	if err := json.Unmarshal(out.Bytes(), &rungs); err != nil {
		return nil, fmt.Errorf("the launcher answered %q: %w", out.String(), err)
	}
	return rungs, nil
}

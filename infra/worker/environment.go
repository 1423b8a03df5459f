package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/exec"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// buildTime bounds making an environment: what is large comes over the network.
const buildTime = 30 * time.Minute

// environment is the Python of an environment that has what the requirements say. It is made once, under the hash of them, by uv if
// there is one and else by venv and pip; a second one who asks waits for the first.
func (m *Manager) environment(ctx context.Context, e Env) (string, error) {
	text, err := os.ReadFile(e.Requirements)
	if err != nil {
		return "", fault.Wrap(err, fault.NotFound, "the requirements of the model")
	}
	kind := "requirements.txt"
	if filepath.Base(e.Requirements) == "uv.lock" {
		kind = "uv.lock"
		project, err := os.ReadFile(filepath.Join(filepath.Dir(e.Requirements), "pyproject.toml"))
		if err != nil {
			return "", fault.New(fault.Invalid, "beside %s there is no pyproject.toml", e.Requirements).WithHint("uv needs both files")
		}
		text = append(append(text, 0), project...)
	}
	base := "python3"
	if m.options.Python != "" {
		base = m.options.Python
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s", kind, e.Python, base, text))
	name := hex.EncodeToString(sum[:8])
	folder := filepath.Join(m.options.Dir, "env", name)
	python := filepath.Join(folder, "bin", "python")
	m.mu.Lock()
	one := m.building[name]
	if one == nil {
		one = &sync.Mutex{}
		m.building[name] = one
	}
	m.mu.Unlock()
	one.Lock()
	defer one.Unlock()
	if _, err := os.Stat(filepath.Join(folder, "complete")); err == nil {
		return python, nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	m.log.Info("make an environment for a model", "requirements", e.Requirements, "folder", folder)
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	if err := m.build(ctx, e, kind, base, folder); err != nil {
		_ = os.RemoveAll(folder) // else it is removed before the next try
		return "", err
	}
	return python, os.WriteFile(filepath.Join(folder, "complete"), []byte(e.Requirements+"\n"), 0o600)
}

// UV finds uv: in PATH, or beside a Python.
func UV(python string) (string, error) {
	if path, err := exec.Find("uv", "", os.Environ()); err == nil {
		return path, nil
	}
	if python != "" && filepath.IsAbs(python) {
		return exec.Find(filepath.Join(filepath.Dir(python), "uv"), "", os.Environ())
	}
	return "", fault.New(fault.NotFound, "uv is not installed").WithHint("install it, for example with `pipx install uv`")
}

func (m *Manager) build(ctx context.Context, e Env, kind, base, folder string) error {
	python := filepath.Join(folder, "bin", "python")
	uv, missing := UV(m.options.Python)
	if missing != nil {
		if kind == "uv.lock" || e.Python != "" {
			return fault.New(fault.Unavailable, "uv is not installed, and the environment of %s is made by it", e.Requirements).WithHint("install it, for example with `pipx install uv`; or name an interpreter instead")
		}
		if err := m.run(ctx, "", base, "-m", "venv", folder); err != nil {
			return err
		}
		return m.run(ctx, "", python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", "-r", e.Requirements)
	}
	if e.Python != "" {
		base = e.Python
	}
	if kind == "uv.lock" {
		return m.run(ctx, folder, uv, "sync", "--frozen", "--no-progress", "--compile-bytecode", "--no-dev", "--no-install-project", "--python", base, "--project", filepath.Dir(e.Requirements))
	}
	if err := m.run(ctx, "", uv, "venv", "--quiet", "--python", base, folder); err != nil {
		return err
	}
	return m.run(ctx, "", uv, "pip", "install", "--quiet", "--no-progress", "--compile-bytecode", "--python", python, "-r", e.Requirements)
}

// run runs an installer. What it says when it fails is what the user has to know.
func (m *Manager) run(ctx context.Context, project string, argv ...string) error {
	env := os.Environ()
	if project != "" {
		env = exec.With(env, map[string]string{"UV_PROJECT_ENVIRONMENT": project})
	}
	log := exec.NewLog(64 << 10)
	result, err := exec.Run(ctx, exec.Command{Argv: argv, Dir: m.options.Dir, Env: env, Log: log})
	if err != nil {
		return err
	}
	if result.End != exec.Exited {
		return fault.New(fault.Unavailable, "making the environment of the model did not end in time")
	}
	if result.Code != 0 {
		return fault.New(fault.Unavailable, "the environment of the model cannot be made: `%s` ended with %d:\n%s", strings.Join(argv, " "), result.Code, log.Last(15)).
			WithHint("try it by hand; or name an interpreter that has what the model needs")
	}
	return nil
}

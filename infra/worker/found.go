package worker

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/trimtab-ml/trimtab/infra/exec"
)

// Runtime is a program that workers need, or that makes their environments.
type Runtime struct {
	Name    string `json:"name"` // python, uv, Rscript, node, npm, onnxruntime
	Version string `json:"version,omitempty"`
	Path    string `json:"path,omitempty"`
	Missing string `json:"missing,omitempty"` // why there is none, or what it cannot
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// Found looks for all of them.
func (m *Manager) Found(ctx context.Context) []Runtime {
	path := m.options.Python
	if path == "" {
		path = "python3"
	}
	var out []Runtime
	python := Runtime{Name: "python"}
	if in, err := m.python(ctx, path); err != nil {
		python.Missing = err.Error()
	} else {
		python.Version, python.Path = in.version, in.argv[0]
	}
	out = append(out, python)
	uv := Runtime{Name: "uv"}
	if path, err := UV(python.Path); err != nil {
		uv.Missing = "environments are made by venv and pip"
	} else {
		uv.Path, uv.Version = path, version(ctx, path)
	}
	out = append(out, uv)
	for _, p := range []struct{ name, missing string }{{"Rscript", "models of R are not served"}, {"node", ""}, {"npm", ""}} {
		r := Runtime{Name: p.name}
		if path, err := exec.Find(p.name, "", os.Environ()); err != nil {
			r.Missing = p.missing
		} else {
			r.Path, r.Version = path, version(ctx, path)
		}
		out = append(out, r)
	}
	ort := Runtime{Name: "onnxruntime"}
	if in, err := m.onnxruntime(ctx); err != nil {
		ort.Missing = err.Error()
	} else {
		ort.Path = in.argv[0]
		if in.language == "node" {
			ort.Path = filepath.Join(m.onnxruntimeFolder(), "node")
		} else {
			ort.Version = version(ctx, in.argv[0], "-I", "-c", "import importlib.metadata as m; print(m.version('onnxruntime'))")
		}
	}
	return append(out, ort)
}

// version is the first number that a program prints; "" when it does not.
func version(ctx context.Context, path string, args ...string) string {
	if len(args) == 0 {
		args = []string{"--version"}
	}
	var out bytes.Buffer
	result, err := exec.Run(ctx, exec.Command{Argv: append([]string{path}, args...), Dir: "/", Env: os.Environ(), Stdout: &out, Stderr: &out, Timeout: askTime, Grace: time.Second})
	if err != nil || result.Code != 0 {
		return ""
	}
	return versionNumber.FindString(out.String())
}

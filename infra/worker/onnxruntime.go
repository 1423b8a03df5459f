package worker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trimtab-ml/trimtab/infra/exec"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The versions of ONNX Runtime that InstallONNXRuntime takes.
const (
	ONNXRuntimeWheel = "onnxruntime==1.31.1"
	ONNXRuntimeNode  = "onnxruntime-node@1.30.0"
)

// onnxruntimeFolder is where InstallONNXRuntime puts it.
func (m *Manager) onnxruntimeFolder() string { return filepath.Join(m.options.Dir, "onnxruntime") }

// onnxruntime is an interpreter that has ONNX Runtime: the installed one, else the default Python if it has it.
func (m *Manager) onnxruntime(ctx context.Context) (*interpreter, error) {
	folder := m.onnxruntimeFolder()
	if python := filepath.Join(folder, "python", "bin", "python"); isFile(filepath.Join(folder, "python", "complete")) {
		return m.python(ctx, python)
	}
	if isFile(filepath.Join(folder, "node", "complete")) {
		in, err := m.node("node")
		if err != nil {
			return nil, err
		}
		in.folders = append(in.folders, filepath.Join(folder, "node"))
		in.environ = map[string]string{"TRIMTAB_NODE_MODULES": filepath.Join(folder, "node")}
		return in, nil
	}
	path := m.options.Python
	if path == "" {
		path = "python3"
	}
	in, err := m.python(ctx, path)
	if err == nil && m.has(ctx, in, "onnxruntime") {
		return in, nil
	}
	return nil, fault.New(fault.Unavailable, "ONNX Runtime is not installed").WithHint("`trimtab runtime install onnxruntime`")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// has tells whether a Python can import a module.
func (m *Manager) has(ctx context.Context, in *interpreter, module string) bool {
	result, err := exec.Run(ctx, exec.Command{Argv: []string{in.argv[0], "-I", "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)", module},
		Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")}, Timeout: askTime})
	return err == nil && result.Code == 0
}

// InstallONNXRuntime puts ONNX Runtime into the manager's folder, for models that our own engine does not take: the wheel in an environment
// of its own, or, where there is no Python, the package of Node.js. It tells which.
func (m *Manager) InstallONNXRuntime(ctx context.Context) (string, error) {
	folder := m.onnxruntimeFolder()
	base := m.options.Python
	if base == "" {
		base = "python3"
	}
	_, noPython := m.python(ctx, base)
	if noPython == nil {
		target := filepath.Join(folder, "python")
		if err := os.RemoveAll(target); err != nil {
			return "", err
		}
		requirements := filepath.Join(folder, "requirements.txt")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(requirements, []byte(ONNXRuntimeWheel+"\nnumpy\n"), 0o600); err != nil {
			return "", err
		}
		if err := m.build(ctx, Env{Requirements: requirements}, "requirements.txt", base, target); err != nil {
			return "", err
		}
		m.mu.Lock()
		delete(m.interpreters, filepath.Join(target, "bin", "python"))
		m.mu.Unlock()
		return "the wheel " + ONNXRuntimeWheel, os.WriteFile(filepath.Join(target, "complete"), nil, 0o600)
	}
	if _, err := exec.Find("npm", "", os.Environ()); err != nil {
		if errors.Is(err, fs.ErrNotExist) || fault.Is(err, fault.NotFound) {
			return "", fault.Wrap(noPython, fault.Unavailable, "neither Python nor npm can install ONNX Runtime")
		}
		return "", err
	}
	target := filepath.Join(folder, "node")
	if err := os.RemoveAll(target); err != nil {
		return "", err
	}
	if err := os.MkdirAll(target, 0o700); err != nil {
		return "", err
	}
	// Without its scripts, which would fetch a library for CUDA.
	if err := m.run(ctx, "", "npm", "install", "--prefix", target, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", ONNXRuntimeNode); err != nil {
		return "", err
	}
	return "the package " + ONNXRuntimeNode, os.WriteFile(filepath.Join(target, "complete"), nil, 0o600)
}

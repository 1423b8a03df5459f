package exec

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// inspectTime bounds asking an interpreter what it has: it answers about the run and must not hold it up.
const inspectTime = 10 * time.Second

// Environment says where a program finds its interpreter and its packages: in the environment of a uv project, beside an
// interpreter, or, as the zero value, wherever PATH says.
type Environment struct {
	Project     string // folder of a uv.lock
	Interpreter string // absolute path of a Python
}

// ParseEnvironment reads "uv.lock" (or its folder, or a path of it), the path of an interpreter, the folder of a virtual
// environment, or "none" and "". Paths are relative to dir.
func ParseEnvironment(text, dir string) (Environment, error) {
	if text == "" || text == "none" {
		return Environment{}, nil
	}
	path := text
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return Environment{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Environment{}, fault.New(fault.Invalid, "the environment %s is not there", text).
			WithHint("name a uv.lock, a Python interpreter, the folder of a virtual environment, or none")
	}
	if info.IsDir() {
		if lock := filepath.Join(path, "uv.lock"); isFile(lock) {
			return Environment{Project: path}, nil
		}
		if python := filepath.Join(path, "bin", "python"); isFile(python) {
			return Environment{Interpreter: python}, nil
		}
		return Environment{}, fault.New(fault.Invalid, "the folder %s has no uv.lock and no bin/python", text).WithHint("`uv lock` writes a uv.lock")
	}
	if filepath.Base(path) == "uv.lock" {
		return Environment{Project: filepath.Dir(path)}, nil
	}
	if info.Mode()&0o111 == 0 {
		return Environment{}, fault.New(fault.Invalid, "the environment %s is not an interpreter", text).
			WithHint("name a uv.lock, a Python interpreter, the folder of a virtual environment, or none")
	}
	return Environment{Interpreter: path}, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// Prepared is an environment that is there: its variables, and its interpreter.
type Prepared struct {
	Env    []string
	Python string // absolute; "" when there is none
}

// Prepare makes the environment, when it is one of uv, and gives the variables to run with: base, with the environment first
// in PATH. What uv says goes to output. The program itself then runs without uv between, so that it ends when it is told to.
func (e Environment) Prepare(ctx context.Context, base []string, output io.Writer) (Prepared, error) {
	python := e.Interpreter
	if e.Project != "" {
		var err error
		if python, err = e.sync(ctx, base, output); err != nil {
			return Prepared{}, err
		}
	}
	if python == "" {
		for _, name := range []string{"python3", "python"} {
			if found, err := Find(name, "", base); err == nil {
				return Prepared{Env: base, Python: found}, nil
			}
		}
		return Prepared{Env: base}, nil
	}
	set := map[string]string{"PATH": filepath.Dir(python) + string(filepath.ListSeparator) + Lookup(base, "PATH")}
	if home := filepath.Dir(filepath.Dir(python)); isFile(filepath.Join(home, "pyvenv.cfg")) {
		set["VIRTUAL_ENV"] = home
	}
	return Prepared{Env: With(base, set), Python: python}, nil
}

// sync brings the environment of a uv project to what its lock says, changing neither, and gives its interpreter.
func (e Environment) sync(ctx context.Context, base []string, output io.Writer) (string, error) {
	if _, err := Find("uv", "", base); err != nil {
		return "", fault.New(fault.Unavailable, "uv is not installed, and the environment of %s is made by it", filepath.Join(e.Project, "uv.lock")).
			WithHint("install it, for example with `pipx install uv` or `pip install uv`; or name an interpreter instead")
	}
	log := NewLog(64 << 10)
	var answer bytes.Buffer
	result, err := Run(ctx, Command{Argv: []string{"uv", "run", "--frozen", "--no-progress", "--project", e.Project, "python", "-c", "import sys; print(sys.executable)"},
		Dir: e.Project, Env: base, Stdout: &answer, Stderr: output, Log: log})
	if err != nil {
		return "", err
	}
	if result.End != Exited {
		return "", ctx.Err()
	}
	python := strings.TrimSpace(answer.String())
	if result.Code != 0 || !filepath.IsAbs(python) {
		return "", fault.New(fault.Invalid, "uv could not make the environment of %s (exit code %d):\n%s", filepath.Join(e.Project, "uv.lock"), result.Code, log.Last(10)).
			WithHint("try it by hand: uv sync --frozen --project %s", e.Project)
	}
	return python, nil
}

// inspection prints the version of an interpreter and the packages it finds. It needs nothing but the standard library.
const inspection = `import importlib.metadata as m, platform
print(platform.python_version())
found = {}
for d in m.distributions():
    name = d.metadata["Name"]
    if name and name.lower() not in found:
        found[name.lower()] = f"{name}=={d.version}"
print("\n".join(found[k] for k in sorted(found)))
`

// Packages asks an interpreter for its version and for the packages it has, a line each, as pip freeze writes them.
func (p Prepared) Packages(ctx context.Context) (version, packages string, err error) {
	if p.Python == "" {
		return "", "", fault.New(fault.NotFound, "there is no Python in PATH")
	}
	var out bytes.Buffer
	// In the root folder, so that no file of the user's stands in for a module of the standard library.
	result, err := Run(ctx, Command{Argv: []string{p.Python, "-c", inspection}, Dir: "/", Env: p.Env, Stdout: &out, Timeout: inspectTime, Grace: time.Second})
	if err != nil {
		return "", "", err
	}
	if result.Code != 0 {
		return "", "", fmt.Errorf("%s does not tell its packages: it ended with %d", p.Python, result.Code)
	}
	version, packages, _ = strings.Cut(out.String(), "\n")
	return version, packages, nil
}

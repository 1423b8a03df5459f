package exec

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// kept keeps what was recorded.
type kept struct {
	mu      sync.Mutex
	tags    map[string]string
	files   map[string]string
	samples []Sample
}

func (k *kept) Tags(_ context.Context, tags map[string]string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.Copy(k.tags, tags)
	return nil
}

func (k *kept) File(_ context.Context, path string, content []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files[path] = string(content)
	return nil
}

func (k *kept) Sample(_ context.Context, s Sample, _ int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.samples = append(k.samples, s)
	return nil
}

// repository makes a Git repository with one commit and gives its folder.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"train.sh": "echo trained\n", ".gitignore": "ignored\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"git init -q -b main .", "git remote add origin https://me:secret@example.org/team/repo.git", "git add .",
		"git -c user.name=me -c user.email=me@example.org commit -q -m first"} {
		words, err := Split(line)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Run(t.Context(), Command{Argv: words, Dir: dir, Env: os.Environ()}); err != nil || r.Code != 0 {
			t.Skipf("%s: %v, %d", line, err, r.Code)
		}
	}
	return dir
}

func TestCode(t *testing.T) {
	dir := repository(t)
	clean := ReadCode(t.Context(), dir)
	if len(clean.Commit) != 40 || clean.Branch != "main" || clean.Repository != "https://example.org/team/repo.git" || clean.Dirty || clean.Note() != "" {
		t.Errorf("clean: %+v", clean)
	}
	big := strings.Repeat("echo a line that makes the difference long\n", MaxDiff/40)
	for name, text := range map[string]string{"train.sh": "echo changed\n" + big, "new.sh": "", "ignored": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dirty := ReadCode(t.Context(), dir)
	if dirty.Commit != clean.Commit || !dirty.Dirty || dirty.Untracked != 1 || !dirty.Cut || len(dirty.Diff) > MaxDiff || !strings.Contains(string(dirty.Diff), "+echo changed") {
		t.Errorf("dirty: %s, %d bytes", dirty.Note(), len(dirty.Diff))
	}
	if none := ReadCode(t.Context(), t.TempDir()); none.Commit != "" || none.Dirty {
		t.Errorf("no repository: %+v", none)
	}
}

func TestRecord(t *testing.T) {
	dir := repository(t)
	if err := os.WriteFile(filepath.Join(dir, "train.sh"), []byte("echo \"for $WHO\"; echo oops >&2; sleep 0.3; exit 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	k := &kept{tags: map[string]string{}, files: map[string]string{}}
	out, err := Record(t.Context(), Recording{Command: Command{Argv: []string{"sh", "train.sh"}, Dir: dir}, To: k, Machine: true, Every: 50 * time.Millisecond,
		Prepared: Prepared{Env: append(os.Environ(), "WHO=you")}})
	if err != nil || len(out.Lost) > 0 {
		t.Fatal(err, out.Lost)
	}
	if out.Code != 4 || k.tags[TagExitCode] != "4" || k.tags[TagCommand] != "sh train.sh" || k.tags[TagSource] != "sh" || len(k.tags[TagCommit]) != 40 || k.tags[TagDirty] == "" {
		t.Errorf("code %d, tags %v", out.Code, k.tags)
	}
	if log := k.files[FileOutput]; log != "for you\noops\n" && log != "oops\nfor you\n" {
		t.Errorf("log %q", log)
	}
	if !strings.Contains(k.files[FilePatch], "-echo trained") {
		t.Errorf("patch %q", k.files[FilePatch])
	}
	if runtime.GOOS != "linux" {
		return
	}
	if len(k.samples) == 0 {
		t.Fatal("nothing was sampled")
	}
	for _, name := range []string{MetricMemory, MetricMemoryShare, MetricDisk, MetricDiskShare, MetricDiskFree, MetricProcessMemory} {
		if v := k.samples[0].Values[name]; !(v > 0) || strings.HasSuffix(name, "percentage") && v > 100 {
			t.Errorf("%s = %v", name, v)
		}
	}
	if n := k.samples[0].Values[MetricProcessesNumber]; n != 2 { // sh and sleep
		t.Errorf("%v processes", n)
	}
}

// The program's interpreter is asked for its packages, and the interpreter that was named runs what is called python.
func TestInterpreter(t *testing.T) {
	python, err := Find("python3", "", os.Environ())
	if err != nil {
		t.Skip(err)
	}
	e, err := ParseEnvironment(python, "/")
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := e.Prepare(t.Context(), os.Environ(), nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{tags: map[string]string{}, files: map[string]string{}}
	out, err := Record(t.Context(), Recording{Command: Command{Argv: []string{"python", "-c", "print(40 + 2)"}, Dir: t.TempDir()}, To: k, Prepared: prepared, Every: -1})
	if err != nil || out.Code != 0 || k.files[FileOutput] != "42\n" {
		t.Errorf("%v, %+v, %q", err, out.Result, k.files[FileOutput])
	}
	if tag := k.tags[TagPython]; !strings.HasPrefix(tag, "3.") || !strings.HasSuffix(tag, " "+python) {
		t.Errorf("python %q", tag)
	}
	if _, there := k.files[FilePackages]; !there {
		t.Error("the packages are not recorded")
	}
}

func TestParseEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"uv.lock": 0o644, "venv/bin/python": 0o755, "notes.txt": 0o644} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]Environment{"": {}, "none": {}, "uv.lock": {Project: dir}, ".": {Project: dir},
		"venv": {Interpreter: filepath.Join(dir, "venv/bin/python")}, "venv/bin/python": {Interpreter: filepath.Join(dir, "venv/bin/python")}} {
		if got, err := ParseEnvironment(text, dir); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"nowhere", "notes.txt", "venv/bin"} {
		if _, err := ParseEnvironment(text, dir); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err := Environment{Project: dir}.Prepare(t.Context(), []string{"PATH=/nowhere"}, nil)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "uv is not installed") {
		t.Errorf("without uv: %v", err)
	}
}

// A project without dependencies can be locked and synchronised without a network.
func TestUV(t *testing.T) {
	env := os.Environ()
	if own, err := filepath.Abs("../../.cache/venv/bin"); err == nil {
		env = With(env, map[string]string{"PATH": os.Getenv("PATH") + ":" + own})
	}
	env = With(env, map[string]string{"UV_OFFLINE": "1", "UV_CACHE_DIR": t.TempDir(), "UV_PYTHON_DOWNLOADS": "never"})
	dir := t.TempDir()
	project := "[project]\nname = \"empty\"\nversion = \"1\"\nrequires-python = \">=3.9\"\ndependencies = []\n"
	if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(project), 0o644); err != nil {
		t.Fatal(err)
	}
	log := NewLog(1 << 16)
	if r, err := Run(t.Context(), Command{Argv: []string{"uv", "lock", "--project", dir}, Dir: dir, Env: env, Log: log}); err != nil || r.Code != 0 {
		t.Skipf("uv does not lock here: %v\n%s", err, log.Bytes())
	}
	p, err := Environment{Project: dir}.Prepare(t.Context(), env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, ".venv", "bin"); filepath.Dir(p.Python) != want || !strings.HasPrefix(Lookup(p.Env, "PATH"), want+":") || Lookup(p.Env, "VIRTUAL_ENV") != filepath.Dir(want) {
		t.Errorf("python %s, PATH %s", p.Python, Lookup(p.Env, "PATH"))
	}
	version, packages, err := p.Packages(t.Context())
	if err != nil || !strings.HasPrefix(version, "3.") || packages != "\n" {
		t.Errorf("%q, %q, %v", version, packages, err)
	}
}

// Package house holds the rules of the house as tests: which way imports point, what every package says about itself,
// how long a file may be, and what must not stand in the files of the repository.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/trimtab-ml/trimtab/"

// lifecycle is the declared order: a package may import those before it, never those after it.
var lifecycle = []string{"govern", "project", "data", "feature", "track", "registry", "pipeline", "serve", "feedback",
	"monitor", "rollout", "retrain"}

// maxLines is how long a Go file may be that is not a test and not made by protoc.
const maxLines = 600

// source is one Go file.
type source struct {
	path    string // from the root of the repository, with slashes
	pkg     string // folder
	test    bool
	syntax  *ast.File
	imports []string // inside the module, as folders
	lines   int
}

const root = "../.."

// skipped are folders that are not ours to judge: what is installed or made.
func skipped(name string) bool {
	return strings.HasPrefix(name, "_") || name == "node_modules" || name == "dist" || name == "bin" || name == "testdata" || name == "__pycache__" ||
		(strings.HasPrefix(name, ".") && name != "." && name != ".." && name != ".ci" && name != ".github")
}

// sources reads every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var files []source
	set := token.NewFileSet()
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		syntax, err := parser.ParseFile(set, name, b, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f := source{path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), syntax: syntax,
			lines: strings.Count(string(b), "\n")}
		for _, spec := range syntax.Imports {
			if imported, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module); ours {
				f.imports = append(f.imports, imported)
			}
		}
		files = append(files, f)
	})
	if len(files) < 50 {
		t.Fatalf("only %d Go files found: is the root right?", len(files))
	}
	return files
}

func walk(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// floor is the part of the house that a folder is on.
func floor(pkg string) string {
	first, _, _ := strings.Cut(pkg, "/")
	return first
}

// mayImport is the architecture: which floors a floor may import. internal is open to all.
var mayImport = map[string][]string{
	"internal":  {},
	"engine":    {"engine"},
	"infra":     {"infra", "engine"},
	"lifecycle": {"lifecycle", "infra", "engine"},
	"api":       {"api", "lifecycle", "infra", "engine", "ui"},
	"ui":        {},
	"examples":  {},
	"server":    {"api", "lifecycle", "infra", "engine", "ui"},
	"cli":       {"cli", "server", "api", "lifecycle", "infra", "engine", "examples"},
	"cmd":       {"cli"},
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range sources(t) {
		from := floor(f.pkg)
		allowed, judged := mayImport[from]
		if !judged || f.test { // bench, test, docs; a test may look around
			continue
		}
		for _, imported := range f.imports {
			to := floor(imported)
			if to == "internal" || slices.Contains(allowed, to) {
				if from == "lifecycle" && to == "lifecycle" {
					checkOrder(t, f, imported)
				}
				continue
			}
			t.Errorf("%s imports %s: %s must not know %s", f.path, imported, from, to)
		}
	}
}

// checkOrder holds the declared order inside lifecycle, and one package to each noun.
func checkOrder(t *testing.T, f source, imported string) {
	t.Helper()
	noun := func(pkg string) int { return slices.Index(lifecycle, strings.Split(pkg, "/")[1]) }
	from, to := noun(f.pkg), noun(imported)
	switch {
	case from < 0 || to < 0:
		t.Errorf("%s: a package of lifecycle is not in the declared order", f.path)
	case to > from:
		t.Errorf("%s imports %s, which comes later in the order of lifecycle: declare an interface and let server wire it", f.path, imported)
	}
}

func TestMainIsOneCall(t *testing.T) {
	for _, f := range sources(t) {
		if floor(f.pkg) != "cmd" || f.test {
			continue
		}
		full, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range full.Decls {
			fn, isFunc := declaration.(*ast.FuncDecl)
			if isFunc && (fn.Name.Name != "main" || len(fn.Body.List) != 1) {
				t.Errorf("%s: cmd holds imports and one call, not %s with %d statements", f.path, fn.Name.Name, len(fn.Body.List))
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]int{}
	for _, f := range sources(t) {
		name := f.syntax.Name.Name
		if f.test && f.pkg != "test/"+name {
			continue // only folders of tests alone are judged by their tests
		}
		if strings.HasSuffix(name, "_test") {
			continue
		}
		documented[f.pkg] += 0
		if doc := f.syntax.Doc; doc != nil {
			documented[f.pkg]++
			if text := doc.Text(); name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
				t.Errorf("%s: the package comment must start with \"Package %s \"", f.path, name)
			}
		}
	}
	for pkg, docs := range documented {
		if docs != 1 {
			t.Errorf("%s: %d package comments, want one", pkg, docs)
		}
	}
}

func TestNamesTellSomething(t *testing.T) {
	for _, f := range sources(t) {
		switch base := path.Base(f.pkg); base {
		case "util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base", "lib":
			t.Errorf("%s: a package called %s holds anything; name it after what it is for", f.path, base)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test && !strings.HasSuffix(f.path, ".pb.go") && f.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: what is the second thing that it does?", f.path, f.lines, maxLines)
		}
	}
}

func TestMigrationNumbersAreUnique(t *testing.T) {
	form := regexp.MustCompile(`^(\d{5})_[a-z0-9_]+\.sql$`)
	owner := map[string]string{}
	walk(t, func(name string) {
		if path.Base(path.Dir(name)) != "schema" || !strings.HasSuffix(name, ".sql") {
			return
		}
		parts := form.FindStringSubmatch(path.Base(name))
		if parts == nil {
			t.Errorf("%s: the name must be NNNNN_name.sql with five digits", name)
			return
		}
		if other := owner[parts[1]]; other != "" {
			t.Errorf("%s and %s have the same number", other, name)
		}
		owner[parts[1]] = name
	})
	if len(owner) == 0 {
		t.Error("no migrations found")
	}
}

// unfinished are marks of work that was left for later, and words of a registry: where packages come from is a
// matter of the machine, not of the repository.
var unfinished = []struct {
	form *regexp.Regexp
	why  string
	in   func(name string) bool
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`), "finish it, or write an issue", isCode},
	{regexp.MustCompile(`proxy\.golang` + `\.org|registry\.npmjs` + `\.org|deb\.debian` + `\.org|(^|[^.\w])pypi` + `\.org`),
		"names a package registry", func(name string) bool { return true }},
}

func isCode(name string) bool {
	switch path.Ext(name) {
	case ".go", ".ts", ".tsx", ".py", ".sql", ".css":
		return true
	}
	return false
}

func TestNothingIsLeftForLater(t *testing.T) {
	walk(t, func(name string) {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Size() > 4<<20 {
			return // data
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(b[:min(len(b), 512)], 0) {
			return // not text
		}
		for number, line := range strings.Split(string(b), "\n") {
			for _, rule := range unfinished {
				if rule.in(name) && rule.form.MatchString(line) {
					t.Errorf("%s:%d: %s: %.120s", name, number+1, rule.why, strings.TrimSpace(line))
				}
			}
		}
	})
}

// The rules are tested on a made-up house: a test that cannot fail is worth nothing.
func TestTheRulesBite(t *testing.T) {
	if mayImport["engine"] == nil || slices.Contains(mayImport["engine"], "infra") || slices.Contains(mayImport["infra"], "lifecycle") ||
		slices.Contains(mayImport["lifecycle"], "api") {
		t.Error("the order of the floors is not that of the design")
	}
	for i, rule := range unfinished {
		line := []string{"// TO" + "DO: later", "https://proxy.golang" + ".org/x"}[i]
		if !rule.form.MatchString(line) {
			t.Errorf("rule %d does not find %q", i, line)
		}
	}
	probe := &testing.T{}
	checkOrder(probe, source{path: "x.go", pkg: "lifecycle/data"}, "lifecycle/serve")
	if !probe.Failed() {
		t.Error("an import against the order of lifecycle passes")
	}
}

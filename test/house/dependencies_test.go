package house

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9.-]+\.[a-z]+/\S+) v\S+`)
	documented  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
)

// TestEveryDependencyIsADecision compares docs/dependencies.md with the modules that the code imports.
func TestEveryDependencyIsADecision(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var modules []string
	for _, m := range requirement.FindAllStringSubmatch(read("go.mod"), -1) {
		modules = append(modules, m[1])
	}
	used := map[string]string{} // module to one file that imports it
	for _, f := range sources(t) {
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.path), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range syntax.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") || strings.HasPrefix(name, module) {
				continue
			}
			owner := ""
			for _, m := range modules {
				if (name == m || strings.HasPrefix(name, m+"/")) && len(m) > len(owner) {
					owner = m
				}
			}
			if owner == "" {
				t.Errorf("%s imports %s, which go.mod does not require", f.path, name)
				continue
			}
			used[owner] = f.path
		}
	}
	page := map[string]bool{}
	for _, m := range documented.FindAllStringSubmatch(read("docs/dependencies.md"), -1) {
		page[m[1]] = true
	}
	for m, file := range used {
		if !page[m] {
			t.Errorf("%s is imported by %s and has no line in docs/dependencies.md", m, file)
		}
	}
	for m := range page {
		if used[m] == "" {
			t.Errorf("docs/dependencies.md has a line about %s, which nothing imports", m)
		}
	}
}

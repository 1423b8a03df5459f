package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlocks(t *testing.T) {
	text := strings.ReplaceAll(`# Title
~~~sh
# a comment
make build
$ trimtab init --data rides.csv \
    --label late

trimtab plan   # what would change
~~~
~~~yaml
not: run
~~~
  ~~~sh
  trimtab apply
  ~~~
`, "~~~", "```")
	want := []block{
		{line: 2, commands: []string{"make build", "trimtab init --data rides.csv --label late", "trimtab plan   # what would change"}},
		{line: 13, commands: []string{"trimtab apply"}},
	}
	if diff := cmp.Diff(want, blocks(text), cmp.AllowUnexported(block{})); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsShareFolderAndVariables(t *testing.T) {
	s := &shell{folder: t.TempDir(), env: os.Environ()}
	for _, command := range []string{"mkdir -p a/b && cd a/b", "export GREETING='two words'", `printf '%s' "$GREETING" > file`} {
		if err := s.do(t.Context(), command); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.folder, "file")); err != nil || string(b) != "two words" || filepath.Base(s.folder) != "b" {
		t.Errorf("%q in %s, %v", b, s.folder, err)
	}
	if err := s.do(t.Context(), "false; true"); err == nil {
		t.Error("a command that fails passes")
	}
}

package results

import (
	"os"
	"path/filepath"
	"testing"
)

const title = "## Mine"

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	for _, c := range []struct{ name, before, want string }{
		{"no file", "", "# Results of `make bench`\n\n" + title + "\nnew\n"},
		{"another section", "# R\n\n## A\na\n", "# R\n\n## A\na\n\n" + title + "\nnew\n"},
		{"own section last", "# R\n\n" + title + "\nold\n", "# R\n\n" + title + "\nnew\n"},
		{"own section first", "# R\n\n" + title + "\nold\nolder\n\n## A\na\n", "# R\n\n" + title + "\nnew\n\n## A\na\n"},
	} {
		if c.before != "" {
			if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // a second time changes nothing
			if err := Replace(path, title, title+"\nnew\n"); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); string(got) != c.want {
				t.Errorf("%s: %q, not %q", c.name, got, c.want)
			}
		}
	}
}

package project

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestMistakes runs every file of testdata/mistakes.txtar and compares what is said about it.
func TestMistakes(t *testing.T) {
	const name = "testdata/mistakes.txtar"
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, want := archive.Files[i], &archive.Files[i+1]
		label, ok := strings.CutSuffix(in.Name, ".yaml")
		if !ok || want.Name != label+".want" {
			t.Fatalf("%s is followed by %s", in.Name, want.Name)
		}
		t.Run(label, func(t *testing.T) {
			_, err := ParseFile("trimtab.yaml", in.Data)
			got := describeMistakes(t, err)
			if *update {
				want.Data = []byte(got)
				return
			}
			if got != string(want.Data) {
				t.Errorf("said:\n%s\nwant:\n%s", got, want.Data)
			}
		})
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func describeMistakes(t *testing.T, err error) string {
	if err == nil {
		return "ok\n"
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("not a fault: %v", err)
	}
	if f.Position.File == "" {
		t.Errorf("no file in %v", err)
	}
	var b strings.Builder
	for _, m := range f.Details["errors"].([]Mistake) {
		fmt.Fprintf(&b, "%s: %s: %s\n", m.Position, m.Code, m.Message)
		if m.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", m.Hint)
		}
	}
	return b.String()
}

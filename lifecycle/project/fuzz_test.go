package project

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// FuzzParseFile: no text panics, every refusal is a fault with mistakes that have a place, and a file that is accepted
// has a canonical form that reads as the same file.
func FuzzParseFile(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/mistakes.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, one := range archive.Files {
		if strings.HasSuffix(one.Name, ".yaml") {
			f.Add(one.Data)
		}
	}
	north, err := os.ReadFile("testdata/flight-delays.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(north)
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := ParseFile("trimtab.yaml", src)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("not a fault: %v", err)
			}
			mistakes, ok := e.Details["errors"].([]Mistake)
			if !ok || len(mistakes) == 0 || len(mistakes) > maxMistakes {
				t.Fatalf("%d mistakes in %v", len(mistakes), err)
			}
			for _, m := range mistakes {
				if m.Message == "" || m.Position.File != "trimtab.yaml" || m.Code == fault.Internal {
					t.Fatalf("mistake %+v", m)
				}
			}
			return
		}
		canonical, err := file.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseFile("trimtab.yaml", canonical)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%s", err, canonical)
		}
		second, err := again.Canonical()
		if err != nil || string(second) != string(canonical) {
			t.Fatalf("the canonical form changes:\n%s\n%s", canonical, second)
		}
	})
}

func TestHostileFilesEndSoon(t *testing.T) {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		prev := string(c - 1)
		laughs += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+prev+", ", 9), ", ") + "]\n"
	}
	var merges strings.Builder
	merges.WriteString("a: &a {k0: 1}\n")
	for i := range 300 {
		merges.WriteString("m" + strings.Repeat("x", i) + ": {<<: [*a, *a, *a], k: 1}\n")
	}
	var keys strings.Builder
	for i := range 60_000 {
		keys.WriteString("k" + strings.Repeat("z", i%7) + string(rune('a'+i%26)) + ": 1\n")
	}
	for name, src := range map[string]string{
		"brackets":         strings.Repeat("[", 500_000),
		"braces":           strings.Repeat("{a: ", 200_000),
		"entries":          strings.Repeat("- ", 300_000),
		"question marks":   strings.Repeat("? ", 300_000),
		"indents":          nested(1000),
		"billion laughs":   laughs,
		"merges":           merges.String(),
		"many keys":        keys.String(),
		"too large":        strings.Repeat("# comment\n", 200_000),
		"nul":              "project: a\x00b\n",
		"latin-1":          "project: caf\xe9\n",
		"long line":        "project: " + strings.Repeat("x", 900_000) + "\n",
		"deep condition":   "project: a\ndata: {r: {files: f}}\nmodel: {name: a, from: r, label: {y: y}, inputs: [x], train: {learner: gbdt}}\nevaluate: {gates: [\"" + strings.Repeat("(", 900) + "auc > 1" + strings.Repeat(")", 900) + "\"]}\n",
		"deep expression":  "project: a\ndata: {r: {files: f}}\nmodel: {name: a, from: r, label: {y: \"" + strings.Repeat("(", 2000) + "\"}, inputs: [x], train: {learner: gbdt}}\n",
		"document markers": strings.Repeat("---\n", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, err := ParseFile("trimtab.yaml", []byte(src)); err == nil {
				t.Error("it was accepted")
			} else if len(err.Error()) > 20_000 {
				t.Errorf("the answer has %d bytes", len(err.Error()))
			}
			// A reading of 1 MiB takes well under a second on an idle machine; quadratic work would take minutes.
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

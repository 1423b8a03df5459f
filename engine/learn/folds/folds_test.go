package folds_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// golden is a case of testdata/golden.json, written by testdata/golden.py with scikit-learn 1.9.1.
type golden struct {
	Spec         folds.Spec
	Rows         int
	Y            []float64
	Groups, Fold []int32
	Error        string
	Want         [][2]string
	Splits       int
	SHA256       string
}

func goldens(t *testing.T) []golden {
	t.Helper()
	var file struct{ Cases []golden }
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

func split(t *testing.T, spec folds.Spec, d folds.Data) *folds.Folds {
	t.Helper()
	s, err := folds.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Split(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func text(rows []int32) string {
	words := make([]string, len(rows))
	for i, r := range rows {
		words[i] = strconv.Itoa(int(r))
	}
	return strings.Join(words, ",")
}

func TestSplitsOfScikitLearn(t *testing.T) {
	cases := goldens(t)
	if len(cases) < 120 {
		t.Fatalf("only %d cases", len(cases))
	}
	for i, c := range cases {
		spec := c.Spec
		s, err := folds.New(spec)
		var f *folds.Folds
		if err == nil {
			f, err = s.Split(folds.Data{Rows: c.Rows, Y: c.Y, Groups: c.Groups, Fold: c.Fold})
		}
		if c.Error != "" {
			if !invalid(err) {
				t.Errorf("case %d: %v, %d rows: %v, where scikit-learn says %q", i, spec, c.Rows, err, c.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("case %d: %v, %d rows: %v", i, spec, c.Rows, err)
			continue
		}
		for range 2 { // a second run gives the same
			n := 0
			var all []string
			for at, split := range f.All() {
				if at != n {
					t.Fatalf("case %d: split %d is number %d", i, n, at)
				}
				n++
				train, test := text(split.Train), text(split.Test)
				all = append(all, train+";"+test)
				if c.Want != nil && (at >= len(c.Want) || c.Want[at] != [2]string{train, test}) {
					t.Fatalf("case %d: %+v, %d rows: split %d is\n%s\n%s\nscikit-learn's is\n%v", i, spec, c.Rows, at, train, test, c.Want[at])
				}
			}
			if n != f.Len() || n != max(len(c.Want), c.Splits) {
				t.Errorf("case %d: %d splits, not %d and %d", i, n, f.Len(), max(len(c.Want), c.Splits))
			}
			if sum := sha256.Sum256([]byte(strings.Join(all, "|"))); c.SHA256 != "" && c.SHA256 != hex.EncodeToString(sum[:]) {
				t.Fatalf("case %d: %+v, %d rows: other splits than scikit-learn's", i, spec, c.Rows)
			}
		}
	}
}

func invalid(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == fault.Invalid
}

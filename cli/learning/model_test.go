package learning

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// foreign is a model of one tree that asks for its second feature alone: 1 up to .5 and 2 above.
func foreign(t *testing.T, names ...string) *model {
	t.Helper()
	one := tree.Tree{Feature: []int32{1, tree.Leaf, tree.Leaf}, Threshold: []float64{.5, 0, 0}, Left: []int32{1, 0, 0}, Right: []int32{2, 0, 0},
		MissingLeft: make([]bool, 3), Value: []float64{0, 1, 2}, Gain: make([]float64, 3), Cover: make([]float64, 3)}
	m, err := tree.NewModel("lightgbm", learn.Regression,
		tree.Ensemble{Features: 2, Names: names, Base: []float64{0}, Link: tree.Identity, Scale: 1, Trees: []tree.Tree{one}})
	if err != nil {
		t.Fatal(err)
	}
	return &model{Model: &tabular.Model{Model: m}, names: names}
}

func doubles(name string, v ...float64) *table.Column {
	return &table.Column{Name: name, Kind: table.Double, Floats: v}
}

func TestFindsForeignFeatures(t *testing.T) {
	texts := &table.Column{Name: "colour", Kind: table.String, Strings: []string{"red", "blue"}}
	for _, c := range []struct {
		name  string
		names []string
		table *table.Table
		want  []float64 // nil: refused
	}{
		{"by name", []string{"a", "b"}, table.New(doubles("b", 0, 1), doubles("more", 9, 9), doubles("a", 9, 9)), []float64{1, 2}},
		{"spaces as underscores", []string{"a", "my_b"}, table.New(doubles("my b", 0, 1), doubles("a", 9, 9)), []float64{1, 2}},
		{"the exact name first", []string{"a", "my_b"}, table.New(doubles("my b", 1, 0), doubles("my_b", 0, 1), doubles("a", 9, 9)), []float64{1, 2}},
		{"two with spaces", []string{"a", "my_b_c"}, table.New(doubles("my b_c", 0, 1), doubles("my_b c", 0, 1), doubles("a", 9, 9)), nil},
		{"texts that no split asks for", []string{"colour", "b"}, table.New(texts, doubles("b", 0, 1)), []float64{1, 2}},
		{"texts that one does", []string{"b", "colour"}, table.New(texts, doubles("b", 0, 1)), nil},
		{"by position", nil, table.New(doubles("p", 9, 9), doubles("q", 0, 1)), []float64{1, 2}},
		{"one name missing", []string{"a", "b"}, table.New(doubles("a", 0, 1), doubles("c", 0, 1)), nil},
		{"a column too many", nil, table.New(doubles("p", 9, 9), doubles("q", 0, 1), doubles("r", 0, 1)), nil},
	} {
		got, err := foreign(t, c.names...).predict(c.table, "")
		if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestWritesWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder.csv")
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if writeFile(folder, []byte("x")) == nil {
		t.Error("a folder became a file")
	}
	if writeTable(context.Background(), table.New(doubles("a", math.NaN())), folder) == nil {
		t.Error("a folder became a table")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

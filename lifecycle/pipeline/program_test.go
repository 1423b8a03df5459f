package pipeline

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

func TestLabelsAreAsTheDataHasThem(t *testing.T) {
	for name, c := range map[string]struct {
		signature registry.Signature
		y         []float64
		kind      table.Kind
		texts     []string
	}{
		"condition":  {registry.Signature{Label: "late", Task: "binary", Positive: "late", Classes: []string{"not late", "late"}}, []float64{0, 1}, table.Long, nil},
		"two texts":  {registry.Signature{Label: "plan", Task: "binary", Positive: "pro", Classes: []string{"free", "pro"}}, []float64{1, 0}, table.String, []string{"pro", "free"}},
		"many texts": {registry.Signature{Label: "kind", Task: "multiclass", Classes: []string{"a", "b", "c"}}, []float64{2, 0}, table.String, []string{"c", "a"}},
		"number":     {registry.Signature{Label: "price", Task: "regression"}, []float64{1.5, 2}, table.Double, nil},
	} {
		got := labelsOf(&frame{signature: c.signature, y: c.y})
		if got.Name != c.signature.Label || got.Kind != c.kind || !slices.Equal(got.Strings, c.texts) || c.texts == nil && !slices.Equal(got.Floats, c.y) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestReadPredictions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "predictions")
	write := func(values ...float64) {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(0.75, 0.25, 0.5, 0.5, 0, 1)
	if p, err := readPredictions(path, 3, 2, true); err != nil || !slices.Equal(p, []float64{0.25, 0.5, 1}) {
		t.Errorf("binary: %v, %v", p, err)
	}
	if p, err := readPredictions(path, 2, 3, false); err != nil || len(p) != 6 || p[2] != 0.5 {
		t.Errorf("multiclass: %v, %v", p, err)
	}
	if _, err := readPredictions(path, 4, 2, true); !fault.Is(err, fault.Invalid) {
		t.Errorf("too few: %v", err)
	}
	write(1, math.NaN())
	if _, err := readPredictions(path, 2, 1, false); !fault.Is(err, fault.Invalid) {
		t.Errorf("not a number: %v", err)
	}
}

// What is the program's makes another digest; what is not, does not.
func TestProgramText(t *testing.T) {
	dir := t.TempDir()
	p := &project.Project{Dir: dir, File: &project.File{Model: &project.Model{Train: project.Train{Run: "sh ./train.sh settings.json"}}}}
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := ""
	for _, c := range []struct {
		name, text string
		changes    bool
	}{
		{"train.sh", "1", true}, {"settings.json", "1", true}, {"settings.json", "2", true}, {"lib/model.py", "1", true}, {"uv.lock", "1", true},
		{"data.csv", "1", false}, {"other.json", "1", false}, {".venv/x.py", "1", false}, {"env/pyvenv.cfg", "", false}, {"env/lib/x.py", "1", false},
		{"lib/__pycache__/x.py", "1", false}, {"lib/model.py", "2", true},
	} {
		write(c.name, c.text)
		got, err := programText(p)
		if err != nil {
			t.Fatal(err)
		}
		if (got != last) != c.changes {
			t.Errorf("writing %s: changed %t, want %t", c.name, got != last, c.changes)
		}
		last = got
	}
	if _, err := programText(&project.Project{Name: "p", File: p.File}); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a folder: %v", err)
	}
}

package life

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGoldenRowsInOnnxruntime lets the real onnxruntime reproduce the golden rows that the Go path stored with a version.
func TestGoldenRowsInOnnxruntime(t *testing.T) {
	python := os.Getenv("TRIMTAB_PYTHON")
	if python == "" {
		t.Skip("TRIMTAB_PYTHON names no Python with onnxruntime; make test sets it")
	}
	s, _ := deployed(t)
	folder := t.TempDir()
	for _, name := range []string{"model.onnx", "golden.json"} {
		res, err := http.Get(fmt.Sprintf("%s/api/v1/models/toy/versions/1/files/%s", s.url, name))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", name, res.Status, err)
		}
		write(t, filepath.Join(folder, name), string(data))
	}
	out, err := exec.Command(python, "testdata/golden.py", folder).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rows, Flips int
		Difference  float64
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Rows < 1000 || got.Flips != 0 || got.Difference > 1e-5 {
		t.Errorf("onnxruntime on the golden rows: %+v, want 1,000 rows or more, no flips, a difference up to 1e-5", got)
	}
}

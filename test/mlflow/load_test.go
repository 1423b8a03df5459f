package mlflow

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

const penguinsFile = `project: penguins
data:
  penguins: {files: penguins.csv}
model:
  name: penguins
  from: penguins
  label: {species: "species"}
  inputs: [island, bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex, year]
  split: {by: random, test: 20%}
  prepare:
    - {one_hot: [island, sex]}
  train: {learner: gbdt, rounds: 30, leaves: 7, min_leaf: 10}
evaluate:
  gates: ["accuracy >= 0.5"]
deploy: {strategy: immediate}
`

// TestOurVersionOpensInMLflow trains the penguins with Trimtab and has the real client open the version with
// mlflow.pyfunc.load_model("models:/penguins/1"): its predictions are those of Trimtab's own endpoint.
func TestOurVersionOpensInMLflow(t *testing.T) {
	root, err := peer.Root()
	if err != nil {
		t.Fatal(err)
	}
	example := filepath.Join(root, "examples", "penguins")
	s := start(t, filepath.Join(t.TempDir(), "state"))
	call := func(method, path string, in, out any) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/api/v1"+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= 300 {
			t.Fatalf("%s: %v %s %s", path, err, res.Status, text)
		}
		if out != nil {
			if err := json.Unmarshal(text, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	call(http.MethodPost, "/projects/penguins/apply", map[string]any{"file": penguinsFile, "dir": example, "cause": "test"}, nil)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var state struct{ Idle bool }
		if call(http.MethodGet, "/projects/penguins/idle", nil, &state); state.Idle {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the training does not end")
		}
	}
	rows := penguins(t, filepath.Join(example, "penguins.csv"))
	var answer struct{ Predictions []map[string]any }
	call(http.MethodPost, "/deployments/penguins/predict", map[string]any{"rows": rows}, &answer)
	out, err := json.Marshal(map[string]any{"rows": rows, "predictions": answer.Predictions})
	if err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(t.TempDir(), "asked.json")
	if err := os.WriteFile(asked, out, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRIMTAB_ASKED", asked)
	t.Setenv("TRIMTAB_MODEL", "penguins")
	flows(t, peer.Version, s.url, "ours")
}

// penguins are the rows of the example that have an island and a sex; numbers may be missing.
func penguins(t *testing.T, path string) []map[string]any {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	for _, line := range lines[1:] {
		row := map[string]any{}
		for i, cell := range line {
			var number float64
			if n, err := fmt.Sscanf(cell, "%g", &number); err == nil && n == 1 {
				row[lines[0][i]] = number
			} else if cell != "" && cell != "NA" {
				row[lines[0][i]] = cell
			}
		}
		delete(row, "species")
		if row["sex"] != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

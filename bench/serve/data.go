package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	features      = 12
	trees, leaves = 200, 31
	trainingRows  = 20_000
	blockRows     = 1000
	smallTrees    = 20
)

// writeData makes the training rows: twelve numbers and a label that follows from some of them.
func writeData(path string) error {
	rng := rand.New(rand.NewPCG(7, 7))
	var b bytes.Buffer
	for i := range features {
		fmt.Fprintf(&b, "x%d,", i)
	}
	b.WriteString("y\n")
	for range trainingRows {
		x := row(rng)
		for _, v := range x {
			fmt.Fprintf(&b, "%s,", strconv.FormatFloat(v, 'g', -1, 64))
		}
		y := 0
		if rng.Float64() < 1/(1+math.Exp(-(x[0]+x[1]*x[2]+0.5*x[3]-x[4]*x[4]+0.5))) {
			y = 1
		}
		fmt.Fprintf(&b, "%d\n", y)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// row is twelve numbers with six digits, as a caller would send them.
func row(rng *rand.Rand) []float64 {
	x := make([]float64, features)
	for i := range x {
		x[i] = math.Round(rng.NormFloat64()*1e6) / 1e6
	}
	return x
}

// bodies are requests: of the Open Inference Protocol with one tensor, and as rows for the peers that have no protocol.
func bodies(rows, n int) (oip, plain [][]byte, err error) {
	rng := rand.New(rand.NewPCG(11, uint64(rows)))
	for range n {
		matrix := make([][]float64, rows)
		flat := make([]float64, 0, rows*features)
		for i := range matrix {
			matrix[i] = row(rng)
			flat = append(flat, matrix[i]...)
		}
		a, err := json.Marshal(map[string]any{"id": "1", "inputs": []any{map[string]any{"name": "x", "shape": []int{rows, features}, "datatype": "FP64", "data": flat}}})
		if err != nil {
			return nil, nil, err
		}
		b, err := json.Marshal(map[string]any{"rows": matrix})
		if err != nil {
			return nil, nil, err
		}
		oip, plain = append(oip, a), append(plain, b)
	}
	return oip, plain, nil
}

// projects are those of our server: one with log, drift and a canary's route, one with nothing of it.
func projectFile(name, deploy, monitor string, rounds int) string {
	var inputs []string
	for i := range features {
		inputs = append(inputs, fmt.Sprintf("x%d", i))
	}
	return fmt.Sprintf(`project: %s
data:
  rows: {files: train.csv}
model:
  name: %s
  from: rows
  label: {y: y = 1}
  inputs: [%s]
  train: {learner: gbdt, rounds: %d, leaves: %d, learning_rate: 0.05, early_stopping_rounds: 0, seed: 1}
evaluate:
  gates: [auc >= 0.5]
deploy: %s
%s`, name, name, strings.Join(inputs, ", "), rounds, leaves, deploy, monitor)
}

// apply has our server train and release what a file says.
func apply(ctx context.Context, base, dir, name, file string) error {
	if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(file), 0o600); err != nil {
		return err
	}
	var job struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Error any    `json:"error"`
	}
	in := map[string]any{"file": file, "dir": dir, "cause": "benchmark"}
	if err := call(ctx, http.MethodPost, base+"/api/v1/projects/"+name+"/apply", in, &job); err != nil {
		return fmt.Errorf("apply %s: %w", name, err)
	}
	for job.State != "done" {
		if job.State == "failed" || job.State == "canceled" {
			return fmt.Errorf("apply %s: %s: %v", name, job.State, job.Error)
		}
		time.Sleep(200 * time.Millisecond)
		if err := call(ctx, http.MethodGet, base+"/api/v1/jobs/"+job.ID, nil, &job); err != nil {
			return err
		}
	}
	return nil
}

package worker

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/predictor/predictortest"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// rscript skips the test where there is no R.
func rscript(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("Rscript")
	if err != nil {
		t.Skip("R is not installed")
	}
	return path
}

func TestConformanceOfR(t *testing.T) {
	rscript(t)
	m := manager(t, python(t))
	dir := t.TempDir()
	const text = `
INPUTS <- list(list(name = "x", datatype = "FP64", shape = c(-1, 2)), list(name = "s", datatype = "BYTES", shape = -1))
OUTPUTS <- list(list(name = "sum", datatype = "FP64", shape = -1), list(name = "text", datatype = "BYTES", shape = -1), list(name = "twice", datatype = "FP64", shape = c(-1, 2)))
predict_model <- function(model, inputs) list(sum = rowSums(inputs$x), text = inputs$s, twice = 2 * inputs$x)
`
	if err := os.WriteFile(filepath.Join(dir, "predict.R"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	predictortest.Run(t, func(t *testing.T) predictortest.Subject {
		p, err := m.Open(t.Context(), Spec{Name: "r", Kind: R, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return predictortest.Subject{Predictor: p, Request: func(rows int) []tensor.Named {
			x, s := make([]float64, 2*rows), make([]string, rows)
			for i := range s {
				x[2*i], x[2*i+1], s[i] = float64(i), 1, "Zeile ü "+strconv.Itoa(i)
			}
			return []tensor.Named{{Name: "x", Tensor: tensor.New(x, rows, 2)}, {Name: "s", Tensor: tensor.New(s, rows)}}
		}}
	})
}

// A linear model of R's own: its coefficients, which R prints, give the same predictions.
func TestModelsOfR(t *testing.T) {
	script := rscript(t)
	dir := t.TempDir()
	const text = `d <- data.frame(n = c(1, 2, 3, 4, 5, 6), g = c("a", "b", "a", "b", "a", "b"), y = c(1.5, 4, 2.5, 7, 4.5, 8))
m <- lm(y ~ n + g, d)
saveRDS(m, commandArgs(TRUE)[1])
cat(format(coef(m), digits = 17), sep = "\n")
`
	program := filepath.Join(dir, "make.R")
	if err := os.WriteFile(program, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(script, "--vanilla", program, filepath.Join(dir, "m.rds")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var c []float64
	for _, text := range strings.Fields(string(out)) {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s", out)
		}
		c = append(c, v)
	}
	p := open(t, manager(t, python(t)), Spec{Kind: R, Dir: dir, File: "m.rds"})
	if in := p.Inputs(); len(in) != 2 || in[0].Name != "n" || in[0].Type != tensor.FP64 || in[1].Type != tensor.String {
		t.Fatalf("%+v", in)
	}
	got, err := p.Predict(t.Context(), &predictor.Request{Inputs: []tensor.Named{{Name: "n", Tensor: tensor.New([]float64{10, 20}, 2)}, {Name: "g", Tensor: tensor.New([]string{"a", "b"}, 2)}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{c[0] + 10*c[1], c[0] + 20*c[1] + c[2]} {
		if v, _ := got[0].Number(i); math.Abs(v-want) > 1e-12 {
			t.Errorf("row %d: %v, want %v", i, v, want)
		}
	}
	_, err = p.Predict(t.Context(), &predictor.Request{Inputs: []tensor.Named{{Name: "n", Tensor: tensor.New([]float64{1}, 1)}, {Name: "g", Tensor: tensor.New([]string{"never seen"}, 1)}}})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "never seen") {
		t.Error(err)
	}
	if p.Status().Engine != "r" || p.Status().Restarts != 0 {
		t.Errorf("%+v", p.Status())
	}
}

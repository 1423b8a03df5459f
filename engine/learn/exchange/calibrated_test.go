package exchange

import (
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestWritesCalibrationsAsONNX runs calibrated ensembles of every link here as their graphs.
func TestWritesCalibrationsAsONNX(t *testing.T) {
	const rows = 300
	written := 0
	for name, m := range ensembles(t) {
		if m.Task() != learner.Binary && m.Task() != learner.Multiclass {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(len(name)), 5))
		k, x := m.Outputs(), randomRows(r, rows)
		for i, v := range x {
			x[i] = float64(float32(v))
		}
		p, y := make([]float64, rows*k), make([]float64, rows)
		for i := range y {
			sum := 0.0
			for j := range k {
				p[i*k+j] = r.Float64()
				sum += p[i*k+j]
			}
			for j := range k {
				if k > 1 {
					p[i*k+j] /= sum
				}
			}
			y[i] = float64(r.IntN(max(k, 2)))
		}
		for _, method := range calibrate.Methods() {
			cal, err := calibrate.Fit(method, p, y, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			calibrated, err := calibrate.New(m, cal)
			if err != nil {
				t.Fatal(err)
			}
			file, err := Write(ONNX, calibrated, nil)
			if method == calibrate.IsotonicMethod {
				if fault.CodeOf(err) != fault.NotSupported {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			want := predictWide(calibrated, x, rows)
			if m.Task() == learner.Binary {
				both := make([]float64, 0, 2*len(want))
				for _, p := range want {
					both = append(both, 1-p, p)
				}
				want = both
			}
			hold(t, name+", "+string(method), evaluate(t, file, x, rows), want, 1e-5)
			written++
		}
	}
	if written == 0 {
		t.Error("nothing was written")
	}
}

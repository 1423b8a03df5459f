package learning

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestSingle takes a blend of one member apart, also under a calibration, for formats that have no blends.
func TestSingle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y := table.NewMatrix(300, []string{"a", "b"}), make([]float64, 300)
	for i := range y {
		x.Row(i)[0], x.Row(i)[1] = r.Float32(), r.Float32()
		if x.Row(i)[0]+0.3*r.Float32() > 0.6 {
			y[i] = 1
		}
	}
	l, err := calibrate.Around("fast", learn.Params{"calibration_folds": 2}, calibrate.PlattMethod, learn.New)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), learn.Set{X: x, Y: y}, learn.Binary, 2, learn.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	inner, cal, ok := calibrate.Unwrap(m)
	blend, blended := inner.(*preset.Model)
	if !ok || !blended {
		t.Fatalf("the model is a %s of a %s", m.Kind(), inner.Kind())
	}
	for _, members := range []int{1, 2} {
		blend.Members = append(blend.Members[:0:0], blend.Members[0], blend.Members[0])[:members]
		whole, err := calibrate.New(blend, cal)
		if err != nil {
			t.Fatal(err)
		}
		got, err := single(whole)
		if members > 1 {
			if fault.CodeOf(err) != fault.NotSupported {
				t.Errorf("%d members: %v", members, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exchange.Write(exchange.ONNX, got, nil); err != nil {
			t.Errorf("the calibrated member is not written: %v", err)
		}
		if again, _, ok := calibrate.Unwrap(got); !ok || again.Kind() == preset.Kind {
			t.Errorf("a %s was made of the blend", got.Kind())
		}
	}
}

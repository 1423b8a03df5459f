package graph

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestFastForest holds the tree engine to the walk: weights are whole numbers, so that sums are the same in any
// arithmetic.
func TestFastForest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	thresholds := []float32{0, float32(math.Copysign(0, -1)), 1, -2.5, math.SmallestNonzeroFloat32, math.MaxFloat32, float32(math.Inf(1))}
	value := func() float32 {
		switch v := thresholds[r.IntN(len(thresholds))]; r.IntN(6) {
		case 0:
			return math.Nextafter32(v, 9)
		case 1:
			return math.Nextafter32(v, -9)
		case 2:
			return float32(math.NaN())
		default:
			return v
		}
	}
	for range 200 {
		f := &forest{outputs: 1 + r.IntN(3)}
		for range 1 + r.IntN(30) {
			root := len(f.nodes)
			f.roots = append(f.roots, int32(root))
			splits, output := r.IntN(20), int32(r.IntN(f.outputs))
			for i := range 2*splits + 1 {
				if i < splits {
					// Nodes come level by level: the children of split i are 2i+1 and 2i+2.
					f.nodes = append(f.nodes, branch{feature: int32(r.IntN(4)), mode: uint8(branchLEQ + r.IntN(4)), missingTrue: r.IntN(2) == 0,
						threshold: float64(thresholds[r.IntN(len(thresholds))]), yes: int32(root + 2*i + 1), no: int32(root + 2*i + 2)})
					continue
				}
				at := int32(len(f.weights))
				f.weights = append(f.weights, weight{output, float64(r.IntN(1000) - 500)})
				f.nodes = append(f.nodes, branch{mode: leaf, from: at, to: at + 1})
			}
		}
		cols := 4 + r.IntN(2)
		for _, rows := range []int{0, 1, 3, 50} {
			x := make([]float32, rows*cols)
			for i := range x {
				x[i] = value()
			}
			got, want := make([]float64, rows*f.outputs), make([]float64, rows*f.outputs)
			if !scored(f, x, rows, cols, got) {
				t.Fatal("the forest is not one for the tree engine")
			}
			for i := range rows {
				addUp(f, x[i*cols:(i+1)*cols], want[i*f.outputs:(i+1)*f.outputs])
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("score %d of %d rows is %v, and %v by walking", i, rows, got[i], want[i])
				}
			}
		}
	}
}

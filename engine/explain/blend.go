package explain

import (
	"github.com/trimtab-ml/trimtab/engine/learn/encode"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// blend explains a preset's weighted mean of margins: Shapley values are linear, so that its contributions are the
// weighted means of its members'. Those of columns that an encoding added count for the column they came from. The
// margin of a class is the score before the softmax; the blend's own, logarithms of probabilities, differ from it by a
// number that is the same for all classes of a row.
type blend struct {
	features, outputs int
	members           []member
}

type member struct {
	*Explainer
	encoder *encode.Encoder // nil: the rows as they are
	from    []int           // with encoder: the feature that each of its columns came from
	weight  float64
}

func newBlend(m *preset.Model) (explainer, []float64, error) {
	b := &blend{features: m.Features(), outputs: m.Outputs()}
	expected := make([]float64, b.outputs)
	for i := range m.Members {
		src := &m.Members[i]
		if src.Weight == 0 {
			continue
		}
		e, err := New(src.Model)
		if err != nil {
			return nil, nil, fault.Wrap(err, fault.NotSupported, "member %s of the model", src.Name)
		}
		own := member{Explainer: e, encoder: src.Encoder, weight: src.Weight}
		if t, ok := src.Model.(*tree.Model); ok {
			switch {
			case t.Link == tree.Logistic:
				own.weight *= t.Scale // log odds are that many margins
			case t.Link == tree.Softmax, t.Link == tree.Identity && t.Task() == learner.Regression:
			default:
				return nil, nil, fault.New(fault.NotSupported, "member %s of the model does not predict in the margins that the model blends", src.Name).
					WithHint("explain a model of trees or a linear one")
			}
		}
		if src.Encoder != nil {
			own.from = make([]int, src.Encoder.Outputs())
			for j := range own.from {
				own.from[j] = src.Encoder.Source(j)
			}
		}
		for k, v := range e.expected {
			expected[k] += float64(own.weight * v)
		}
		b.members = append(b.members, own)
	}
	return b, expected, nil
}

func (b *blend) bytes() int {
	n := 0
	for i := range b.members {
		n += b.members[i].Bytes()
	}
	return n
}

func (b *blend) steps() int {
	n := 0
	for i := range b.members {
		n += b.members[i].Steps()
	}
	return n
}

// blendBlock is the rows that are encoded at once.
const blendBlock = 256

func (b *blend) rows(x []float32, rows int, dst []float64, workers int) {
	p, k := b.features, b.outputs
	shard.Run(shard.Workers(workers), shard.Blocks(rows, blendBlock), func(_, piece int) {
		lo, hi := shard.Bounds(piece, rows, blendBlock)
		in, n := x[lo*p:hi*p], hi-lo
		out := dst[lo*k*p : hi*k*p]
		clear(out)
		var got []float64
		for i := range b.members {
			m := &b.members[i]
			data := in
			if m.encoder != nil {
				data = m.encoder.Apply(&table.Matrix{Rows: n, Cols: p, Data: in, Names: make([]string, p)}).Data
			}
			got = grown(got, n*k*m.features)
			m.rows(data, n, got, 1)
			for r := range n * k {
				add(out[r*p:(r+1)*p], got[r*m.features:(r+1)*m.features], m.from, m.weight)
			}
		}
	})
}

// add adds weighted contributions to those of the features they came from; from is nil when they are the same.
func add(dst, contributions []float64, from []int, weight float64) {
	for j, v := range contributions {
		if from != nil {
			j = from[j]
		}
		dst[j] += float64(weight * v)
	}
}

// wide rounds to float32, as the blend does.
func (b *blend) wide(x []float64, rows int, dst []float64, workers int) {
	single := make([]float32, len(x))
	for i, v := range x {
		single[i] = float32(v)
	}
	b.rows(single, rows, dst, workers)
}

// Fold adds up contributions by where their features come from: feature j from input from[j] of inputs. contributions
// is rows x features, of one output or of several one after the other, and dst rows x inputs.
func Fold(contributions []float64, from []int, inputs int, dst []float64) {
	p := len(from)
	rows := len(contributions) / p
	dst = dst[:rows*inputs]
	clear(dst)
	for i := range rows {
		add(dst[i*inputs:(i+1)*inputs], contributions[i*p:(i+1)*p], from, 1)
	}
}

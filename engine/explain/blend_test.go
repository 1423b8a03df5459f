package explain_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/encode"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// A preset's contributions add up to the margin of its blend, those of encoded columns at the column they came from.
func TestBlend(t *testing.T) {
	const rows = 600
	for _, c := range []struct {
		task    learner.Task
		classes int
	}{{learner.Binary, 2}, {learner.Multiclass, 3}, {learner.Regression, 0}} {
		t.Run(string(c.task), func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, 4))
			x, y := table.NewMatrix(rows, []string{"shop", "size", "noise"}), make([]float64, rows)
			x.Levels = []int32{120, 0, 0}
			for i := range rows {
				shop := r.IntN(120)
				x.Row(i)[0], x.Row(i)[1], x.Row(i)[2] = float32(shop), float32(r.NormFloat64()), float32(r.NormFloat64())
				z := math.Sin(float64(shop)) + float64(x.Row(i)[1]) + 0.3*r.NormFloat64()
				switch c.task {
				case learner.Binary:
					y[i] = math.Floor(min(max(z+1, 0), 1.99))
				case learner.Multiclass:
					y[i] = math.Floor(min(max(z+1.5, 0), 2.99))
				default:
					y[i] = z
				}
				if r.IntN(8) == 0 {
					x.Row(i)[1] = float32(math.NaN())
				}
			}
			m := blended(t, learner.Set{X: x, Y: y}, c.task, c.classes)
			e, err := explain.New(m)
			if err != nil {
				t.Fatal(err)
			}
			k, p := m.Outputs(), m.Features()
			got, again, predicted := make([]float64, rows*k*p), make([]float64, rows*k*p), make([]float64, rows*k)
			e.Rows(x, got, 2)
			e.Rows(x, again, 1)
			m.Predict(x, predicted)
			for i := range rows {
				margins := make([]float64, k)
				for o := range k {
					margins[o] = e.Expected()[o]
					for j := range p {
						at := (i*k+o)*p + j
						margins[o] += got[at]
						if got[at] != again[at] {
							t.Fatalf("row %d: %v with one worker, %v with two", i, again[at], got[at])
						}
					}
				}
				want := predicted[i*k : (i+1)*k]
				if c.task == learner.Binary {
					want[0] = math.Log(want[0] / (1 - want[0]))
				}
				if c.task == learner.Multiclass { // up to what is common to all classes
					for o := k - 1; o >= 0; o-- {
						want[o], margins[o] = math.Log(want[o])-math.Log(want[0]), margins[o]-margins[0]
					}
				}
				for o := range k {
					if math.Abs(margins[o]-want[o]) > 1e-9 {
						t.Fatalf("row %d, output %d: contributions add up to %v, the margin is %v", i, o, margins[o], want[o])
					}
				}
			}
		})
	}
}

// blended is a preset's model of two members on 10 rounds of trees over an encoding, and a linear model over the columns
// as they are.
func blended(t *testing.T, set learner.Set, task learner.Task, classes int) learner.Model {
	t.Helper()
	fit := func(name string, p learner.Params, x *table.Matrix) []byte {
		l, err := learn.New(name, p)
		if err != nil {
			t.Fatal(err)
		}
		m, err := l.Fit(context.Background(), learner.Set{X: x, Y: set.Y}, task, classes, learner.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	encoder, encoded := encode.Fit(set, task, classes, nil, encode.Options{})
	if encoder == nil {
		t.Fatal("nothing is encoded")
	}
	name, outputs := linear.Logistic, 1
	if task == learner.Regression {
		name = linear.Linear
	}
	if task == learner.Multiclass {
		outputs = classes
	}
	w := wire.NewWriter(preset.Kind, 1)
	w.Text("fast")
	w.Text(string(task))
	w.Uint32(uint32(set.X.Cols))
	w.Uint32(uint32(outputs))
	w.Text("{}")
	w.Uint32(2)
	w.Text("trees")
	w.Floats([]float64{0.7})
	w.Bools([]bool{true})
	encoder.Write(w)
	w.Text(string(fit("gbdt", learner.Params{"rounds": 10}, encoded)))
	w.Text("linear")
	w.Floats([]float64{0.3})
	w.Bools([]bool{false})
	w.Text(string(fit(name, nil, set.X)))
	m, err := learn.Load(w.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFold(t *testing.T) {
	got := []float64{9, 9, 9, 9}
	explain.Fold([]float64{1, 2, 4, 8, 16, 32}, []int{1, 0, 1}, 2, got)
	for i, want := range []float64{2, 5, 16, 40} {
		if got[i] != want {
			t.Errorf("%d: %v, not %v", i, got[i], want)
		}
	}
}

func TestSummarise(t *testing.T) {
	const rows = 1000
	number := &table.Column{Name: "number", Kind: table.Double}
	text := &table.Column{Name: "text", Kind: table.String}
	e := &explain.Explained{Values: &table.Table{Rows: rows}, Outputs: 2, Expected: []float64{0.5, -0.5}}
	for i := range rows {
		v := table.Number(float64(i % 100))
		if i%10 == 0 {
			v = table.Null
		}
		number.Append(v)
		text.Append(table.Text(string(rune('a' + i%26))))
		e.Contributions = append(e.Contributions, float64(i%2), 3, -float64(i%2), -1) // outputs x columns
	}
	e.Values.Add(number)
	e.Values.Add(text)
	s, err := explain.Summarise(e, 5000, []string{"yes", "no"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Rows != rows || s.Of != 5000 || s.Columns[0].Name != "text" || s.Columns[1].Name != "number" {
		t.Fatalf("%d of %d rows, columns %v and %v", s.Rows, s.Of, s.Columns[0].Name, s.Columns[1].Name)
	}
	// Means of sizes: text 3 and 1, number 1/2 and 1/2; shares 4/5 and 1/5.
	if c := s.Columns[0]; c.Mean[0] != 3 || c.Mean[1] != 1 || c.Share != 0.8 {
		t.Errorf("text: %v, share %v", c.Mean, c.Share)
	}
	if c := s.Columns[1]; c.Mean[0] != 0.5 || c.Mean[1] != 0.5 || c.Share != 0.2 {
		t.Errorf("number: %v, share %v", c.Mean, c.Share)
	}
	for _, c := range s.Columns {
		n := 0
		for _, g := range c.Groups {
			n += g.Rows
			if g.Mean[0] < g.Low[0] || g.Mean[0] > g.High[0] {
				t.Errorf("%s: mean %v outside %v to %v", c.Name, g.Mean, g.Low, g.High)
			}
		}
		if n != rows || len(c.Groups) > 21 {
			t.Errorf("%s: %d rows in %d groups", c.Name, n, len(c.Groups))
		}
	}
	if last := s.Columns[1].Groups[len(s.Columns[1].Groups)-1]; !last.Missing || last.Rows != 100 {
		t.Errorf("the missing are %+v", last)
	}
	if rest := s.Columns[0].Groups[19]; !rest.Other || *s.Columns[0].Groups[0].Value != "a" {
		t.Errorf("the rest is %+v", rest)
	}
	sample := s.Sample
	if len(sample.Rows) != 400 || len(sample.Values) != 2 || len(sample.Contributions) != 2 || len(sample.Contributions[1][0]) != 400 {
		t.Fatalf("%d rows, %d columns, %d outputs", len(sample.Rows), len(sample.Values), len(sample.Contributions))
	}
	for i, row := range sample.Rows {
		if sample.Values[0][i] != string(rune('a'+row%26)) || sample.Contributions[1][1][i] != -float32(row%2) || (sample.Values[1][i] == nil) != (row%10 == 0) {
			t.Fatalf("row %d has %v, %v, contributes %v", row, sample.Values[0][i], sample.Values[1][i], sample.Contributions[1][1][i])
		}
	}
	e.Outputs = 3
	if _, err := explain.Summarise(e, 0, []string{"a", "b", "c"}); err == nil {
		t.Error("shapes that do not go together are summarised")
	}
}

func TestDraw(t *testing.T) {
	rows := explain.Draw(1000, 100, 7)
	for i, again := range explain.Draw(1000, 100, 7) {
		if rows[i] != again || i > 0 && rows[i] <= rows[i-1] {
			t.Fatalf("row %d is %d, then %d", i, rows[i], again)
		}
	}
	if len(rows) != 100 || len(explain.Draw(10, 100, 7)) != 10 {
		t.Error("wrong sizes")
	}
}

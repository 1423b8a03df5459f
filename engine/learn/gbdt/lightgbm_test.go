package gbdt_test

import (
	"encoding/json"
	"math"
	"os"
	"sort"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// golden is testdata/objectives.json, which testdata/objectives.py made with LightGBM 4.7.0.
type golden struct {
	Objectives []struct {
		Name, Labels string
		Test         float64 // loss on rows not trained on
		Weighted     float64 // the same, trained with weights
		Forest       float64 // the same, of boosting rf
		Coarse       []float64
	}
}

// The data of objectives.py: SplitMix64 and arithmetic.
type goldenData struct {
	set learner.Set
	u   [][]float64
}

func makeGolden(labels string, seed uint64, levels float64) goldenData {
	const rows, columns = 4000, 7
	x := table.NewMatrix(rows, make([]string, columns))
	d := goldenData{set: learner.Set{X: x, Y: make([]float64, rows)}}
	at := seed
	uniform := func() float64 {
		at += 0x9e3779b97f4a7c15
		z := at
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return float64((z^z>>31)>>11) / (1 << 53)
	}
	for i := range rows {
		v := make([]float64, columns+5)
		for j := range v {
			if v[j] = uniform(); levels > 0 && j < columns {
				v[j] = math.Floor(v[j]*levels) / levels
			}
		}
		z := 4*v[0]*v[1] - 3*v[2] + v[4]*v[4]
		if v[3] > 0.5 {
			z += 2
		}
		for j := range columns {
			x.Row(i)[j] = float32(v[j])
		}
		if v[columns] < 0.1 {
			x.Row(i)[2] = float32(math.NaN())
		}
		u := v[columns+1:]
		d.u = append(d.u, u)
		d.set.Y[i] = goldenLabel(labels, z, u)
	}
	if labels == "grade" {
		for i := 0; len(d.set.Query) < rows; i++ {
			for n := 3 + int(d.u[i][3]*28); n > 0 && len(d.set.Query) < rows; n-- {
				d.set.Query = append(d.set.Query, int32(i))
			}
		}
	}
	return d
}

func goldenLabel(labels string, z float64, u []float64) float64 {
	mean := (z + 3) * (z + 3) / 8
	amount := (mean + 0.01) * (0.1 + u[0]/(u[1]+0.2))
	switch labels {
	case "number":
		return z + (u[0]-0.5)/(u[1]+0.05)
	case "count":
		return math.Floor(2*mean*u[0] + u[1])
	case "amount":
		return amount
	case "sparse":
		if u[2] < 0.4 {
			return 0
		}
		return amount
	case "binary":
		if u[0] < 0.5+(z-1)/(1+math.Abs(z-1))/2 {
			return 1
		}
		return 0
	case "class":
		return min(max(math.Floor(z+2*u[0]), 0), 3)
	}
	return min(max(math.Floor(z+2*u[0]-1), 0), 4)
}

// goldenParams are the parameters that objectives.py gives LightGBM.
var goldenParams = map[string]learner.Params{
	"quantile": {"alpha": 0.8}, "huber": {"alpha": 0.7}, "tweedie": {"tweedie_power": 1.3}, "lambdarank": {"truncation": 10},
}

func taskOf(objective string) (learner.Task, int) {
	switch objective {
	case "logistic":
		return learner.Binary, 2
	case "softmax":
		return learner.Multiclass, 4
	case "lambdarank":
		return learner.Ranking, 0
	}
	return learner.Regression, 0
}

// lossOf is the mean loss that objectives.py measures.
func lossOf(objective string, set learner.Set, p []float64) float64 {
	var sum float64
	for i, y := range set.Y {
		d := p[i] - y
		switch objective {
		case "l2":
			sum += d * d / 2
		case "l1":
			sum += math.Abs(d)
		case "quantile":
			sum += max(-0.8*d, 0.2*d)
		case "huber":
			if d = math.Abs(d); d <= 0.7 {
				sum += d * d / 2
			} else {
				sum += 0.7 * (d - 0.35)
			}
		case "poisson":
			sum += p[i] - y*math.Log(p[i])
		case "gamma":
			sum += y/p[i] + math.Log(p[i])
		case "tweedie":
			sum += y*math.Pow(p[i], -0.3)/0.3 + math.Pow(p[i], 0.7)/0.7
		case "logistic":
			sum -= math.Log(y*p[i] + (1-y)*(1-p[i]))
		case "softmax":
			sum -= math.Log(p[4*i+int(y)])
		case "lambdarank":
			return 1 - meanNDCG(set, p, 10)
		}
	}
	return sum / float64(len(set.Y))
}

// On the same rows, with the same parameters, no objective does worse than LightGBM on rows it has not seen by more than a
// hundredth of the loss, or for rankings of the NDCG.
func TestLossesOfLightGBM(t *testing.T) {
	forEachGolden(t, func(t *testing.T, name, labels string, want map[string]float64) {
		task, classes := taskOf(name)
		train, test := makeGolden(labels, 1, 0), makeGolden(labels, 2, 0)
		weights := make([]float64, len(train.u))
		for i, u := range train.u {
			weights[i] = 0.25 + u[3]
		}
		for _, c := range []struct {
			key    string
			params learner.Params
			opt    learner.Options
		}{
			{"test", learner.Params{}, learner.Options{}},
			{"weighted", learner.Params{}, learner.Options{Weights: weights}},
			{"forest", learner.Params{"boosting": "rf", "subsample": 0.632, "leaves": 63}, learner.Options{}},
		} {
			if want[c.key] == 0 || testing.Short() && c.key != "test" {
				continue
			}
			params := learner.Params{"objective": name, "rounds": 40}
			for _, more := range []learner.Params{goldenParams[name], c.params} {
				for k, v := range more {
					params[k] = v
				}
			}
			m := fit(t, params, train.set, task, classes, c.opt)
			p := make([]float64, len(test.set.Y)*m.Outputs())
			m.Predict(test.set.X, p)
			got := lossOf(name, test.set, p)
			t.Logf("%s: %.5f, LightGBM %.5f", c.key, got, want[c.key])
			scale := math.Abs(want[c.key])
			switch name {
			case "lambdarank":
				scale = 1 - scale
			case "poisson": // its loss has no zero of its own: that of perfect predictions is taken off
				for _, y := range test.set.Y {
					if y > 0 {
						scale -= (y - y*math.Log(y)) / float64(len(test.set.Y))
					}
				}
			}
			if got > want[c.key]+0.01*scale {
				t.Errorf("%s: loss %v, LightGBM's is %v", c.key, got, want[c.key])
			}
		}
	})
}

// Where columns have few values, both libraries choose among the same splits, and so grow the same trees: predictions
// then differ by LightGBM's float32 alone. This holds gradients, hessians, starting points and leaf values to its own.
func TestTreesOfLightGBM(t *testing.T) {
	read := readGolden(t)
	for _, o := range read.Objectives {
		t.Run(o.Name, func(t *testing.T) {
			task, classes := taskOf(o.Name)
			d := makeGolden(o.Labels, 3, 8)
			params := learner.Params{"objective": o.Name, "rounds": 4, "leaves": 7, "min_leaf": 60, "l2": 1}
			for k, v := range goldenParams[o.Name] {
				params[k] = v
			}
			m := fit(t, params, d.set, task, classes, learner.Options{})
			p := make([]float64, len(d.set.Y)*m.Outputs())
			m.Predict(d.set.X, p)
			for i, want := range o.Coarse {
				if math.Abs(p[i]-want) > 1e-5*(1+math.Abs(want)) {
					t.Fatalf("prediction %d is %v, LightGBM's is %v", i, p[i], want)
				}
			}
		})
	}
}

func readGolden(t *testing.T) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/objectives.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func forEachGolden(t *testing.T, check func(t *testing.T, name, labels string, want map[string]float64)) {
	for _, o := range readGolden(t).Objectives {
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			check(t, o.Name, o.Labels, map[string]float64{"test": o.Test, "weighted": o.Weighted, "forest": o.Forest})
		})
	}
}

// meanNDCG is the mean over the queries of the discounted gain of the first k by the best there is.
func meanNDCG(set learner.Set, p []float64, k int) float64 {
	var total, count float64
	for from := 0; from < len(p); count++ {
		to := from
		for to < len(p) && set.Query[to] == set.Query[from] {
			to++
		}
		order := make([]int, to-from)
		for i := range order {
			order[i] = from + i
		}
		dcg := func(better func(a, b int) bool) (sum float64) {
			sort.SliceStable(order, func(a, b int) bool { return better(order[a], order[b]) })
			for i, row := range order[:min(k, len(order))] {
				sum += (math.Exp2(set.Y[row]) - 1) / math.Log2(float64(i+2))
			}
			return sum
		}
		got := dcg(func(a, b int) bool { return p[a] > p[b] || p[a] == p[b] && a < b })
		if best := dcg(func(a, b int) bool { return set.Y[a] > set.Y[b] }); best > 0 {
			total += got / best
		} else {
			total++
		}
		from = to
	}
	return total / count
}

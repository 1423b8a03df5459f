package compare

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// number reads what golden.py writes for NaN and infinities.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"nan"`:
		*n = number(math.NaN())
	case `"inf"`:
		*n = number(math.Inf(1))
	case `"-inf"`:
		*n = number(math.Inf(-1))
	default:
		return json.Unmarshal(b, (*float64)(n))
	}
	return nil
}

type given struct {
	B, C                             int
	Method, Zeros                    string
	D, P, Resamples, Jackknife       []float64
	Ratio, Rope, Alpha, Value, Level float64
	X, Diff                          [][]float64
}

// golden is testdata/golden.json, written by testdata/golden.py with the versions it names.
func golden(t *testing.T) (cases []struct {
	Test string
	In   given
	Want map[string]json.RawMessage
}) {
	t.Helper()
	var file struct{ Cases json.RawMessage }
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err == nil {
		err = json.Unmarshal(file.Cases, &cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// answer is what a test says, as the fields of its golden case.
func answer(test string, in given) (map[string]any, error) {
	switch test {
	case "mcnemar":
		r, err := McNemar(in.B, in.C, McNemarMethod(in.Method))
		return map[string]any{"statistic": r.Statistic, "p": r.P}, err
	case "cochran_q":
		r, err := CochranQ(in.X)
		return map[string]any{"statistic": r.Statistic, "df": r.DF, "p": r.P}, err
	case "corrected_t":
		r, err := CorrectedT(in.D, in.Ratio)
		return map[string]any{"t": r.T, "df": r.DF, "p": r.P, "mean": r.Mean, "lo": r.Lo, "hi": r.Hi}, err
	case "bayesian_t":
		r, err := BayesianT(in.D, in.Ratio, in.Rope)
		return map[string]any{"lower": r.Lower, "equivalent": r.Equivalent, "higher": r.Higher}, err
	case "f5x2cv":
		r, err := FiveByTwoF(in.Diff)
		return map[string]any{"statistic": r.Statistic, "p": r.P}, err
	case "wilcoxon":
		r, err := Wilcoxon(in.D, ZeroMethod(in.Zeros), WilcoxonMethod(in.Method))
		return map[string]any{"statistic": r.Statistic, "p": r.P}, err
	case "hodges_lehmann":
		v, err := HodgesLehmann(in.D)
		return map[string]any{"value": v}, err
	case "friedman":
		r, err := Friedman(in.X)
		return map[string]any{"statistic": r.Statistic, "df": r.DF, "p": r.P, "mean_ranks": r.MeanRanks, "f": r.F, "f_p": r.FP}, err
	case "nemenyi":
		names := make([]string, len(in.X[0]))
		r, err := Nemenyi(in.X, names, false, in.Alpha)
		if err != nil {
			return nil, err
		}
		// The p-values of the golden case are in the order of the columns.
		place := make([]int, len(names))
		for j, a := range r.Friedman.MeanRanks {
			for i, b := range r.Ranks {
				if a == b {
					place[j] = i
				}
			}
		}
		p := make([][]float64, len(names))
		for i := range p {
			for j := range p {
				p[i] = append(p[i], r.P[place[i]][place[j]])
			}
		}
		return map[string]any{"cd": r.CD, "ranks": r.Ranks, "p": p}, nil
	case "sign_flip":
		r, err := SignFlip(in.D)
		return map[string]any{"p": r.P, "patterns": r.Patterns}, err
	case "holm":
		return map[string]any{"p": Holm(in.P)}, nil
	case "bh":
		return map[string]any{"p": BenjaminiHochberg(in.P)}, nil
	case "bca":
		e := Estimate{Value: in.Value, Level: in.Level}
		e.interval(in.Resamples, [][]float64{in.Jackknife})
		return map[string]any{"lo": e.Lo, "hi": e.Hi}, nil
	}
	return nil, errors.New("no such test")
}

// Statistics are held to 1e-12 and p-values to 1e-10, both relative.
func TestAgainstReferences(t *testing.T) {
	cases := golden(t)
	if len(cases) < 200 {
		t.Fatalf("only %d cases", len(cases))
	}
	for i, c := range cases {
		got, err := answer(c.Test, c.In)
		if err != nil {
			t.Errorf("case %d, %s: %v", i, c.Test, err)
			continue
		}
		for name, raw := range c.Want {
			tolerance := 1e-12
			switch name {
			case "p", "f_p", "lower", "equivalent", "higher", "lo", "hi", "cd":
				tolerance = 1e-10
			}
			var list []number
			var table [][]number
			var single number
			switch g := got[name].(type) {
			case float64:
				if err := json.Unmarshal(raw, &single); err != nil {
					t.Fatal(err)
				}
				near(t, i, c.Test, name, g, float64(single), tolerance)
			case []float64:
				if err := json.Unmarshal(raw, &list); err != nil || len(list) != len(g) {
					t.Fatal(err, len(list), len(g))
				}
				for j := range g {
					near(t, i, c.Test, name, g[j], float64(list[j]), tolerance)
				}
			case [][]float64:
				if err := json.Unmarshal(raw, &table); err != nil || len(table) != len(g) {
					t.Fatal(err, len(table), len(g))
				}
				for j := range g {
					for k := range g[j] {
						near(t, i, c.Test, name, g[j][k], float64(table[j][k]), tolerance)
					}
				}
			default:
				t.Fatalf("%s has no %s", c.Test, name)
			}
		}
	}
}

func near(t *testing.T, at int, test, name string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(want) && math.IsNaN(got) || got == want {
		return
	}
	allowed := tolerance * math.Abs(want)
	if test == "nemenyi" {
		allowed += 1e-15 // scipy's upper tail is one minus the lower
	}
	if !(math.Abs(got-want) <= allowed) {
		t.Errorf("case %d, %s: %s is %v, the reference says %v (off by %.2g)", at, test, name, got, want, math.Abs(got-want)/math.Abs(want))
	}
}

func TestImpossibleDataAreInvalid(t *testing.T) {
	nan := math.NaN()
	for name, err := range map[string]error{
		"negative counts":  second(McNemar(-1, 2, Exact)),
		"method":           second(McNemar(1, 2, "exakt")),
		"ragged":           second(CochranQ([][]float64{{1, 0}, {1}})),
		"not 0 or 1":       second(CochranQ([][]float64{{1, 2}})),
		"no rows":          second(Friedman(nil)),
		"one model":        second(Friedman([][]float64{{1}})),
		"NaN score":        second(Friedman([][]float64{{1, nan}})),
		"one difference":   second(CorrectedT([]float64{1}, 0.1)),
		"ratio":            second(CorrectedT([]float64{1, 2}, nan)),
		"rope":             second(BayesianT([]float64{1, 2}, 0, -1)),
		"four repetitions": second(FiveByTwoF(make([][]float64, 4))),
		"three folds":      second(FiveByTwoF([][]float64{{1, 2, 3}, {}, {}, {}, {}})),
		"infinite":         second(Wilcoxon([]float64{math.Inf(1)}, Drop, Untied)),
		"zero method":      second(Wilcoxon([]float64{1}, "zsplit", Untied)),
		"Wilcoxon method":  second(Wilcoxon([]float64{1}, Drop, "normal")),
		"too many exact":   second(Wilcoxon(make([]float64, 2000), Pratt, Untied)),
		"too many flips":   second(SignFlip(make([]float64, 41))),
		"no flips":         second(SignFlip(nil)),
		"no patterns":      second(SignFlipSampled([]float64{1}, 0, 1)),
		"names":            second(Nemenyi([][]float64{{1, 2}}, []string{"a"}, true, 0.05)),
		"alpha":            second(Nemenyi([][]float64{{1, 2}}, []string{"a", "b"}, true, 0)),
		"no rows to draw":  second(Bootstrap(0, nil, Plan{})),
		"level":            second(Bootstrap(1, nil, Plan{Level: 1})),
		"strata":           second(Bootstrap(2, nil, Plan{Strata: []int32{1}})),
		"block":            second(Bootstrap(2, nil, Plan{Block: -1})),
		"predictions":      second(BootstrapDifference([]float64{1}, []float64{1}, []float64{1, 2}, nil, Plan{})),
		"permuted rows":    second(Permutation([]float64{1, 2}, []float64{1}, []float64{1}, nil, 10, 0)),
		"Hodges":           second(HodgesLehmann([]float64{nan})),
		"Hodges too many":  second(HodgesLehmann(make([]float64, 6000))),
		"discordant rows":  third(Discordant([]bool{true}, nil)),
	} {
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error   { return err }
func third[T any](_, _ T, err error) error { return err }

package tail_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
)

// Every tail is held to 1e-10 relative, down to 1e-300, to testdata/golden.json, written by testdata/golden.py.
func TestAgainstReferences(t *testing.T) {
	var file struct {
		Cases []struct {
			Tail string
			Args []float64
			Want float64
		}
	}
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Cases {
		a := c.Args
		var got float64
		switch c.Tail {
		case "normal":
			got = tail.Normal(a[0])
		case "normal_both":
			got = tail.NormalBoth(a[0])
		case "chi_squared":
			got = tail.ChiSquared(a[0], a[1])
		case "student":
			got = tail.Student(a[0], a[1])
		case "student_both":
			got = tail.StudentBoth(a[0], a[1])
		case "f":
			got = tail.F(a[0], a[1], a[2])
		case "coin":
			got, _ = tail.BinomialHalf(int(a[0]), int(a[1]))
		case "coin_point":
			_, got = tail.BinomialHalf(int(a[0]), int(a[1]))
		case "range":
			got = tail.StudentizedRange(a[0], int(a[1]))
			if p := c.Want; p > 1e-12 && p < 0.99 {
				if q := tail.StudentizedRangeQuantile(p, int(a[1])); math.Abs(q-a[0]) > 1e-10*a[0] {
					t.Errorf("the quantile of %v for %v is %v, not %v", p, a[1], q, a[0])
				}
			}
		default:
			t.Fatal(c.Tail)
		}
		if !(math.Abs(got-c.Want) <= 1e-10*c.Want+1e-300) {
			t.Errorf("%s%v is %v, the reference says %v (off by %.2g)", c.Tail, a, got, c.Want, math.Abs(got-c.Want)/c.Want)
		}
	}
}

func TestEnds(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for name, v := range map[string][2]float64{
		"chi-squared of all":      {tail.ChiSquared(inf, 2), 0},
		"chi-squared of nothing":  {tail.ChiSquared(-1, 2), 1},
		"student of all":          {tail.StudentBoth(-inf, 2), 0},
		"student without limit":   {tail.StudentBoth(1.5, inf), tail.NormalBoth(1.5)},
		"student below all":       {tail.Student(-inf, 3), 1},
		"F of all":                {tail.F(inf, 1, 2), 0},
		"F of nothing":            {tail.F(0, 1, 2), 1},
		"range of all":            {tail.StudentizedRange(inf, 3), 0},
		"range of nothing":        {tail.StudentizedRange(0, 3), 1},
		"chi-squared of NaN":      {tail.ChiSquared(nan, 2), nan},
		"chi-squared of no df":    {tail.ChiSquared(1, 0), nan},
		"student of NaN":          {tail.Student(nan, 2), nan},
		"student of no df":        {tail.StudentBoth(1, -1), nan},
		"F of NaN":                {tail.F(1, nan, 2), nan},
		"range of NaN":            {tail.StudentizedRange(nan, 2), nan},
		"range of one":            {tail.StudentizedRange(1, 1), nan},
		"quantile of no chance":   {tail.StudentizedRangeQuantile(0, 3), nan},
		"quantile of one's range": {tail.StudentizedRangeQuantile(0.5, 1), nan},
	} {
		if v[0] != v[1] && !(math.IsNaN(v[0]) && math.IsNaN(v[1])) {
			t.Errorf("%s is %v, not %v", name, v[0], v[1])
		}
	}
}

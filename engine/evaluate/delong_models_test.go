package evaluate_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func ranked(n int, seed uint64) (y []float64, scores [][]float64) {
	r := rand.New(rand.NewPCG(seed, 0))
	y, scores = make([]float64, n), make([][]float64, 3)
	for i := range y {
		y[i] = float64(r.IntN(2))
		shared := r.NormFloat64()
		for m := range scores {
			scores[m] = append(scores[m], math.Round(10*(shared+y[i]*float64(m+1)/2+r.NormFloat64()))/10)
		}
	}
	return y, scores
}

func TestTwoModelsAreDeLongsTest(t *testing.T) {
	y, s := ranked(80, 1)
	want := evaluate.DeLong(y, s[0], s[2])
	got, err := evaluate.DeLongAll(y, [][]float64{s[0], s[2]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.DF != 1 || !near(got.Statistic, want.Z*want.Z, 1e-12) || !near(got.P, want.P, 1e-12) || got.AUC[1] != want.AUC2 || got.Covariance[0][1] != want.Covariance || got.Pairs[0][1] != want.P {
		t.Errorf("%+v, not %+v", got, want)
	}
}

// The reference is numpy 2.4.6 on the definition of the paper, by all pairs of rows, and scipy 1.17.1's chi-squared.
func TestThreeModels(t *testing.T) {
	y := []float64{1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}
	s := [][]float64{{.9, .4, .7, .3, .6, .2, .5, .1, .35, .6, .3}, {.8, .7, .9, .2, .5, .3, .4, .1, .6, .2, .5}, {.3, .5, .2, .9, .4, .6, .1, .5, .7, .3, .4}}
	const wantAll, wantAllP, wantOne, wantOneP = 1.0336863600571176, 0.5964003077800494, 1.0154711673699017, 0.3135956749695059
	got, err := evaluate.DeLongAll(y, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.DF != 2 || !near(got.Statistic, wantAll, 1e-12) || !near(got.P, wantAllP, 1e-10) {
		t.Errorf("%v, %v", got.Statistic, got.P)
	}
	got, err = evaluate.DeLongAll(y, s, [][]float64{{0.5, 0.5, -1}})
	if err != nil {
		t.Fatal(err)
	}
	if got.DF != 1 || !near(got.Statistic, wantOne, 1e-12) || !near(got.P, wantOneP, 1e-10) {
		t.Errorf("contrast: %v, %v", got.Statistic, got.P)
	}
	// What does not depend on the order of models, or on a contrast that says the same again.
	again, err := evaluate.DeLongAll(y, [][]float64{s[2], s[0], s[1]}, [][]float64{{1, -1, 0}, {0, 1, -1}, {1, 0, -1}})
	if err != nil || again.DF != 2 || !near(again.Statistic, wantAll, 1e-10) {
		t.Errorf("in another order: %+v, %v", again, err)
	}
}

func TestModelsThatRankAlike(t *testing.T) {
	y, s := ranked(50, 2)
	twice := make([]float64, len(y))
	for i, v := range s[0] {
		twice[i] = 2 * v
	}
	got, err := evaluate.DeLongAll(y, [][]float64{s[0], twice}, nil)
	if err != nil || got.DF != 0 || got.P != 1 || !got.Defined {
		t.Errorf("the same ranks: %+v, %v", got, err)
	}
	got, err = evaluate.DeLongAll(y, [][]float64{s[0], twice, s[1]}, nil)
	if err != nil || got.DF != 1 || got.Pairs[0][1] != 1 {
		t.Errorf("two of three with the same ranks: %+v, %v", got, err)
	}
	perfect := [][]float64{{1, 1, 0, 0}, {0, 0, 1, 1}}
	got, err = evaluate.DeLongAll([]float64{1, 1, 0, 0}, perfect, nil)
	if err != nil || got.P != 0 || got.Statistic != math.MaxFloat64 {
		t.Errorf("all right and all wrong: %+v, %v", got, err)
	}
	got, err = evaluate.DeLongAll([]float64{1, 0, 0, 0}, perfect, nil)
	if err != nil || got.Defined || got.P != 1 {
		t.Errorf("one positive: %+v, %v", got, err)
	}
}

func TestImpossibleContrastsAreInvalid(t *testing.T) {
	y, s := ranked(20, 3)
	for name, c := range map[string]struct{ scores, contrasts [][]float64 }{
		"one model":    {s[:1], nil},
		"short scores": {[][]float64{s[0], s[1][:5]}, nil},
		"sum":          {s, [][]float64{{1, 1, -1}}},
		"width":        {s, [][]float64{{1, -1}}},
		"NaN":          {s, [][]float64{{1, math.NaN(), -1}}},
	} {
		var f *fault.Error
		if _, err := evaluate.DeLongAll(y, c.scores, c.contrasts); !errors.As(err, &f) || f.Code != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

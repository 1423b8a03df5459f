package life

import (
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/explain"
)

// TestExplanations asks a trained version why: for its held-out rows, for a row of its page, and for a prediction.
func TestExplanations(t *testing.T) {
	s, _ := deployed(t)
	features := []string{"hour_at", "shop", "x", "z"}

	var held explain.Summary
	s.must(http.MethodGet, "/api/v1/models/toy/versions/1/explanations", nil, &held)
	var names []string
	for _, c := range held.Columns {
		names = append(names, c.Name)
		rows := 0
		for _, g := range c.Groups {
			rows += g.Rows
		}
		if rows != held.Rows || len(c.Mean) != 1 {
			t.Errorf("%s: %d of %d rows in groups, means %v", c.Name, rows, held.Rows, c.Mean)
		}
	}
	if names[0] != "x" {
		t.Errorf("the labels follow x, and the most influential column is %s", names[0])
	}
	slices.Sort(names)
	if !slices.Equal(names, features) || held.Outputs[0] != "bought" || held.Rows < 50 || held.Sample == nil || len(held.Sample.Values) != 4 || len(held.Sample.Contributions[0][0]) != len(held.Sample.Rows) {
		t.Errorf("%v, %d of %d rows, outputs %v", names, held.Rows, held.Of, held.Outputs)
	}

	at, x, z, shop, _ := visit(1)
	row := map[string]any{"x": x, "z": z, "shop": shop, "at": at.Format(time.RFC3339)}
	var page struct {
		Features []string
		Expected []float64
		Rows     []struct {
			Scores, Margin []float64
			Values         []any
			Contributions  [][]float64
		}
	}
	s.must(http.MethodPost, "/api/v1/models/toy/versions/1/explain", map[string]any{"rows": []any{row, map[string]any{"x": x}}}, &page)
	for i, r := range page.Rows {
		sum := page.Expected[0]
		for _, c := range r.Contributions[0] {
			sum += c
		}
		if p := 1 / (1 + math.Exp(-sum)); math.Abs(sum-r.Margin[0]) > 1e-9 || math.Abs(p-r.Scores[0]) > 1e-9 {
			t.Errorf("row %d: contributions add up to %v, the margin is %v, the score %v", i, sum, r.Margin[0], r.Scores[0])
		}
	}
	if at := slices.Index(page.Features, "shop"); page.Rows[0].Values[at] != shop || page.Rows[1].Values[at] != nil {
		t.Errorf("values are %v", page.Rows)
	}

	asked := request(1)
	asked["explain"] = true
	var got struct {
		Predictions []struct {
			Version     int
			Score       float64
			Explanation *struct {
				Expected, Margin []float64
				Contributions    map[string][]float64
			}
		}
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/predict", asked, &got)
	p := got.Predictions[0]
	if p.Explanation == nil || len(p.Explanation.Contributions) != 4 || p.Score != page.Rows[0].Scores[0] || p.Explanation.Margin[0] != page.Rows[0].Margin[0] {
		t.Errorf("%+v, on the page %+v", p, page.Rows[0])
	}
	if status, _ := s.call(http.MethodGet, "/api/v1/models/toy/versions/9/explanations", nil, nil); status != http.StatusNotFound {
		t.Errorf("a version that is not there: %d", status)
	}
}

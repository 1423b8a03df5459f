package track_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/filter"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// TestSearchesAnswerAsMLflowDoes logs the runs over which the golden tables of package filter were made with MLflow 3.17.2, and asks the same.
func TestSearchesAnswerAsMLflowDoes(t *testing.T) {
	doc, err := os.ReadFile("../../internal/filter/testdata/runs.json")
	must(t, err)
	var golden struct {
		Rows []struct {
			ID         string
			Attributes struct {
				Name   string `json:"run_name"`
				User   string `json:"user_id"`
				Status string
				Start  *int64 `json:"start_time"`
				End    *int64 `json:"end_time"`
			}
			Metrics  map[string]any
			Params   map[string]string
			Tags     map[string]string
			Datasets []struct{ Name, Digest, Context string }
		}
		Filters []struct {
			Filter string
			Found  []int
		}
		Orders []struct {
			OrderBy []any `json:"order_by"`
			Found   []int
		}
	}
	must(t, json.Unmarshal(doc, &golden))
	dir := t.TempDir()
	w := openWorld(t, catalogtest.Open(t, filepath.Join(dir, "catalog.db"), schemas...), dir)
	ctx := t.Context()
	experiment := got(w.CreateExperiment(ctx, track.NewExperiment{Name: "golden", ArtifactRoot: "file:///artifacts/1"}))(t).ID
	place := map[string]int{}
	for i, row := range golden.Rows {
		a := row.Attributes
		n := track.NewRun{ID: row.ID, ExperimentID: experiment, Name: a.Name, User: a.User}
		if a.Start != nil {
			at := time.UnixMilli(*a.Start)
			n.StartedAt = &at
		}
		got(w.CreateRun(ctx, n))(t)
		place[row.ID] = i
		var b track.Batch
		for key, value := range row.Metrics {
			v, ok := value.(float64)
			if !ok {
				v = math.NaN()
			}
			b.Metrics = append(b.Metrics, track.Metric{Key: key, Value: v})
		}
		for key, value := range row.Params {
			b.Params = append(b.Params, track.Param{Key: key, Value: value})
		}
		for key, value := range row.Tags {
			b.Tags = append(b.Tags, track.Tag{Key: key, Value: value})
		}
		must(t, w.LogBatch(ctx, row.ID, b))
		var inputs []track.DatasetInput
		for _, d := range row.Datasets {
			in := track.DatasetInput{Dataset: track.Dataset{Name: d.Name, Digest: d.Digest, SourceType: "local", Source: "s"}}
			if d.Context != "" {
				in.Tags = []track.Tag{{Key: track.TagContext, Value: d.Context}}
			}
			inputs = append(inputs, in)
		}
		must(t, w.LogInputs(ctx, row.ID, inputs, nil))
		ch := track.RunChange{State: ptr(strings.ToLower(a.Status))}
		if a.End != nil {
			ch.FinishedAt = ptr(time.UnixMilli(*a.End))
		}
		got(w.UpdateRun(ctx, row.ID, ch))(t)
	}
	ask := func(s track.Search) (places []int) {
		for _, id := range w.found(t, track.RunSearch{Experiments: []string{experiment}, Search: s}) {
			places = append(places, place[id])
		}
		return places
	}
	asked := 0
	for _, g := range golden.Filters {
		if _, err := filter.Parse(filter.Runs, g.Filter); err != nil || g.Found == nil {
			continue // what is refused is a matter of package filter
		}
		asked++
		found := ask(track.Search{Filter: g.Filter})
		slices.Sort(found)
		slices.Sort(g.Found)
		if !slices.Equal(found, g.Found) {
			t.Errorf("%s: %v, MLflow finds %v", g.Filter, found, g.Found)
		}
	}
	for _, g := range golden.Orders {
		var orders []string
		for _, o := range g.OrderBy {
			if text, ok := o.(string); ok {
				orders = append(orders, text)
			}
		}
		if _, err := filter.ParseOrder(filter.Runs, orders); err != nil || g.Found == nil || len(orders) != len(g.OrderBy) {
			continue
		}
		asked++
		if found := ask(track.Search{OrderBy: orders, MaxResults: 7}); !slices.Equal(found, g.Found) {
			t.Errorf("order %q: %v, MLflow's is %v", orders, found, g.Found)
		}
	}
	if asked < 500 {
		t.Errorf("only %d questions were asked", asked)
	}
}

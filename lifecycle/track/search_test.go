package track_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/filter"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// found are the ids of a whole search, page by page.
func (w *world) found(t testing.TB, q track.RunSearch) (ids []string) {
	t.Helper()
	for {
		runs, next, err := w.SearchRuns(context.Background(), q)
		must(t, err)
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if next == "" {
			return ids
		}
		if q.MaxResults > 0 && len(runs) != q.MaxResults {
			t.Fatalf("a page of %d, with another behind it, has %d runs", q.MaxResults, len(runs))
		}
		q.PageToken = next
	}
}

// naive answers a search by looking at every run, one after the other.
func naive(t testing.TB, runs []*track.Run, q track.RunSearch) (ids []string) {
	t.Helper()
	clauses, err := filter.Parse(filter.Runs, q.Filter)
	must(t, err)
	orders, err := filter.ParseOrder(filter.Runs, q.OrderBy)
	must(t, err)
	orders = filter.Total(filter.Runs, orders)
	var hits []*track.Run
	for _, r := range runs {
		sees := q.View == track.ViewAll || (q.View == track.ViewDeleted) == (r.Stage == track.StageDeleted)
		if sees && slices.Contains(q.Experiments, r.ExperimentID) && !slices.ContainsFunc(clauses, func(c filter.Clause) bool { return !meets(r, c) }) {
			hits = append(hits, r)
		}
	}
	slices.SortFunc(hits, func(a, b *track.Run) int {
		for _, o := range orders {
			if c := o.Compare(valueOf(a, o.Kind, o.Key), valueOf(b, o.Kind, o.Key)); c != 0 {
				return c
			}
		}
		return 0
	})
	for _, r := range hits {
		ids = append(ids, r.ID)
	}
	return ids
}

func meets(r *track.Run, c filter.Clause) bool {
	if c.Kind != filter.Dataset {
		v := valueOf(r, c.Kind, c.Key)
		if v.Numeric {
			return c.MatchNumber(v.Number, !v.Null)
		}
		return c.MatchText(v.Text, !v.Null)
	}
	return slices.ContainsFunc(r.Datasets, func(d track.DatasetInput) bool {
		switch c.Key {
		case "name":
			return c.MatchText(d.Dataset.Name, true)
		case "digest":
			return c.MatchText(d.Dataset.Digest, true)
		}
		i := slices.IndexFunc(d.Tags, func(t track.Tag) bool { return t.Key == track.TagContext })
		return i >= 0 && c.MatchText(d.Tags[i].Value, true)
	})
}

func valueOf(r *track.Run, kind filter.Kind, key string) filter.Value {
	word := func(v string, ok bool) filter.Value { return filter.Value{Text: v, Null: !ok} }
	number := func(v float64, ok bool) filter.Value { return filter.Value{Number: v, Null: !ok, Numeric: true} }
	switch kind {
	case filter.Metric:
		v, ok := r.Metrics[key]
		return number(v, ok)
	case filter.Param:
		v, ok := r.Params[key]
		return word(v, ok)
	case filter.Tag:
		v, ok := r.Tags[key]
		return word(v, ok)
	}
	switch key {
	case "run_id":
		return word(r.ID, true)
	case "run_name":
		return word(r.Name, true)
	case "user_id":
		return word(r.User, true)
	case "status":
		return word(strings.ToUpper(r.State), true)
	case "artifact_uri":
		return word(r.ArtifactURI, true)
	case "start_time":
		return number(float64(r.StartedAt.UnixMilli()), true)
	}
	if r.FinishedAt == nil {
		return number(0, false)
	}
	return number(float64(r.FinishedAt.UnixMilli()), true)
}

// dice makes runs and searches. What it throws collides often: few keys, few values.
type dice struct{ *rand.Rand }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func (d dice) value() float64 {
	return pick(d, math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1, 0.5, 1e300, d.Float64())
}

func (d dice) word() string {
	return pick(d, "", "a", "A", "ab", "abcdefgh", "abcdefghi", "abcdefghj", "ä", "adam", "10", "9", "it's", fmt.Sprint(d.IntN(1000)))
}

// change does one random thing to one of the runs, or makes another.
func (w *world) change(t testing.TB, d dice, experiments []string, runs *[]string) {
	ctx := context.Background()
	if len(*runs) < 5 || d.IntN(4) == 0 {
		at := start.Add(time.Duration(d.IntN(20)) * time.Millisecond)
		n := track.NewRun{ExperimentID: pick(d, experiments...), User: d.word(), StartedAt: &at, Name: pick(d, "", d.word())}
		if d.IntN(10) == 0 {
			n.ID = fmt.Sprintf("odd-%d", d.Uint64())
		}
		r := got(w.CreateRun(ctx, n))(t)
		*runs = append(*runs, r.ID)
		return
	}
	i := d.IntN(len(*runs))
	id := (*runs)[i]
	var err error
	switch d.IntN(12) {
	case 0, 1, 2, 3:
		err = w.LogMetric(ctx, id, track.Metric{Key: pick(d, "m", "val/loss"), Value: d.value(), Step: int64(d.IntN(5)), At: int64(d.IntN(5))})
	case 4, 5:
		err = w.LogParam(ctx, id, track.Param{Key: pick(d, "p", "learning rate"), Value: d.word()})
		if fault.Is(err, fault.Invalid) { // it has one already
			err = nil
		}
	case 6:
		err = w.SetTag(ctx, id, track.Tag{Key: pick(d, "t", "team"), Value: d.word()})
	case 7:
		err = w.DeleteTag(ctx, id, "t")
	case 8:
		end := start.Add(time.Duration(d.IntN(20)) * time.Millisecond)
		_, err = w.UpdateRun(ctx, id, track.RunChange{State: ptr(pick(d, track.Finished, track.Failed, track.Running)), FinishedAt: pick(d, nil, &end)})
	case 9:
		in := track.DatasetInput{Dataset: track.Dataset{Name: pick(d, "d", "e"), Digest: pick(d, "1", "2"), SourceType: "local", Source: "s"}}
		if d.IntN(3) > 0 {
			in.Tags = []track.Tag{{Key: track.TagContext, Value: pick(d, "train", "eval")}}
		}
		err = w.LogInputs(ctx, id, []track.DatasetInput{in}, nil)
	case 10:
		if err = w.DeleteRun(ctx, id); d.IntN(2) == 0 {
			err = w.RestoreRun(ctx, id)
		}
	case 11:
		if d.IntN(3) == 0 {
			err = w.HardDeleteRun(ctx, id)
			*runs = slices.Delete(*runs, i, i+1)
		}
	}
	if err != nil && !fault.Is(err, fault.NotFound) && !strings.Contains(err.Error(), "'active' state") {
		t.Fatal(err)
	}
}

func (d dice) search(runs []string) track.RunSearch {
	text := func(field string) string {
		return field + pick(d, " = ", " != ", " LIKE ", " ILIKE ") + pick(d, "'a'", "'%a%'", "'a_'", "'A%'", "'9'", "'abcdefgh%'", `"it's"`, "'%'")
	}
	clause := func() string {
		switch d.IntN(9) {
		case 0, 1:
			return pick(d, "metrics.m", "metrics.`val/loss`", "metrics.none") + pick(d, " > ", " >= ", " < ", " <= ", " = ", " != ") + pick(d, "0", "0.5", "-1", "1e999")
		case 2:
			return text(pick(d, "params.p", "params.`learning rate`", "params.none"))
		case 3:
			return text(pick(d, "tags.t", "tags.team", "run_name", "user_id", "artifact_uri", "attributes.run_id"))
		case 4:
			return pick(d, "params.p", "tags.t", "tags.none") + pick(d, " IS NULL", " IS NOT NULL")
		case 5:
			return "status" + pick(d, " = ", " != ") + pick(d, "'FINISHED'", "'RUNNING'", "'finished'")
		case 6:
			return pick(d, "start_time", "end_time", "attr.created") + pick(d, " > ", " <= ", " = ", " != ") + fmt.Sprint(start.UnixMilli()+d.Int64N(20))
		case 7:
			return pick(d, "datasets.name", "datasets.digest", "datasets.context") + pick(d, " = 'd'", " != 'e'", " IN ('train', '1', 'd')", " NOT IN ('train')", " LIKE '%a%'")
		}
		return "run_id" + pick(d, " IN ", " NOT IN ") + fmt.Sprintf("('%s', '%s')", pick(d, runs...), pick(d, runs...))
	}
	q := track.RunSearch{}
	var parts []string
	for range pick(d, 0, 0, 1, 1, 2, 3) {
		parts = append(parts, clause())
	}
	q.Filter = strings.Join(parts, " AND ")
	fields := []string{"metrics.m", "metrics.`val/loss`", "params.p", "tags.t", "run_name", "user_id", "status", "start_time", "end_time", "run_id", "artifact_uri", "params.none"}
	d.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	for _, f := range fields[:d.IntN(4)] {
		q.OrderBy = append(q.OrderBy, f+pick(d, "", " ASC", " DESC"))
	}
	q.View = pick(d, "", track.ViewActive, track.ViewDeleted, track.ViewAll)
	q.MaxResults = pick(d, 0, 1, 2, 3, 7, 50)
	return q
}

// TestSearchesFindWhatLookingAtEveryRunFinds changes runs at random and compares searches with the naive answer.
func TestSearchesFindWhatLookingAtEveryRunFinds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for seed := range uint64(4) {
			d := dice{rand.New(rand.NewPCG(seed, 1))}
			experiments := []string{"0", got(w.CreateExperiment(t.Context(), track.NewExperiment{Name: fmt.Sprint("other", seed)}))(t).ID}
			var ids []string
			for range 30 {
				for range 12 {
					w.change(t, d, experiments, &ids)
				}
				var runs []*track.Run
				for _, id := range ids {
					runs = append(runs, w.get(t, id))
				}
				others := w.found(t, track.RunSearch{Experiments: experiments, Search: track.Search{View: track.ViewAll, Filter: "run_id NOT IN ('" + strings.Join(ids, "','") + "')"}})
				for range 8 {
					q := d.search(ids)
					q.Experiments = experiments[d.IntN(2):]
					want := naive(t, runs, q)
					found := slices.DeleteFunc(w.found(t, q), func(id string) bool { return slices.Contains(others, id) })
					if !slices.Equal(found, want) {
						t.Fatalf("seed %d: %+v\nfound %v\nwant  %v", seed, q, found, want)
					}
					w.checkTable(t, d, q, runs, want, others)
				}
			}
		}
	})
}

// checkTable compares a table with the answer of the search.
func (w *world) checkTable(t *testing.T, d dice, q track.RunSearch, runs []*track.Run, want, others []string) {
	t.Helper()
	columns := []string{"metrics.m", "metrics.`val/loss`", `params."learning rate"`, "tags.team", "attributes.name", "attributes.status", "attributes.start_time", "attributes.end_time",
		"attributes.user_id", "attributes.experiment_id", "attributes.run_id", "attributes.stage"}
	table := got(w.RunTable(context.Background(), track.TableQuery{RunSearch: q, Columns: columns, Limit: 50000, GroupBy: []string{"status", "params.p"}}))(t)
	byID := map[string]*track.Run{}
	for _, r := range runs {
		byID[r.ID] = r
	}
	var ids []string
	groups := map[string]int64{}
	for i, id := range table.IDs {
		r := byID[id]
		if r == nil {
			if !slices.Contains(others, id) {
				t.Fatalf("%+v found %s", q, id)
			}
			continue
		}
		ids = append(ids, id)
		var end any
		if r.FinishedAt != nil {
			end = r.FinishedAt.UnixMilli()
		}
		row := []any{opt(r.Metrics, "m"), opt(r.Metrics, "val/loss"), opt(r.Params, "learning rate"), opt(r.Tags, "team"), r.Name, strings.ToUpper(r.State), r.StartedAt.UnixMilli(), end,
			r.User, r.ExperimentID, r.ID, r.Stage}
		if fmt.Sprintf("%#v", table.Rows[i]) != fmt.Sprintf("%#v", row) {
			t.Fatalf("row %v\nwant %v", table.Rows[i], row)
		}
		groups[fmt.Sprintf("%#v", []any{strings.ToUpper(r.State), opt(r.Params, "p")})]++
	}
	if !slices.Equal(ids, want) || int(table.Total) != len(table.IDs) {
		t.Fatalf("%+v\ntable %v\nwant  %v", q, ids, want)
	}
	total := int64(0)
	for i, g := range table.Groups {
		total += g.Count
		if i > 0 && g.Count > table.Groups[i-1].Count {
			t.Errorf("groups %v are not the largest first", table.Groups)
		}
		if n := groups[fmt.Sprintf("%#v", g.Values)]; len(others) == 0 && n != g.Count {
			t.Errorf("group %v has %d, want %d", g.Values, g.Count, n)
		}
	}
	if total != table.Total {
		t.Errorf("%d runs in groups, want %d", total, table.Total)
	}
	offset, limit := d.IntN(len(table.IDs)+2), 1+d.IntN(5)
	part := got(w.RunTable(context.Background(), track.TableQuery{RunSearch: q, Offset: offset, Limit: limit}))(t)
	from := min(offset, len(table.IDs))
	if part.Total != table.Total || !slices.Equal(part.IDs, table.IDs[from:min(from+limit, len(table.IDs))]) {
		t.Errorf("rows %d to %d: %v of %v", offset, offset+limit, part.IDs, table.IDs)
	}
}

func opt[V any](m map[string]V, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return nil
}

func TestSearchEdges(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run(t, "0")
		w.run(t, "0")
		in := func(s track.Search) track.RunSearch { return track.RunSearch{Experiments: []string{"0"}, Search: s} }
		_, token, err := w.SearchRuns(t.Context(), in(track.Search{MaxResults: 1}))
		must(t, err)
		if all, next, err := w.SearchRuns(t.Context(), in(track.Search{MaxResults: 2})); len(all) != 2 || next != "" || err != nil {
			t.Errorf("a full last page: %d runs, next %q, %v", len(all), next, err)
		}
		for name, test := range map[string]struct {
			q    track.RunSearch
			want string
		}{
			"size":       {in(track.Search{MaxResults: 50001}), "Invalid value 50001 for parameter 'max_results' supplied. It must be at most 50000"},
			"negative":   {in(track.Search{MaxResults: -1}), "Invalid value -1 for parameter 'max_results' supplied. It must be a positive integer"},
			"view":       {in(track.Search{View: "some"}), "Invalid value \"some\" for parameter 'view_type' supplied."},
			"experiment": {track.RunSearch{Experiments: []string{"x"}}, "Invalid experiment ID 'x'. Experiment ID must be a valid integer."},
			"filter":     {in(track.Search{Filter: "a OR b"}), "Invalid clause(s) in filter string: 'a', 'OR', 'b'"},
			"order":      {in(track.Search{OrderBy: []string{"start_time", "created"}}), "`order_by` contains duplicate fields: ['start_time', 'created']"},
			"token":      {in(track.Search{PageToken: "x"}), "Invalid page token: "},
			"filter changed": {in(track.Search{PageToken: token, Filter: "status = 'RUNNING'"}),
				"Invalid page token: it belongs to a search with another filter, order_by or scope"},
			"scope changed": {track.RunSearch{Experiments: []string{"0", "1"}, Search: track.Search{PageToken: token}}, "Invalid page token: it belongs to a search with another"},
		} {
			_, _, err := w.SearchRuns(t.Context(), test.q)
			if !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%s: %v, want %s", name, err, test.want)
			}
		}
		if runs, next, err := w.SearchRuns(t.Context(), track.RunSearch{Experiments: []string{"99"}}); len(runs) != 0 || next != "" || err != nil {
			t.Errorf("an experiment that is not there: %v, %q, %v", runs, next, err)
		}
		if runs, _, err := w.SearchRuns(t.Context(), track.RunSearch{}); len(runs) != 0 || err != nil {
			t.Errorf("no experiment: %v, %v", runs, err)
		}
		r := got(w.CreateRun(t.Context(), track.NewRun{Name: "no time"}))(t)
		table := got(w.RunTable(t.Context(), track.TableQuery{RunSearch: in(track.Search{Filter: "start_time = 0"}), Columns: []string{"start_time", "run.run_name"}}))(t)
		if !slices.Equal(table.IDs, []string{r.ID}) || !slices.Equal(table.Rows[0], []any{nil, "no time"}) {
			t.Errorf("a run without a start: %v", table)
		}
		for _, column := range []string{"x.y", "attributes.size", "name.x", "datasets.name"} {
			_, err := w.RunTable(t.Context(), track.TableQuery{RunSearch: in(track.Search{}), Columns: []string{column}})
			refuses(t, err, fault.Invalid, "column ")
		}
	})
}

func TestKeysOfExperiments(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		other := got(w.CreateExperiment(ctx, track.NewExperiment{Name: "other"}))(t).ID
		a, b := w.run(t, "0"), w.run(t, other)
		must(t, w.LogBatch(ctx, a.ID, track.Batch{Metrics: []track.Metric{{Key: "loss"}, {Key: "system/cpu"}}, Params: []track.Param{{Key: "lr", Value: "1"}}}))
		must(t, w.LogBatch(ctx, b.ID, track.Batch{Metrics: []track.Metric{{Key: "auc"}, {Key: "loss"}}, Tags: []track.Tag{{Key: "team", Value: "x"}}}))
		for _, test := range []struct {
			experiments []string
			want        track.Keys
		}{
			{[]string{"0"}, track.Keys{Params: []string{"lr"}, Metrics: []string{"loss", "system/cpu"}, Tags: []string{"mlflow.runName"}}},
			{[]string{"0", other}, track.Keys{Params: []string{"lr"}, Metrics: []string{"auc", "loss", "system/cpu"}, Tags: []string{"mlflow.runName", "team"}}},
			{nil, track.Keys{Params: []string{}, Metrics: []string{}, Tags: []string{}}},
		} {
			keys := got(w.Keys(ctx, test.experiments))(t)
			if fmt.Sprintf("%#v", *keys) != fmt.Sprintf("%#v", test.want) {
				t.Errorf("%v: %+v, want %+v", test.experiments, *keys, test.want)
			}
		}
	})
}

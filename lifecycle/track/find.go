package track

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/filter"
)

// Experiments and logged models are few enough to look at each: one pass over their rows finds, orders and pages.

// Pages of searches.
const (
	maxExperiments     = 50000
	defaultExperiments = 1000
	maxModels          = 50000
	defaultModels      = 100
)

func pageSize(asked, usual, most int) (int, error) {
	switch {
	case asked == 0:
		return usual, nil
	case asked < 0:
		return 0, invalid("Invalid value %d for parameter 'max_results' supplied. It must be a positive integer", asked)
	case asked > most:
		return 0, invalid("Invalid value %d for parameter 'max_results' supplied. It must be at most %d", asked, most)
	}
	return asked, nil
}

// sees reports whether a view shows a stage.
func (v View) sees(stage string) bool {
	switch v {
	case ViewAll:
		return true
	case ViewDeleted:
		return stage == StageDeleted
	}
	return stage == StageActive
}

func (v View) check() error {
	switch v {
	case "", ViewActive, ViewDeleted, ViewAll:
		return nil
	}
	return invalid("Invalid value %s for parameter 'view_type' supplied.", pyJSON(cut(text(string(v)), 100)))
}

// found is a row of an answer with its place in it.
type found[T any] struct {
	row    T
	values []filter.Value
}

// page orders what was found, and cuts out the page after a place.
func page[T any](all []found[T], orders []filter.Order, after []filter.Value, size int, scope []byte) (rows []T, next string) {
	if after != nil {
		all = slices.DeleteFunc(all, func(f found[T]) bool { return compareValues(orders, f.values, after) <= 0 })
	}
	slices.SortFunc(all, func(a, b found[T]) int { return compareValues(orders, a.values, b.values) })
	if len(all) > size {
		all = all[:size]
		next = pageToken(scope, all[size-1].values)
	}
	rows = make([]T, len(all))
	for i, f := range all {
		rows[i] = f.row
	}
	return rows, next
}

// SearchExperiments finds experiments: the newest first when no order is asked for. Each knows how many active runs it has.
func (s *Service) SearchExperiments(ctx context.Context, q Search) ([]*Experiment, string, error) {
	size, err := pageSize(q.MaxResults, defaultExperiments, maxExperiments)
	if err != nil {
		return nil, "", err
	}
	if err := q.View.check(); err != nil {
		return nil, "", err
	}
	clauses, err := filter.Parse(filter.Experiments, q.Filter)
	if err != nil {
		return nil, "", err
	}
	orders, err := filter.ParseOrder(filter.Experiments, q.OrderBy)
	if err != nil {
		return nil, "", err
	}
	if len(orders) == 0 {
		orders = filter.Defaults(filter.Experiments)
	} else {
		orders = filter.Total(filter.Experiments, orders)
	}
	for i := range orders {
		orders[i].Numeric = orders[i].Numeric || orders[i].Key == "experiment_id" // "10" comes after "9"
	}
	scope := scopeOf("experiments", q.Filter, q.OrderBy, string(q.View))
	after, err := readToken(scope, q.PageToken, orders)
	if err != nil {
		return nil, "", err
	}
	rows, err := s.db.Read().QueryContext(ctx, `SELECT `+experimentColumns+` FROM experiments WHERE workspace_id = 'default'`)
	if err != nil {
		return nil, "", fmt.Errorf("search experiments: %w", err)
	}
	defer rows.Close()
	var all []found[*Experiment]
	for rows.Next() {
		e, err := scanExperiment(rows)
		if err != nil {
			return nil, "", fmt.Errorf("search experiments: %w", err)
		}
		if !q.View.sees(e.Stage) || slices.ContainsFunc(clauses, func(c filter.Clause) bool { return !e.meets(c) }) {
			continue
		}
		f := found[*Experiment]{row: e, values: make([]filter.Value, len(orders))}
		for i, o := range orders {
			f.values[i] = e.value(o)
		}
		all = append(all, f)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("search experiments: %w", err)
	}
	items, next := page(all, orders, after, size, scope)
	return items, next, s.countRuns(ctx, items)
}

func (e *Experiment) meets(c filter.Clause) bool {
	if c.Kind == filter.Tag {
		value, ok := e.Tags[c.Key]
		return c.MatchText(value, ok)
	}
	if c.Key == "experiment_id" {
		return c.MatchText(e.ID, true)
	}
	v := e.value(filter.Order{Key: c.Key})
	if v.Numeric {
		return c.MatchNumber(v.Number, true)
	}
	return c.MatchText(v.Text, true)
}

func (e *Experiment) value(o filter.Order) filter.Value {
	switch o.Key {
	case "name":
		return filter.Value{Text: e.Name}
	case "creation_time":
		return filter.Value{Numeric: true, Number: float64(e.CreatedAt.UnixMilli())}
	case "last_update_time":
		return filter.Value{Numeric: true, Number: float64(e.UpdatedAt.UnixMilli())}
	case "experiment_id":
		n, _ := strconv.ParseInt(e.ID, 10, 64) // it was made from a number
		return filter.Value{Numeric: true, Number: float64(n), Text: e.ID}
	}
	return filter.Value{Null: true}
}

// countRuns fills in how many active runs experiments have, and when the last one began.
func (s *Service) countRuns(ctx context.Context, items []*Experiment) error {
	byID := make(map[int64]*Experiment, len(items))
	for _, e := range items {
		n, err := parseExperiment(e.ID)
		if err != nil {
			return err
		}
		byID[n] = e
	}
	count := func(condition string, args ...any) error {
		rows, err := s.db.Read().QueryContext(ctx, `SELECT experiment_id, count(*), max(started_at) FROM runs
			WHERE workspace_id = 'default' AND stage = 'active'`+condition+` GROUP BY experiment_id`, args...)
		if err != nil {
			return fmt.Errorf("count runs: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var id, runs, last int64
			if err := rows.Scan(&id, &runs, &last); err != nil {
				return fmt.Errorf("count runs: %w", err)
			}
			if e := byID[id]; e != nil {
				at := catalog.Time(last)
				e.Runs, e.LastRunAt = runs, &at
			}
		}
		return rows.Err()
	}
	if len(byID) > 200 {
		return count("")
	}
	args := make([]any, 0, len(byID))
	for id := range byID {
		args = append(args, id)
	}
	if len(args) == 0 {
		return nil
	}
	return count(` AND experiment_id IN (`+placeholders(1, len(args))+`)`, args...)
}

// SearchLoggedModels finds active models of experiments, the newest first when no order is asked for.
func (s *Service) SearchLoggedModels(ctx context.Context, q ModelSearch) ([]*LoggedModel, string, error) {
	size, err := pageSize(q.MaxResults, defaultModels, maxModels)
	if err != nil {
		return nil, "", err
	}
	clauses, err := filter.Parse(filter.LoggedModels, q.Filter)
	if err != nil {
		return nil, "", err
	}
	asked := make([]filter.LoggedModelOrder, len(q.Order))
	for i, o := range q.Order {
		ascending := !o.Descending
		asked[i] = filter.LoggedModelOrder{FieldName: o.Field, Ascending: &ascending, DatasetName: o.Dataset.Name, DatasetDigest: o.Dataset.Digest}
	}
	orders, err := filter.ParseLoggedModelOrder(asked)
	if err != nil {
		return nil, "", err
	}
	orders = filter.Total(filter.LoggedModels, orders)
	for _, d := range q.Datasets {
		if d.Name == "" {
			return nil, "", invalid("`dataset_name` in the `datasets` clause must be specified.")
		}
	}
	scope := scopeOf("models", q.Experiments, q.Filter, q.Datasets, q.Order)
	after, err := readToken(scope, q.PageToken, orders)
	if err != nil {
		return nil, "", err
	}
	all, err := s.modelsOf(ctx, q.Experiments)
	if err != nil {
		return nil, "", err
	}
	metrics := map[string][]ModelMetric{}
	if needsMetrics(clauses, orders, q.Datasets) {
		if metrics, err = s.metricsOf(ctx, all); err != nil {
			return nil, "", err
		}
	}
	var hits []found[*model]
	for _, m := range all {
		if !m.meetsAll(clauses, q.Datasets, metrics[m.ID]) {
			continue
		}
		f := found[*model]{row: m, values: make([]filter.Value, len(orders))}
		for i, o := range orders {
			f.values[i] = m.value(o, metrics[m.ID])
		}
		hits = append(hits, f)
	}
	rows, next := page(hits, orders, after, size, scope)
	if metrics, err = s.metricsOf(ctx, rows); err != nil {
		return nil, "", err
	}
	items := make([]*LoggedModel, len(rows))
	for i, m := range rows {
		items[i] = m.view()
		items[i].Metrics = metrics[m.ID]
	}
	return items, next, nil
}

func needsMetrics(clauses []filter.Clause, orders []filter.Order, datasets []DatasetFilter) bool {
	return len(datasets) > 0 || slices.ContainsFunc(clauses, func(c filter.Clause) bool { return c.Kind == filter.Metric }) ||
		slices.ContainsFunc(orders, func(o filter.Order) bool { return o.Kind == filter.Metric })
}

// modelsOf reads the active models of experiments.
func (s *Service) modelsOf(ctx context.Context, experiments []string) ([]*model, error) {
	ids := make([]any, len(experiments))
	for i, id := range experiments {
		n, err := parseExperiment(id)
		if err != nil {
			return nil, err
		}
		ids[i] = n
	}
	var out []*model
	for chunk := range slices.Chunk(ids, 500) {
		rows, err := s.db.Read().QueryContext(ctx, `SELECT `+modelColumns+` FROM logged_models
			WHERE workspace_id = 'default' AND stage = 'active' AND experiment_id IN (`+placeholders(1, len(chunk))+`)`, chunk...)
		if err != nil {
			return nil, fmt.Errorf("search models: %w", err)
		}
		for rows.Next() {
			m, err := scanModel(rows)
			if err != nil {
				rows.Close()
				return nil, fmt.Errorf("search models: %w", err)
			}
			out = append(out, m)
		}
		if err := cmp.Or(rows.Err(), rows.Close()); err != nil {
			return nil, fmt.Errorf("search models: %w", err)
		}
	}
	return out, nil
}

// metricsOf reads the metrics of models.
func (s *Service) metricsOf(ctx context.Context, models []*model) (map[string][]ModelMetric, error) {
	out := map[string][]ModelMetric{}
	for chunk := range slices.Chunk(models, 500) {
		args := make([]any, len(chunk))
		for i, m := range chunk {
			args[i] = m.ID
		}
		some, err := s.modelMetrics(ctx, `model_id IN (`+placeholders(1, len(args))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for id, metrics := range some {
			out[id] = metrics
		}
	}
	return out, nil
}

func (d DatasetFilter) matches(m ModelMetric) bool {
	return (d.Name == "" || d.Name == m.DatasetName) && (d.Digest == "" || d.Digest == m.DatasetDigest)
}

func onAny(datasets []DatasetFilter, m ModelMetric) bool {
	return len(datasets) == 0 || slices.ContainsFunc(datasets, func(d DatasetFilter) bool { return d.matches(m) })
}

func (m *model) meetsAll(clauses []filter.Clause, datasets []DatasetFilter, metrics []ModelMetric) bool {
	measured := false
	for _, c := range clauses {
		met := false
		switch c.Kind {
		case filter.Metric:
			measured = true
			met = slices.ContainsFunc(metrics, func(v ModelMetric) bool { return v.Key == c.Key && onAny(datasets, v) && c.MatchNumber(v.Value, true) })
		case filter.Param:
			value, ok := m.params[c.Key]
			met = c.MatchText(value, ok)
		case filter.Tag:
			value, ok := m.tags[c.Key]
			met = c.MatchText(value, ok)
		default:
			if c.Key == "status" {
				met = matchStatus(c, m.Status)
			} else if v := m.value(filter.Order{Key: c.Key}, nil); v.Numeric {
				met = c.MatchNumber(v.Number, true)
			} else {
				met = c.MatchText(v.Text, !v.Null)
			}
		}
		if !met {
			return false
		}
	}
	return measured || len(datasets) == 0 || slices.ContainsFunc(metrics, func(v ModelMetric) bool { return onAny(datasets, v) })
}

// matchStatus takes a status as MLflow's enum names it and without its prefix.
func matchStatus(c filter.Clause, status string) bool {
	short := strings.ToUpper(status)
	a, b := c.MatchText(short, true), c.MatchText("LOGGED_MODEL_"+short, true)
	if c.Op == filter.NotEqual || c.Op == filter.NotIn {
		return a && b
	}
	return a || b
}

func (m *model) value(o filter.Order, metrics []ModelMetric) filter.Value {
	if o.Kind == filter.Metric {
		var last *ModelMetric
		for i, v := range metrics {
			if v.Key == o.Key && (DatasetFilter{o.DatasetName, o.DatasetDigest}).matches(v) && (last == nil || cmp.Or(cmp.Compare(v.At, last.At), cmp.Compare(v.Step, last.Step)) > 0) {
				last = &metrics[i]
			}
		}
		if last == nil {
			return filter.Value{Null: true, Numeric: true}
		}
		return filter.Value{Numeric: true, Number: last.Value}
	}
	word := func(s string) filter.Value { return filter.Value{Text: s, Null: s == ""} }
	switch o.Key {
	case "name":
		return word(m.Name)
	case "model_id":
		return word(m.ID)
	case "model_type":
		return word(m.ModelType)
	case "status":
		return word(m.Status)
	case "source_run_id":
		return word(m.SourceRunID)
	case "status_message":
		return word(m.StatusMessage)
	case "artifact_location":
		return word(m.ArtifactURI)
	case "experiment_id":
		return word(m.ExperimentID)
	case "creation_timestamp":
		return filter.Value{Numeric: true, Number: float64(m.CreatedAt.UnixMilli())}
	case "last_updated_timestamp":
		return filter.Value{Numeric: true, Number: float64(m.UpdatedAt.UnixMilli())}
	}
	return filter.Value{Null: true}
}

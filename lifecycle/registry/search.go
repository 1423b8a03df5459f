package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/filter"
	"github.com/trimtab-ml/trimtab/internal/pagetoken"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Bounds of a page of models and of versions; they are MLflow's.
const (
	modelsPage      = 100
	maxModelsPage   = 1000
	versionsPage    = 10_000
	maxVersionsPage = 200_000
)

// SearchModels finds models by MLflow's grammar: name and tags. Prompts are left out unless the filter asks for them.
func (s *Service) SearchModels(ctx context.Context, q track.Search) ([]*Model, string, error) {
	limit, err := page(q.MaxResults, modelsPage, maxModelsPage)
	if err != nil {
		return nil, "", err
	}
	clauses, orders, err := parse(filter.RegisteredModels, q)
	if err != nil {
		return nil, "", err
	}
	all, err := s.models(ctx, s.db.Read(), `SELECT `+modelColumns+` FROM models WHERE workspace_id = 'default'`)
	if err != nil {
		return nil, "", err
	}
	found := []*Model{}
	prompts := filter.SearchesPrompts(clauses)
	for _, m := range all {
		if (prompts || m.Tags[IsPrompt] != "true") && matches(clauses, prompts, m.attributes(), m.Tags) {
			found = append(found, m)
		}
	}
	out, next, err := paged(filter.RegisteredModels, q, orders, limit, found)
	if err != nil {
		return nil, "", err
	}
	return out, next, s.complete(ctx, out)
}

// SearchVersions finds versions by MLflow's grammar: name, version_number, run_id, source_path and tags.
func (s *Service) SearchVersions(ctx context.Context, q track.Search) ([]*Version, string, error) {
	limit, err := page(q.MaxResults, versionsPage, maxVersionsPage)
	if err != nil {
		return nil, "", err
	}
	clauses, orders, err := parse(filter.ModelVersions, q)
	if err != nil {
		return nil, "", err
	}
	// One named model is the usual question; its versions are read by the index.
	only, args := "", []any{}
	for _, c := range clauses {
		if c.Kind == filter.Attribute && c.Key == "name" && c.Op == filter.Equal {
			only, args = " AND model = $1", []any{c.Text}
		}
	}
	rows, err := s.db.Read().QueryContext(ctx, `SELECT model, version, created_at, updated_at, tags, stage, source, run_id FROM model_versions WHERE workspace_id = 'default' AND deleted = 0`+only, args...)
	if err != nil {
		return nil, "", fmt.Errorf("search versions: %w", err)
	}
	defer rows.Close()
	prompts := filter.SearchesPrompts(clauses)
	modelTags, err := s.tagsOfModels(ctx)
	if err != nil {
		return nil, "", err
	}
	found := []*Version{}
	for rows.Next() {
		v := &Version{}
		var created, updated int64
		var tags string
		if err := rows.Scan(&v.Model, &v.Version, &created, &updated, &tags, &v.Stage, &v.Source, &v.RunID); err != nil {
			return nil, "", fmt.Errorf("search versions: %w", err)
		}
		if v.Tags, err = decodeTags(tags); err != nil {
			return nil, "", err
		}
		v.CreatedAt, v.UpdatedAt = catalog.Time(created), catalog.Time(updated)
		isPrompt := v.Tags[IsPrompt] == "true" || modelTags[v.Model][IsPrompt] == "true"
		if (prompts || !isPrompt) && matches(clauses, prompts, v.attributes(), v.Tags) {
			found = append(found, v)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("search versions: %w", err)
	}
	out, next, err := paged(filter.ModelVersions, q, orders, limit, found)
	if err != nil {
		return nil, "", err
	}
	return out, next, s.whole(ctx, out)
}

// whole fills the versions of a page with everything they say.
func (s *Service) whole(ctx context.Context, page []*Version) error {
	byModel := map[string]map[int]*Version{}
	for i, v := range page {
		all, known := byModel[v.Model]
		if !known {
			list, err := s.versions(ctx, s.db.Read(), `SELECT `+versionColumns+` FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1`, v.Model)
			if err != nil {
				return err
			}
			all = map[int]*Version{}
			for _, one := range list {
				all[one.Version] = one
			}
			byModel[v.Model] = all
		}
		if full := all[v.Version]; full != nil { // nil: deleted while we looked
			page[i] = full
		}
	}
	return nil
}

func (s *Service) tagsOfModels(ctx context.Context) (map[string]map[string]string, error) {
	all, err := s.models(ctx, s.db.Read(), `SELECT `+modelColumns+` FROM models WHERE workspace_id = 'default'`)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for _, m := range all {
		out[m.Name] = m.Tags
	}
	return out, nil
}

// attributes are what the grammar calls the fields of a row; times are milliseconds.
type attributes map[string]filter.Value

func text(v string) filter.Value  { return filter.Value{Text: v} }
func number(v int64) filter.Value { return filter.Value{Numeric: true, Number: float64(v)} }
func (m *Model) attributes() attributes {
	return attributes{"name": text(m.Name), "creation_timestamp": number(m.CreatedAt.UnixMilli()), "last_updated_timestamp": number(m.UpdatedAt.UnixMilli())}
}

func (v *Version) attributes() attributes {
	return attributes{"name": text(v.Model), "version_number": number(int64(v.Version)), "run_id": text(v.RunID), "source_path": text(v.Source),
		"creation_timestamp": number(v.CreatedAt.UnixMilli()), "last_updated_timestamp": number(v.UpdatedAt.UnixMilli())}
}

// row is what a search can sort.
type row interface{ attributes() attributes }

func parse(n filter.Noun, q track.Search) ([]filter.Clause, []filter.Order, error) {
	clauses, err := filter.Parse(n, q.Filter)
	if err != nil {
		return nil, nil, err
	}
	orders, err := filter.ParseOrder(n, q.OrderBy)
	if err != nil {
		return nil, nil, err
	}
	if len(orders) == 0 {
		return clauses, filter.Defaults(n), nil
	}
	return clauses, filter.Total(n, orders), nil
}

// matches tells whether a row meets every clause. Unless prompts are searched, clauses about their tag say nothing more.
func matches(clauses []filter.Clause, prompts bool, a attributes, tags map[string]string) bool {
	for _, c := range clauses {
		if c.Kind == filter.Tag {
			if c.Key == IsPrompt && !prompts {
				continue
			}
			value, there := tags[c.Key]
			if !c.MatchText(value, there) {
				return false
			}
			continue
		}
		value, there := a[c.Key]
		if value.Numeric && !c.MatchNumber(value.Number, there) || !value.Numeric && !c.MatchText(value.Text, there) {
			return false
		}
	}
	return true
}

// paged sorts rows and cuts the page that the token asks for.
func paged[R row](n filter.Noun, q track.Search, orders []filter.Order, limit int, rows []R) ([]R, string, error) {
	bind := pagetoken.Binding{Noun: n, Filter: q.Filter, Order: q.OrderBy}
	keys := func(r R) []filter.Value {
		a := r.attributes()
		out := make([]filter.Value, len(orders))
		for i, o := range orders {
			out[i] = a[o.Key]
		}
		return out
	}
	compare := func(a, b []filter.Value) int {
		for i, o := range orders {
			if c := o.Compare(a[i], b[i]); c != 0 {
				return c
			}
		}
		return 0
	}
	slices.SortFunc(rows, func(a, b R) int { return compare(keys(a), keys(b)) })
	if q.PageToken != "" {
		last, err := pagetoken.Decode(q.PageToken, bind)
		if err != nil {
			return nil, "", err
		}
		if len(last.Values) != len(orders) {
			return nil, "", fault.New(fault.Invalid, "Invalid page token, could not be decoded")
		}
		begin, _ := slices.BinarySearchFunc(rows, last.Values, func(r R, at []filter.Value) int {
			if compare(keys(r), at) <= 0 {
				return -1
			}
			return 1
		})
		rows = rows[begin:]
	}
	if len(rows) <= limit {
		return rows, "", nil
	}
	rows = rows[:limit]
	return rows, pagetoken.Encode(pagetoken.Token{Values: keys(rows[limit-1])}, bind), nil
}

func page(asked, usual, most int) (int, error) {
	switch {
	case asked < 0:
		return 0, fault.New(fault.Invalid, "Invalid value for max_results. It must be a positive integer, but got %d", asked)
	case asked > most:
		return 0, fault.New(fault.Invalid, "Invalid value for request parameter max_results. It must be at most %d, but got value %d", most, asked)
	}
	return cmp.Or(asked, usual), nil
}

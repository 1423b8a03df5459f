package data

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
)

// Suggestion is a contract that a version would pass, and why each check is there. It is a start for people to correct: what the rows show
// is not what they should be.
type Suggestion struct {
	Dataset string           `json:"dataset"`
	Version int              `json:"version"`
	Key     []string         `json:"key,omitempty"` // columns that name every row; empty when no one or two columns do
	Checks  []SuggestedCheck `json:"checks"`
}

// SuggestedCheck is one entry of the contract as it is written in trimtab.yaml.
type SuggestedCheck struct {
	Column string `json:"column,omitempty"`
	YAML   string `json:"yaml"`
	Why    string `json:"why"`
}

// YAML is the suggestion as lines for trimtab.yaml, each check with its reason as a comment.
func (s *Suggestion) YAML() string {
	var b strings.Builder
	if len(s.Key) > 0 {
		fmt.Fprintf(&b, "key: [%s]\n", strings.Join(s.Key, ", "))
	}
	b.WriteString("contract:\n")
	for _, c := range s.Checks {
		fmt.Fprintf(&b, "  - %s  # %s\n", c.YAML, c.Why)
	}
	return b.String()
}

// Suggest reads a contract out of the profile of a version: not_null, between with room on both sides, in for text of few values, the number
// of rows, and a key of one or two columns. Personal columns get no check that tells their values.
func (s *Service) Suggest(ctx context.Context, v *Version) (*Suggestion, error) {
	p, err := s.Profile(ctx, v)
	if err != nil {
		return nil, err
	}
	out := &Suggestion{Dataset: v.Dataset, Version: v.Number, Checks: []SuggestedCheck{}}
	for i := range p.Columns {
		out.column(&p.Columns[i], p.Rows)
	}
	low := int64(math.Pow(10, math.Floor(math.Log10(float64(max(1, p.Rows/2))))))
	out.Checks = append(out.Checks, SuggestedCheck{YAML: fmt.Sprintf("{rows: {at_least: %d}}", low), Why: count(p.Rows) + " rows now"})
	out.Key, err = s.suggestKey(ctx, v, p)
	return out, err
}

func (s *Suggestion) column(c *ColumnProfile, rows int64) {
	add := func(check, why string, args ...any) {
		s.Checks = append(s.Checks, SuggestedCheck{Column: c.Name, YAML: "{column: " + yamlText(c.Name) + ", " + check + "}", Why: fmt.Sprintf(why, args...)})
	}
	// With no missing value in n rows, the 95 % upper bound of their share is about 3/n (the rule of three).
	if c.Nulls == 0 && rows >= 100 {
		add("not_null: true", "none of %s is missing", count(rows))
	}
	if c.Personal != "" || c.Count < 100 {
		return
	}
	switch c.Kind {
	case table.Double, table.Long:
		low, high := c.Quantiles[0].Value, c.Quantiles[len(c.Quantiles)-1].Value
		p1, p99 := *c.quantile(0.01), *c.quantile(0.99)
		if c.Distinct < 2 {
			return
		}
		// Room of half the central range on both sides, and never less than what was seen, unless the extreme is far out: then the
		// check leaves it outside, so that somebody looks at it.
		room := (p99 - p1) / 2
		from, to := math.Max(low, p1-30*room)-room, math.Min(high, p99+30*room)+room
		if low >= 0 {
			from = math.Max(0, from)
		}
		add(fmt.Sprintf("between: [%s, %s]", number(outward(from, -1)), number(outward(to, 1))), "seen: %s to %s, 98 %% of them %s to %s", number(low), number(high), number(p1), number(p99))
	case table.String:
		if c.DistinctExact && c.Distinct <= int64(len(c.Top)) && c.Distinct*50 <= c.Count {
			words := make([]string, len(c.Top))
			for i, t := range c.Top {
				words[i] = yamlText(t.Value)
			}
			add("in: ["+strings.Join(words, ", ")+"]", "%d values in %s rows", c.Distinct, count(c.Count))
		}
	}
}

// outward rounds to two significant digits, away from the middle.
func outward(f, direction float64) float64 {
	if f == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(f)))-1)
	if direction < 0 {
		return math.Round(math.Floor(f/unit)*unit*1e9) / 1e9
	}
	return math.Round(math.Ceil(f/unit)*unit*1e9) / 1e9
}

// suggestKey looks for one column, then for two, that name every row.
func (s *Service) suggestKey(ctx context.Context, v *Version, p *Profile) ([]string, error) {
	if len(v.Parts) == 0 || p.Rows < 2 {
		return nil, nil
	}
	relation, err := s.Relation(ctx, v, "")
	if err != nil {
		return nil, err
	}
	unique := func(columns ...string) (bool, error) {
		quoted := make([]string, len(columns))
		for i, c := range columns {
			quoted[i] = duck.Quote(c)
		}
		t, err := s.duck.Table(ctx, "SELECT count(DISTINCT hash("+strings.Join(quoted, ", ")+")) AS n FROM "+relation)
		return err == nil && int64(t.Columns[0].Floats[0]) == p.Rows, err
	}
	var candidates []ColumnProfile
	for _, c := range p.Columns {
		if c.Nulls > 0 || c.Kind == table.Double || c.Kind == table.Boolean {
			continue
		}
		if float64(c.Distinct) >= 0.95*float64(p.Rows) {
			if ok, err := unique(c.Name); ok || err != nil {
				return []string{c.Name}, err
			}
		}
		candidates = append(candidates, c)
	}
	for i, a := range candidates[:min(len(candidates), 12)] {
		for _, b := range candidates[i+1 : min(len(candidates), 12)] {
			if float64(a.Distinct)*float64(b.Distinct) < float64(p.Rows) {
				continue
			}
			if ok, err := unique(a.Name, b.Name); ok || err != nil {
				return []string{a.Name, b.Name}, err
			}
		}
	}
	return nil, nil
}

// yamlText writes a text so that YAML reads it as text.
func yamlText(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

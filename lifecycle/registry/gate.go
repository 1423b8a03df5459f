package registry

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// Clause states.
const (
	ClausePass    = "pass"
	ClauseFail    = "fail"
	ClauseSkipped = "skipped"
)

// Gate is the outcome of a version's gates.
type Gate struct {
	Passed  bool     `json:"passed"`
	Clauses []Clause `json:"clauses"`
	Forced  *Force   `json:"forced,omitempty"`
}

// Clause is one gate: its text, what came out, and the values it was decided on.
type Clause struct {
	Expr   string             `json:"expr"`
	State  string             `json:"state"`
	Values map[string]float64 `json:"values"`
	Note   string             `json:"note,omitempty"`
}

// Force is somebody's decision to release against a gate.
type Force struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// JudgeGates decides each clause on the metrics of the challenger and, under champion.NAME, of the champion on the same rows.
// With a nil champion, a clause that names it is skipped. A clause that needs a metric that has no value fails: no data is not a pass.
func JudgeGates(clauses []string, metrics, champion map[string]float64) (Gate, error) {
	g := Gate{Passed: true, Clauses: []Clause{}}
	values := map[string]float64{}
	known := make([]string, 0, len(metrics))
	for name, v := range metrics {
		values[name] = v
		known = append(known, name)
	}
	for name, v := range champion {
		values["champion."+name] = v
	}
	var conds []*project.Condition
	for _, text := range clauses {
		parts, err := project.Clauses(text, known) // so that only the part that names the champion is skipped
		if err != nil {
			return g, err
		}
		conds = append(conds, parts...)
	}
	for _, cond := range conds {
		c := Clause{Expr: cond.String(), Values: map[string]float64{}}
		missing := []string{}
		needsChampion := false
		for _, name := range cond.Names() {
			v, ok := values[name]
			needsChampion = needsChampion || strings.HasPrefix(name, "champion.")
			if ok {
				c.Values[name] = v
			} else {
				missing = append(missing, name)
			}
		}
		switch {
		case needsChampion && champion == nil:
			c.State, c.Note = ClauseSkipped, "there is no champion to compare with"
		case len(missing) > 0:
			c.State, c.Note = ClauseFail, "no value for "+strings.Join(missing, ", ")
		default:
			ok, err := cond.Eval(values)
			if err != nil {
				return g, err
			}
			c.State = ClauseFail
			if ok {
				c.State = ClausePass
			}
		}
		g.Passed = g.Passed && c.State != ClauseFail
		g.Clauses = append(g.Clauses, c)
	}
	return g, nil
}

// Sentence says the outcome with its values.
func (g Gate) Sentence() string {
	if len(g.Clauses) == 0 {
		return "no gates are set"
	}
	parts := []string{}
	passed, skipped := 0, 0
	for _, c := range g.Clauses {
		switch c.State {
		case ClausePass:
			passed++
			parts = append(parts, c.String())
		case ClauseSkipped:
			skipped++
		}
	}
	for _, c := range g.Clauses {
		if c.State == ClauseFail {
			return "gate " + c.String()
		}
	}
	s := fmt.Sprintf("%d of %d gates passed", passed, len(g.Clauses)-skipped)
	if skipped > 0 {
		s += fmt.Sprintf(", %d skipped", skipped)
	}
	return s + " (" + strings.Join(parts, "; ") + ")"
}

// String is the clause with its values.
func (c Clause) String() string {
	names := make([]string, 0, len(c.Values))
	for name := range c.Values {
		names = append(names, name)
	}
	sort.Strings(names)
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = fmt.Sprintf("%s = %.4g", name, c.Values[name])
	}
	s := c.Expr
	switch c.State {
	case ClauseFail:
		s += " not met"
	case ClauseSkipped:
		s += " skipped"
	}
	if len(values) > 0 {
		s += ": " + strings.Join(values, ", ")
	}
	if c.Note != "" {
		s += ", " + c.Note
	}
	return s
}

// Refusal is the fault of a gate that was not met; nil when it passed or was forced.
func (g Gate) Refusal(model string, version int) error {
	if g.Passed || g.Forced != nil {
		return nil
	}
	return fault.New(fault.GateRefused, "%s v%d is refused: %s", model, version, g.Sentence()).
		WithHint("trimtab models show %s --version %d shows every clause; to release it all the same: trimtab apply --force --reason TEXT", model, version).
		With("clauses", g.Clauses)
}

// Package filter is MLflow's search grammar, once, for every noun that can be searched: it parses filter and order_by
// strings into clauses and orders, says no in MLflow's words, matches and compares values, prints a filter back, and
// completes one that is being typed.
//
// The grammar is AND over comparisons; there is no OR and no parentheses around clauses. What is one identifier and what is
// an invalid clause follows the parser that MLflow uses, so that a script meets the same answers here; where we answer
// differently on purpose is listed, with the reason, beside the golden tables of the tests.
//
// The package owns no data and must never know how runs, models or experiments are stored.
package filter

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bounds of one filter string.
const (
	MaxBytes   = 64 << 10
	MaxClauses = 1000
)

// Noun is what is searched.
type Noun string

// The nouns.
const (
	Runs             Noun = "runs"
	Experiments      Noun = "experiments"
	RegisteredModels Noun = "registered_models"
	ModelVersions    Noun = "model_versions"
	LoggedModels     Noun = "logged_models"
)

// Kind is what a clause or an order looks at.
type Kind int

// The kinds. The key of an Attribute is its one canonical name (start_time, never Created); of a Dataset it is name, digest
// or context; of the others it is what the user called it.
const (
	Attribute Kind = iota
	Metric
	Param
	Tag
	Dataset
)

var kindNames = [...]string{"attribute", "metric", "parameter", "tag", "dataset"}

// String is the singular name, as in error messages.
func (k Kind) String() string { return kindNames[k] }

// Op is a comparator.
type Op string

// The comparators, upper case with single spaces.
const (
	Equal          Op = "="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
	Like           Op = "LIKE"
	ILike          Op = "ILIKE"
	In             Op = "IN"
	NotIn          Op = "NOT IN"
	IsNull         Op = "IS NULL"
	IsNotNull      Op = "IS NOT NULL"
)

// PromptTag is the tag that tells prompts from models in a registry.
const PromptTag = "mlflow.prompt.is_prompt"

// Clause is one comparison. Exactly one of Number (Numeric is set), List (In, NotIn) and Text is the value; IsNull and
// IsNotNull have none. Times are milliseconds since 1970, as users write them.
//
// A clause from Parse has its pattern compiled and may be used by many goroutines at once.
type Clause struct {
	Kind    Kind
	Key     string
	Op      Op
	Numeric bool
	Text    string
	Number  float64
	List    []string

	// AbsentMatches is set where something that does not have the key matches: IsNull, and in the registries the tag of
	// prompts, whose absence means 'false'.
	AbsentMatches bool

	pattern *Pattern
}

// Parse reads a filter string. The clauses are in the order of the text; an empty filter has none. Errors are
// fault.Invalid with MLflow's text. It takes linear time.
func Parse(n Noun, s string) ([]Clause, error) {
	rules, err := rulesOf(n)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return nil, nil
	}
	if len(s) > MaxBytes {
		return nil, fault.New(fault.Invalid, "Invalid filter: it is %d bytes long, more than %d", len(s), MaxBytes)
	}
	if !utf8.ValidString(s) {
		return nil, fault.New(fault.Invalid, "Invalid filter: it is not UTF-8")
	}
	statements, err := parse(s)
	switch {
	case errors.Is(err, errTooLong):
		return nil, fault.New(fault.Invalid, "Invalid filter: it is made of more than %d words and signs", maxTokens)
	case err != nil && n == LoggedModels:
		return nil, fault.New(fault.Invalid, "Invalid filter string: %s. It is %s.", repr(s), err)
	case err != nil:
		return nil, fault.New(fault.Invalid, "Error on parsing filter '%s'", s)
	case len(statements) != 1 && n == LoggedModels:
		return nil, fault.New(fault.Invalid, "Invalid filter string: %s. Expected a single SQL expression.", repr(s))
	case len(statements) == 0:
		return nil, fault.New(fault.Invalid, "Invalid filter '%s'. Could not be parsed.", s)
	case len(statements) > 1:
		return nil, fault.New(fault.Invalid, "Search filter contained multiple expression %s. Provide AND-ed expression list.", repr(s))
	}
	parts := joinLists(s, statements[0].kids)
	if err := rules.checkParts(s, parts); err != nil {
		return nil, err
	}
	var clauses []Clause
	for _, p := range parts {
		if p.class != comparison {
			continue
		}
		if len(clauses) == MaxClauses {
			return nil, fault.New(fault.Invalid, "Invalid filter: it has more than %d comparisons", MaxClauses)
		}
		c, err := rules.clause(s, p)
		if err != nil {
			return nil, err
		}
		if err := c.finish(n); err != nil {
			return nil, err
		}
		clauses = append(clauses, c)
	}
	return clauses, nil
}

// finish derives what follows from the fields of a clause.
func (c *Clause) finish(n Noun) error {
	c.AbsentMatches = c.Op == IsNull
	if c.Kind == Tag && c.Key == PromptTag && (n == RegisteredModels || n == ModelVersions) {
		c.AbsentMatches = c.Op == Equal && c.Text == "false" || c.Op == NotEqual && c.Text == "true"
	}
	if c.List != nil && c.Op != In && c.Op != NotIn {
		return fault.New(fault.Invalid, "Invalid comparator '%s' for a list of values: expected IN or NOT IN", c.Op)
	}
	if c.Op == Like || c.Op == ILike {
		c.pattern = NewPattern(c.Text, c.Op == ILike)
	}
	return nil
}

// SearchesPrompts reports whether a filter over registered models or model versions asks for prompts. When it does not,
// MLflow's registry leaves out every model that has a PromptTag of 'true', and ignores the clauses about that tag.
func SearchesPrompts(clauses []Clause) bool {
	for _, c := range clauses {
		if c.Kind == Tag && c.Key == PromptTag {
			return c.Op == Equal && strings.EqualFold(c.Text, "true") || c.Op == NotEqual && strings.EqualFold(c.Text, "false")
		}
	}
	return false
}

// parse cuts s into statements, which semicolons part, and builds their trees.
func parse(s string) ([]*node, error) {
	var all []*node
	var tokens []*node
	level, ended := 0, false
	flush := func() error {
		for _, t := range tokens {
			if !t.class.isSpace() {
				root, err := group(s, tokens)
				if err != nil {
					return err
				}
				all = append(all, root)
				break
			}
		}
		tokens, level, ended = nil, 0, false
		return nil
	}
	for _, t := range lex(s) {
		if ended && t.class != space && t.class != comment {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		tokens = append(tokens, t)
		switch said := s[t.start:t.end]; {
		case t.class == punctuation && said == "(":
			level++
		case t.class == punctuation && said == ")", t.class == keyword && strings.EqualFold(said, "END"):
			level--
		case t.class == punctuation && said == ";":
			ended = level <= 0
		case t.class == keyword && said == "GO":
			ended = true
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return all, nil
}

// joinLists makes comparisons of IN, NOT IN, IS NULL and IS NOT NULL, which the SQL parser leaves apart, and drops white
// space. It consumes the neighbours of an identifier even when they make no comparison, as MLflow does.
func joinLists(s string, kids []*node) []*node {
	var words []*node
	for _, k := range kids {
		if !k.class.isSpace() {
			words = append(words, k)
		}
	}
	is := func(n *node, word string) bool { return n.class == keyword && equalUpper(s[n.start:n.end], word) }
	var out []*node
	for i := 0; i < len(words); {
		left := words[i:]
		if len(left) < 3 {
			out = append(out, left...)
			break
		}
		first, second, third := left[0], left[1], left[2]
		if first.class != identifier {
			out = append(out, first)
			i++
			continue
		}
		i += 3
		null := is(third, "NOT NULL")
		switch {
		case is(second, "IN") && third.class == parenthesis:
			out = append(out, wrap(comparison, left[:3:3]))
			continue
		case is(second, "IS") && is(third, "NULL"):
			out = append(out, &node{class: comparison, start: first.start, end: third.end,
				kids: []*node{first, {class: keyword, start: second.start, end: third.end, said: string(IsNull)}}})
			continue
		case is(second, "IS") && null:
			out = append(out, &node{class: comparison, start: first.start, end: third.end,
				kids: []*node{first, {class: keyword, start: second.start, end: third.end, said: string(IsNotNull)}}})
			continue
		}
		if len(left) < 4 {
			out = append(out, left...)
			break
		}
		fourth := left[3]
		i++
		if is(second, "NOT") && is(third, "IN") && fourth.class == parenthesis {
			out = append(out, &node{class: comparison, start: first.start, end: fourth.end,
				kids: []*node{first, {class: keyword, start: second.start, end: third.end, said: string(NotIn)}, fourth}})
			continue
		}
		out = append(out, left[:4:4]...)
	}
	return out
}

// said is the text of a node.
func (n *node) text(s string) string {
	if n.said != "" {
		return n.said
	}
	return s[n.start:n.end]
}

func equalUpper(s, upper string) bool { return len(s) == len(upper) && strings.EqualFold(s, upper) }

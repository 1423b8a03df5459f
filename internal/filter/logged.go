package filter

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var loggedEntities = map[string]Kind{"attributes": Attribute, "metrics": Metric, "params": Param, "tags": Tag}

// loggedModel reads one comparison of a filter over logged models, for which MLflow has a parser of its own: an entity is
// one of four words, and only lower-case letters before a dot make one.
func (r *rules) loggedModel(s string, n *node, parts []*node) (Clause, error) {
	if len(parts) != 3 {
		return Clause{}, invalid("Invalid comparison: %s. Expected a comparison with 3 tokens.", n.text(s))
	}
	kind, key, shown, err := r.loggedKey(parts[0].text(s))
	if err != nil {
		return Clause{}, err
	}
	c := Clause{Kind: kind, Key: key, Op: Op(strings.Join(strings.Fields(strings.ToUpper(parts[1].text(s))), " "))}
	numeric := kind == Metric || kind == Attribute && slices.Contains(r.numeric, key)
	allowed := []string{"=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"}
	if numeric {
		allowed = []string{"<", "<=", ">", ">=", "=", "!="}
	}
	if !slices.Contains(allowed, string(c.Op)) {
		entity := [...]string{"attributes", "metrics", "params", "tags"}[kind]
		return Clause{}, invalid("Invalid comparison operator for %s.%s: %s. Expected one of (%s).", entity, shown,
			repr(string(c.Op)), reprAll(allowed))
	}
	if err := r.checkLogged(kind, key); err != nil {
		return Clause{}, err
	}
	said := parts[2].text(s)
	if numeric {
		plain := said
		if quoted(said, '\'') || quoted(said, '"') {
			plain = said[1 : len(said)-1]
		}
		v, err := strconv.ParseFloat(plain, 64)
		if err != nil && !isRange(err) || math.IsNaN(v) {
			return Clause{}, invalid("Expected numeric value type for %s. Found %s", key, said)
		}
		c.Number, c.Numeric = v, true
		return c, nil
	}
	if parts[2].class == parenthesis {
		c.List, err = parseList(said)
		return c, err
	}
	if parts[2].class != text && parts[2].class != identifier && !parts[2].class.isNumber() {
		return Clause{}, invalid("Expected a quoted string value for %s (e.g. 'my-value'). Got value %s", key, said)
	}
	c.Text = said
	if quoted(said, '\'') || quoted(said, '"') {
		c.Text = said[1 : len(said)-1]
	}
	return c, nil
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

// loggedKey reads the key of a clause or an order over logged models. shown is the key in MLflow's messages.
func (r *rules) loggedKey(s string) (kind Kind, key, shown string, err error) {
	kind, key = Attribute, s
	entity, rest, dotted := strings.Cut(s, ".")
	if dotted && entity != "" && rest != "" && strings.Trim(entity, "abcdefghijklmnopqrstuvwxyz") == "" {
		known := false
		if kind, known = loggedEntities[entity]; !known {
			return 0, "", "", invalid("Invalid entity type: %s. Expected one of ['attributes', 'metrics', 'params', 'tags'].", repr(entity))
		}
		key = rest
	}
	shown = strings.Trim(key, "`")
	key = unquoteKey(strings.TrimSpace(key))
	if kind != Attribute {
		return kind, key, shown, nil
	}
	if c := canonicalLogged[key]; c != "" {
		key = c
	}
	if slices.Contains(r.numeric, key) {
		shown = key + "_ms"
	}
	return kind, key, shown, nil
}

func (r *rules) checkLogged(kind Kind, key string) error {
	if kind == Attribute && !slices.Contains(r.attributes, key) {
		return invalid("Invalid attribute key '%s' specified. Valid keys are '%s'", key, set(r.attributes...))
	}
	return nil
}

// LoggedModelOrder is one element of order_by in a search over logged models. Ascending is true when it is absent.
type LoggedModelOrder struct {
	FieldName     string `json:"field_name"`
	Ascending     *bool  `json:"ascending,omitempty"`
	DatasetName   string `json:"dataset_name,omitempty"`
	DatasetDigest string `json:"dataset_digest,omitempty"`
}

// ParseLoggedModelOrder reads the orders of a search over logged models: attributes, and metrics, which a dataset may
// narrow. Errors are fault.Invalid.
func ParseLoggedModelOrder(orderBy []LoggedModelOrder) ([]Order, error) {
	r := allRules[LoggedModels]
	if len(orderBy) > MaxOrders {
		return nil, fault.New(fault.Invalid, "Invalid order_by: it has %d elements, more than %d", len(orderBy), MaxOrders)
	}
	orders := make([]Order, 0, len(orderBy))
	for _, o := range orderBy {
		if len(o.FieldName) > MaxBytes {
			return nil, fault.New(fault.Invalid, "Invalid order_by: a field name of %d bytes", len(o.FieldName))
		}
		order := Order{Desc: o.Ascending != nil && !*o.Ascending}
		entity, name, dotted := strings.Cut(o.FieldName, ".")
		switch {
		case dotted && entity == "metrics":
			order.Kind, order.Key, order.DatasetName, order.DatasetDigest = Metric, unquoteKey(name), o.DatasetName, o.DatasetDigest
		case dotted:
			return nil, invalid("Invalid order by field name: %s. Only metrics are supported.", o.FieldName)
		default:
			_, key, _, err := r.loggedKey(o.FieldName)
			if err != nil || r.checkLogged(Attribute, key) != nil {
				return nil, invalid("Invalid order by field name: %s", o.FieldName)
			}
			order.Key = key
		}
		order.Numeric = order.Kind == Metric || slices.Contains(r.numeric, order.Key)
		for _, seen := range orders {
			if seen.Kind == order.Kind && seen.Key == order.Key && seen.DatasetName == order.DatasetName &&
				seen.DatasetDigest == order.DatasetDigest {
				return nil, invalid("`order_by` contains duplicate fields: %s", o.FieldName)
			}
		}
		orders = append(orders, order)
	}
	return orders, nil
}

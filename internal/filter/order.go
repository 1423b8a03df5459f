package filter

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// MaxOrders is how many orders a search may have.
const MaxOrders = 100

// Order is one field to sort by. Numeric says that its values are numbers. The dataset narrows a metric of logged models.
type Order struct {
	Kind          Kind
	Key           string
	Desc          bool
	Numeric       bool
	DatasetName   string
	DatasetDigest string
}

// ParseOrder reads order_by strings such as "metrics.`val loss` DESC" or "Created". A field may appear once. The orders that
// make the result total are not among them: see Total. Logged models have ParseLoggedModelOrder.
func ParseOrder(n Noun, orderBy []string) ([]Order, error) {
	r, err := rulesOf(n)
	if err != nil {
		return nil, err
	}
	if len(orderBy) > MaxOrders {
		return nil, fault.New(fault.Invalid, "Invalid order_by: it has %d elements, more than %d", len(orderBy), MaxOrders)
	}
	orders := make([]Order, 0, len(orderBy))
	for _, s := range orderBy {
		o, err := r.order(s)
		if err != nil {
			return nil, err
		}
		for _, seen := range orders {
			if seen.Kind == o.Kind && seen.Key == o.Key {
				return nil, invalid("`order_by` contains duplicate fields: [%s]", reprAll(orderBy))
			}
		}
		orders = append(orders, o)
	}
	return orders, nil
}

func (r *rules) order(s string) (Order, error) {
	field, desc, err := direction(s)
	if err != nil {
		return Order{}, err
	}
	field = strings.TrimSpace(field)
	var o Order
	if r.noun == RegisteredModels {
		if o.Key = unquoteKey(field); !slices.Contains(r.orders, o.Key) {
			return Order{}, invalid("Invalid order by key '%s' specified. Valid keys are '%s'", field, set("name", "timestamp"))
		}
	} else if o.Kind, o.Key, err = r.key(field, true); err != nil {
		return Order{}, err
	}
	switch {
	case o.Kind == Dataset:
		return Order{}, invalid("Invalid identifier type '%s'", o.Kind)
	case o.Kind == Tag && r.noun == Experiments:
		return Order{}, invalid("Invalid order_by entity: %s", o.Kind)
	case o.Kind == Tag && r.noun == ModelVersions:
		return Order{}, invalid("Invalid order by key '%s' specified. Valid keys are %s", o.Key, set(r.orders...))
	}
	o.Desc = desc
	o.Numeric = o.Kind == Metric || o.Kind == Attribute && slices.Contains(r.numeric, o.Key)
	if o.Kind == Attribute && canonical[o.Key] != "" {
		o.Key = canonical[o.Key]
	}
	return o, nil
}

// direction parts an order into the field and whether it descends.
func direction(s string) (field string, desc bool, err error) {
	unparsed := func() error { return invalid("Invalid order_by clause '%s'. Could not be parsed.", s) }
	if len(s) > MaxBytes || !utf8.ValidString(s) {
		return "", false, invalid("Invalid order_by clause: it is longer than %d bytes or not UTF-8", MaxBytes)
	}
	statements, err := parse(s)
	if err != nil {
		return "", false, invalid("Error on parsing order_by clause '%s'", s)
	}
	if len(statements) != 1 {
		return "", false, unparsed()
	}
	kids := statements[0].kids
	first, last := kids[0], kids[len(kids)-1]
	timestamp := first.class == builtin && strings.EqualFold(first.text(s), "timestamp")
	switch {
	case len(kids) == 1 && first.class == identifier:
		field = first.text(s)
	case len(kids) == 1 && timestamp:
		return "timestamp", false, nil
	case timestamp && last.class == ordering && following(kids, 0) == len(kids)-1:
		field = "timestamp " + last.text(s)
	default:
		return "", false, unparsed()
	}
	words, ok := shellWords(strings.ReplaceAll(field, "`", `"`))
	switch {
	case !ok || len(words) > 2:
		return "", false, unparsed()
	case len(words) < 2:
		return field, false, nil
	}
	switch strings.ToLower(words[1]) {
	case "asc":
		return words[0], false, nil
	case "desc":
		return words[0], true, nil
	}
	return "", false, invalid("Invalid ordering key in order_by clause '%s'.", s)
}

// Defaults is how MLflow orders a noun when the caller does not say: the total order that Total gives for no orders.
//
//	runs               start_time DESC, run_id
//	experiments        creation_time DESC, experiment_id
//	registered models  name
//	model versions     last_updated_timestamp DESC, name, version_number DESC
//	logged models      creation_timestamp DESC, model_id
func Defaults(n Noun) []Order {
	switch n {
	case Experiments:
		return []Order{{Key: "creation_time", Desc: true, Numeric: true}, {Key: "experiment_id"}}
	case ModelVersions:
		return Total(n, []Order{{Key: "last_updated_timestamp", Desc: true, Numeric: true}})
	}
	return Total(n, nil)
}

// ties are the orders that MLflow puts behind those of the caller.
var ties = map[Noun][]Order{
	Runs:             {{Key: "start_time", Desc: true, Numeric: true}, {Key: "run_id"}},
	Experiments:      {{Key: "experiment_id", Desc: true}},
	RegisteredModels: {{Key: "name"}},
	ModelVersions:    {{Key: "name"}, {Key: "version_number", Desc: true, Numeric: true}},
	LoggedModels:     {{Key: "creation_timestamp", Desc: true, Numeric: true}, {Key: "model_id"}},
}

// Total puts the tie-breaks of the noun behind orders, so that no two rows are equal, which pages by key need. Those that
// the caller named already are not repeated. Defaults has the orders for a caller who names none.
func Total(n Noun, orders []Order) []Order {
	total := slices.Clone(orders)
	for _, tie := range ties[n] {
		if !slices.ContainsFunc(orders, func(o Order) bool { return o.Kind == Attribute && o.Key == tie.Key }) {
			total = append(total, tie)
		}
	}
	return total
}

// String is the order as a user may write it.
func (o Order) String() string {
	field := o.Key
	if o.Kind != Attribute {
		field = plural[o.Kind] + "." + quoteKey(o.Kind, o.Key)
	}
	if o.Kind == Metric && (o.DatasetName != "" || o.DatasetDigest != "") {
		field += fmt.Sprintf(" ON %q %q", o.DatasetName, o.DatasetDigest)
	}
	if o.Desc {
		return field + " DESC"
	}
	return field + " ASC"
}

// Value is a value to sort by: a number, a text, or nothing.
type Value struct {
	Null    bool    `json:"null,omitempty"`
	Numeric bool    `json:"numeric,omitempty"`
	Number  float64 `json:"number,omitempty"`
	Text    string  `json:"text,omitempty"`
}

// Compare is negative when a row with a comes before one with b in this order.
func (o Order) Compare(a, b Value) int {
	if o.Numeric {
		return CompareNumber(a.Number, !a.Null, b.Number, !b.Null, o.Desc)
	}
	return CompareText(a.Text, !a.Null, b.Text, !b.Null, o.Desc)
}

// CompareText orders texts by their bytes. What is not present comes last in either direction.
func CompareText(a string, hasA bool, b string, hasB bool, desc bool) int {
	switch {
	case !hasA || !hasB:
		return absentLast(hasA, hasB)
	case desc:
		return strings.Compare(b, a)
	}
	return strings.Compare(a, b)
}

// CompareNumber orders numbers. NaN comes after every number, and what is not present after NaN, in either direction.
func CompareNumber(a float64, hasA bool, b float64, hasB bool, desc bool) int {
	switch {
	case !hasA || !hasB:
		return absentLast(hasA, hasB)
	case math.IsNaN(a) || math.IsNaN(b):
		return absentLast(!math.IsNaN(a), !math.IsNaN(b))
	case desc:
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

func absentLast(hasA, hasB bool) int {
	switch {
	case hasA == hasB:
		return 0
	case hasA:
		return -1
	}
	return 1
}

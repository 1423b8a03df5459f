package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// rules are what one noun allows.
type rules struct {
	noun       Noun
	attributes []string // the words that name an attribute, in a filter
	orders     []string // the same, in an order
	unsaid     []string // words that an order takes, and that no message names
	numeric    []string // those of them that are numbers
	lists      []string // those that may be compared with a list
}

var allRules = map[Noun]*rules{
	Runs: {
		noun: Runs,
		attributes: []string{"run_id", "run_name", "user_id", "status", "start_time", "end_time", "artifact_uri", "created", "Created",
			"run name", "Run name", "Run Name"},
		orders:  []string{"run_id", "run_name", "user_id", "status", "start_time", "end_time", "artifact_uri", "created", "Created"},
		unsaid:  []string{"run name", "Run name", "Run Name"},
		numeric: []string{"start_time", "end_time", "created", "Created"},
		lists:   []string{"run_id"},
	},
	Experiments: {
		noun:       Experiments,
		attributes: []string{"name", "experiment_id", "creation_time", "last_update_time"},
		orders:     []string{"name", "experiment_id", "creation_time", "last_update_time"},
		numeric:    []string{"creation_time", "last_update_time"},
		lists:      []string{"experiment_id"},
	},
	RegisteredModels: {
		noun:       RegisteredModels,
		attributes: []string{"name"},
		orders:     []string{"name", "timestamp", "last_updated_timestamp", "creation_timestamp"},
		numeric:    []string{"timestamp", "last_updated_timestamp", "creation_timestamp"},
		lists:      []string{"name"},
	},
	ModelVersions: {
		noun:       ModelVersions,
		attributes: []string{"name", "version_number", "run_id", "source_path"},
		orders:     []string{"name", "version_number", "creation_timestamp", "last_updated_timestamp"},
		numeric:    []string{"version_number", "creation_timestamp", "last_updated_timestamp"},
		lists:      []string{"name", "run_id"},
	},
	LoggedModels: {
		noun: LoggedModels,
		attributes: []string{"name", "model_id", "model_type", "status", "status_message", "source_run_id", "experiment_id",
			"artifact_location", "creation_timestamp", "creation_time", "creation_timestamp_ms", "last_updated_timestamp",
			"last_updated_time", "last_updated_timestamp_ms"},
		numeric: []string{"creation_timestamp", "last_updated_timestamp"},
	},
}

// canonical gives an attribute its one name.
var canonical = map[string]string{
	"created": "start_time", "Created": "start_time", "run name": "run_name", "Run name": "run_name", "Run Name": "run_name",
	"timestamp": "last_updated_timestamp",
}

// canonicalLogged is the same for logged models.
var canonicalLogged = map[string]string{
	"creation_time": "creation_timestamp", "creation_timestamp_ms": "creation_timestamp",
	"last_updated_time": "last_updated_timestamp", "last_updated_timestamp_ms": "last_updated_timestamp",
}

// entities are the prefixes of keys in filters over runs.
var entities = map[string]Kind{
	"metric": Metric, "metrics": Metric, "parameter": Param, "parameters": Param, "param": Param, "params": Param,
	"tag": Tag, "tags": Tag, "attribute": Attribute, "attributes": Attribute, "attr": Attribute, "run": Attribute,
	"dataset": Dataset, "datasets": Dataset,
}

var (
	numberOps = []string{"!=", "<", "<=", "=", ">", ">="}
	textOps   = []string{"!=", "=", "ILIKE", "LIKE"}
	nullOps   = []string{"!=", "=", "ILIKE", "IS NOT NULL", "IS NULL", "LIKE"}
	listOps   = []string{"!=", "=", "ILIKE", "IN", "LIKE", "NOT IN"}
)

func rulesOf(n Noun) (*rules, error) {
	r, ok := allRules[n]
	if !ok {
		return nil, fault.New(fault.Invalid, "Invalid noun to search: %q", string(n))
	}
	return r, nil
}

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// checkParts refuses what is neither a comparison nor AND.
func (r *rules) checkParts(s string, parts []*node) error {
	var wrong []string
	for _, p := range parts {
		said := p.text(s)
		if p.class == comparison || p.class == keyword && equalUpper(said, "AND") {
			continue
		}
		switch r.noun {
		case LoggedModels:
			return invalid("Invalid filter string: %s. Expected a list of comparisons separated by 'AND' "+
				"(e.g. 'metrics.loss > 0.1 AND params.lr = 0.01').", repr(s))
		case Runs:
			said = "'" + said + "'"
		}
		wrong = append(wrong, said)
	}
	if len(wrong) > 0 {
		return invalid("Invalid clause(s) in filter string: %s", strings.Join(wrong, ", "))
	}
	return nil
}

// clause reads one comparison.
func (r *rules) clause(s string, n *node) (Clause, error) {
	var parts []*node
	for _, k := range n.kids {
		if !k.class.isSpace() {
			parts = append(parts, k)
		}
	}
	if r.noun == LoggedModels {
		return r.loggedModel(s, n, parts)
	}
	op := ""
	if len(parts) > 1 {
		op = strings.Join(strings.Fields(strings.ToUpper(parts[1].text(s))), " ")
	}
	null := len(parts) == 2 && (op == string(IsNull) || op == string(IsNotNull))
	if len(parts) != 3 && !null {
		return Clause{}, invalid("Invalid comparison clause. Expected 3 tokens found %d", len(parts))
	}
	if parts[0].class != identifier {
		return Clause{}, invalid("Invalid comparison clause. Expected 'Identifier' found '%s'", parts[0].text(s))
	}
	kind, key, err := r.key(parts[0].text(s), false)
	if err != nil {
		return Clause{}, err
	}
	c := Clause{Kind: kind, Key: key, Op: Op(op)}
	if null {
		return c, r.checkNull(c)
	}
	if err := r.value(s, &c, parts[2]); err != nil {
		return Clause{}, err
	}
	if err := r.operator(&c, parts[1].text(s)); err != nil {
		return Clause{}, err
	}
	if c.Kind == Attribute && canonical[c.Key] != "" {
		c.Key = canonical[c.Key]
	}
	return c, nil
}

func (r *rules) checkNull(c Clause) error {
	switch {
	case r.noun == Runs && c.Kind != Tag && c.Kind != Param:
		return invalid("IS NULL / IS NOT NULL is only supported for tags and params, not for '%s' '%s'", c.Kind, c.Key)
	case r.noun == Experiments && c.Kind != Tag:
		return invalid("IS NULL / IS NOT NULL is only supported for tags, not for attribute '%s'", c.Key)
	case r.noun == RegisteredModels || r.noun == ModelVersions:
		return invalid("Invalid comparator for %s: %s", c.Kind, c.Op)
	}
	return nil
}

// key reads what stands left of a comparator, or an order without its direction.
func (r *rules) key(s string, ordering bool) (Kind, string, error) {
	entity, key, dotted := strings.Cut(s, ".")
	if !dotted {
		entity, key = "attribute", s
	}
	kind, known := entities[entity]
	plain := unquoteKey(key)
	switch r.noun {
	case Runs:
		if quoted(entity, '`') {
			entity = entity[1 : len(entity)-1]
			kind, known = entities[entity]
		}
		if !known {
			return 0, "", invalid("Invalid entity type '%s'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']", entity)
		}
		if kind == Dataset && !slices.Contains([]string{"name", "digest", "context"}, plain) {
			return 0, "", invalid("Invalid dataset key '%s' specified. Valid keys are '%s'", plain, set("name", "digest", "context"))
		}
	default:
		if entity != "attribute" && entity != "tag" && entity != "tags" {
			return 0, "", invalid("Invalid entity type '%s'. Valid entity types are ('attribute', 'tag', 'tags')", entity)
		}
	}
	attributes := r.attributes
	if ordering {
		attributes = r.orders
	}
	if kind == Attribute && !slices.Contains(attributes, plain) && !(ordering && slices.Contains(r.unsaid, plain)) {
		if ordering || r.noun == Runs || r.noun == Experiments {
			key = plain
		}
		return 0, "", invalid("Invalid attribute key '%s' specified. Valid keys are '%s'", key, set(attributes...))
	}
	return kind, plain, nil
}

func quoted(s string, quote byte) bool { return len(s) >= 2 && s[0] == quote && s[len(s)-1] == quote }

// unquoteKey takes the quotes off a key: ' or ", and then backticks.
func unquoteKey(s string) string {
	if quoted(s, '\'') || quoted(s, '"') {
		s = s[1 : len(s)-1]
	}
	if quoted(s, '`') {
		s = s[1 : len(s)-1]
	}
	return s
}

// unquoteValue takes the quotes off a value, which must have some.
func unquoteValue(s string) (string, error) {
	if quoted(s, '\'') || quoted(s, '"') {
		return s[1 : len(s)-1], nil
	}
	return "", invalid("Parameter value is either not quoted or unidentified quote types used for string value %s. "+
		"Use either single or double quotes.", s)
}

// value reads what stands right of a comparator.
func (r *rules) value(s string, c *Clause, n *node) (err error) {
	said := n.text(s)
	isText := n.class == text || n.class == identifier
	numeric := c.Kind == Metric || c.Kind == Attribute && slices.Contains(r.numeric, c.Key)
	switch {
	case numeric && n.class == float && r.noun != Runs && c.Kind == Attribute:
		shown := reprFloat(parseNumber(said))
		if r.noun == Experiments {
			shown = repr(shown)
		}
		c.Number, c.Numeric = parseNumber(said), true
		c.Text = shown // the value is refused once the comparator has been found good
	case numeric && n.class.isNumber():
		c.Number, c.Numeric = parseNumber(said), true
	case c.Kind == Metric:
		return invalid("Expected numeric value type for metric. Found %s", said)
	case numeric && (r.noun == Runs || r.noun == Experiments):
		return invalid("Expected numeric value type for numeric attribute: %s. Found %s", c.Key, said)
	case isText:
		c.Text, err = unquoteValue(said)
	case c.Kind == Param || c.Kind == Tag:
		return invalid("Expected a quoted string value for %s (e.g. 'my-value'). Got value %s", c.Kind, said)
	case n.class == parenthesis:
		if c.Kind == Attribute && !slices.Contains(r.lists, c.Key) {
			return invalid("Only [%s] attributes support comparison with a list of quoted string values.", reprAll(r.lists))
		}
		c.List, err = parseList(said)
	case c.Kind == Dataset:
		return invalid("Expected a quoted string value for dataset attributes. Got value %s", said)
	case n.class.isNumber() && r.noun == ModelVersions:
		return invalid("Only the '%s' attributes support comparison with numeric values.", set(r.numeric...))
	case r.noun == Runs || r.noun == Experiments:
		return invalid("Expected a quoted string value for attributes. Got value %s", said)
	default:
		return invalid("Expected a quoted string value or a list of quoted string values for attributes. Got value %s", said)
	}
	return err
}

// parseNumber is the value of a number token; beyond the range of a double it is infinite, as in Python.
func parseNumber(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}

func parseList(s string) ([]string, error) {
	items, other, ok := literal(s)
	switch {
	case !ok:
		return nil, invalid("While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list.")
	case other != "":
		return nil, invalid("While parsing a list in the query, expected string value, punctuation, or whitespace, "+
			"but got different type in list: %s", other)
	case len(items) == 0:
		return nil, invalid("While parsing a list in the query, expected a non-empty list of string values, but got empty list")
	}
	return items, nil
}

// operator checks the comparator of a clause that has its value; said is how the user wrote it.
func (r *rules) operator(c *Clause, said string) error {
	op := string(c.Op)
	wrong := func(allowed []string, closing string) error {
		return invalid("Invalid comparator '%s' not one of '%s%s", op, set(allowed...), closing)
	}
	numeric := c.Kind == Metric || c.Kind == Attribute && slices.Contains(r.numeric, c.Key)
	switch {
	case r.noun == Runs:
		allowed, closing := nullOps, ""
		switch {
		case numeric && c.Kind == Metric:
			allowed = numberOps
		case numeric:
			if !slices.Contains(numberOps, op) {
				return wrong(listOps, "") // the list that MLflow shows here is that of texts
			}
			return nil
		case c.Kind == Attribute:
			allowed, closing = listOps, "'"
		case c.Kind == Param:
			closing = "'"
		case c.Kind == Dataset:
			allowed = listOps
		}
		if !slices.Contains(allowed, op) {
			return wrong(allowed, closing)
		}
		return nil
	case c.Kind == Tag:
		if !slices.Contains(textOps, op) {
			return invalid("Invalid comparator for tag: %s", op)
		}
		return nil
	case r.noun == Experiments && c.Key == "experiment_id":
		return r.experimentID(c)
	case r.noun == Experiments && numeric && !slices.Contains(numberOps, op):
		return wrong(listOps, "")
	case r.noun == ModelVersions && numeric && !slices.Contains(numberOps, op):
		return invalid("Invalid comparator for attribute %s: %s", c.Key, op)
	case numeric:
		return wholeNumber(c)
	case r.noun == Experiments && !slices.Contains(listOps, op):
		return wrong(listOps, "'")
	case r.noun == Experiments && !slices.Contains(textOps, op):
		return invalid("Invalid comparator for string attribute: %s", op)
	case !slices.Contains(listOps, op) || (op == string(In) || op == string(NotIn)) && !slices.Contains(r.lists, c.Key):
		return invalid("Invalid comparator for attribute: %s", op)
	}
	return nil
}

// experimentID makes the one decimal form of ids, so that they can be compared as texts.
func (r *rules) experimentID(c *Clause) error {
	if op := c.Op; op != Equal && op != NotEqual && op != In && op != NotIn {
		return invalid("Invalid comparator for experiment_id: %s", op)
	}
	one := func(s string) (string, error) {
		v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return "", invalid("Invalid experiment ID '%s'. Experiment ID must be a valid integer.", s)
		}
		return strconv.FormatInt(v, 10), nil
	}
	var err error
	if c.List == nil {
		c.Text, err = one(c.Text)
		return err
	}
	for i := range c.List {
		if c.List[i], err = one(c.List[i]); err != nil {
			return err
		}
	}
	return nil
}

// wholeNumber makes an attribute's value an integer; a quoted one is accepted.
func wholeNumber(c *Clause) error {
	if c.Numeric {
		if c.Text != "" {
			return invalid("Invalid value for numeric attribute '%s': %s", c.Key, c.Text)
		}
		return nil
	}
	v, err := strconv.ParseInt(strings.TrimSpace(c.Text), 10, 64)
	if err != nil {
		return invalid("Invalid value for numeric attribute '%s': %s", c.Key, repr(c.Text))
	}
	c.Text, c.Number, c.Numeric = "", float64(v), true
	return nil
}

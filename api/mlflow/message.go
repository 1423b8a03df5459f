package mlflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// kind is what a field holds. Unlike the original, which ignores what its types cannot say once the required fields are there, every
// field is checked: a value that is not understood is refused and never replaced by zero.
type kind uint8

const (
	text kind = iota
	int64s
	int32s
	number
	boolean
	enum
	object
)

// field is one field of a request. List means repeated.
type field struct {
	name     string
	kind     kind
	list     bool
	required bool     // missing, null and "" are refused
	atMost   int64    // of an integer; 0 = any
	names    []string // of an enum: the name of each number; "" = the number does not exist
	of       *message // of an object
	check    func(v *value) string
}

// message is the form of a request.
type message struct {
	fields []field
	index  map[string]int // by name and by its camelCase form, as protobuf's JSON takes both
}

// form makes a message of its fields, in the order in which they are checked.
func form(fields ...field) *message {
	m := &message{fields: fields, index: map[string]int{}}
	for i, f := range fields {
		m.index[f.name] = i
		m.index[camel(f.name)] = i
	}
	return m
}

func camel(name string) string {
	var b strings.Builder
	up := false
	for i := range len(name) {
		switch {
		case name[i] == '_':
			up = true
		case up:
			b.WriteByte(name[i] &^ 0x20)
			up = false
		default:
			b.WriteByte(name[i])
		}
	}
	return b.String()
}

// value is what a request says for one field.
type value struct {
	set    bool // present and not null
	bad    bool // of another type; raw and python say what it was
	text   string
	int    int64
	float  float64
	flag   bool
	list   []value
	record *record
	raw    []byte
	python string // the type as Python calls it
}

// record is a decoded request.
type record struct {
	form   *message
	values []value
}

func (r *record) get(name string) *value {
	i, ok := r.form.index[name]
	if !ok {
		panic("mlflow: no field " + name) // a mistake of a handler, which every test of it meets
	}
	return &r.values[i]
}

func (r *record) text(name string) string { return r.get(name).text }
func (r *record) int(name string) int64   { return r.get(name).int }
func (r *record) has(name string) bool    { return r.get(name).set }

// texts are the elements of a list of strings.
func (r *record) texts(name string) []string {
	list := r.get(name).list
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].text
	}
	return out
}

// records are the elements of a list of objects.
func (r *record) records(name string) []*record {
	list := r.get(name).list
	out := make([]*record, len(list))
	for i := range list {
		out[i] = list[i].record
	}
	return out
}

const docs = " See the API docs for more information about request parameters."

func missing(path string) error {
	return fault.New(fault.Invalid, "Missing value for required parameter '%s'.%s", path, docs)
}

func wrongType(path string, v *value) error {
	shown := v.raw
	var compact bytes.Buffer
	if json.Compact(&compact, v.raw) == nil {
		shown = compact.Bytes()
	}
	if len(shown) > 500 {
		shown = append(bytes.ToValidUTF8(slices.Clone(shown[:500]), nil), "..."...)
	}
	return fault.New(fault.Invalid, "Invalid value %s for parameter '%s' supplied:  Hint: Value was of type '%s'.%s", shown, path, v.python, docs)
}

// decode reads a request's body. An empty one is an empty object; a text is the request once more encoded, as old clients send it.
func decode(m *message, body []byte) (*record, error) {
	s := &scanner{b: body}
	first := s.space()
	if first == '"' {
		inner := s.text()
		if s.end(); s.err != nil {
			return nil, s.err
		}
		s = &scanner{b: []byte(inner)}
		first = s.space()
	}
	r := &record{form: m, values: make([]value, len(m.fields))}
	switch {
	case first == 0 && len(s.b) == s.i:
	case first == '{':
		r.read(s)
	case first == 'n' && s.literal() == 'n':
	default:
		s.skip()
		if s.err == nil {
			s.err = fault.New(fault.Invalid, "Bad Request. The body must be a JSON object.")
		}
	}
	if s.end(); s.err != nil {
		return nil, s.err
	}
	return r, r.checked("")
}

func (r *record) read(s *scanner) {
	for ok := s.open('{'); ok; ok = s.more('{') {
		name := s.key()
		if i, known := r.form.index[name]; known {
			r.values[i] = r.form.fields[i].read(s)
		} else {
			s.skip()
		}
	}
}

// read takes a value in and notes whether it is of the field's type.
func (f *field) read(s *scanner) value {
	c := s.space()
	start := s.i
	var v value
	switch {
	case c == 'n':
		s.literal()
		return value{}
	case f.list && c == '[':
		for ok := s.open('['); ok; ok = s.more('[') {
			element := f.one(s)
			v.bad = v.bad || element.bad || !element.set
			v.list = append(v.list, element)
		}
		v.set = true
	case f.list:
		s.skip()
		v.set, v.bad = true, true
	default:
		v = f.one(s)
	}
	if v.bad && s.err == nil {
		v.raw, v.python = s.b[start:s.i], python(s.b[start:s.i])
	}
	return v
}

// one reads a single value.
func (f *field) one(s *scanner) value {
	v := value{set: true}
	switch c := s.space(); {
	case c == '"':
		v.text = s.text()
		switch f.kind {
		case text:
		case int64s, int32s:
			v.int, v.bad = 0, true
			if n, ok := integer(v.text); ok {
				v.int, v.bad = n, false
			}
		case number:
			var ok bool
			v.float, ok = float(v.text)
			v.bad = !ok
		case enum:
			v.int = int64(slices.Index(f.names, v.text))
			v.bad = v.text == "" || v.int < 0
		default:
			v.bad = true
		}
	case c == '{' && f.kind == object:
		v.record = &record{form: f.of, values: make([]value, len(f.of.fields))}
		v.record.read(s)
	case c == '{' || c == '[':
		s.skip()
		v.bad = true
	case c == 't' || c == 'f':
		v.flag = s.literal() == 't'
		v.bad = f.kind != boolean
	case c == 'n':
		s.literal()
		v.set = false
	default:
		f64, n, whole := s.number()
		v.float, v.int = f64, n
		switch f.kind {
		case number:
			v.bad = math.IsInf(f64, 0)
		case int64s, int32s, enum:
			if !whole {
				v.int = int64(f64)
				v.bad = f64 != math.Trunc(f64) || f64 < -(1<<63) || f64 >= 1<<63
			}
		default:
			v.bad = true
		}
	}
	f.bound(&v)
	return v
}

// bound refuses integers that the field's type does not have, and numbers without a name.
func (f *field) bound(v *value) {
	switch {
	case v.bad || !v.set:
	case f.kind == int32s:
		v.bad = v.int != int64(int32(v.int))
	case f.kind == enum:
		v.bad = v.int < 0 || v.int >= int64(len(f.names)) || f.names[v.int] == ""
	}
}

func python(raw []byte) string {
	switch {
	case len(raw) == 0:
		return "NoneType"
	case raw[0] == '"':
		return "str"
	case raw[0] == '{':
		return "dict"
	case raw[0] == '[':
		return "list"
	case raw[0] == 't' || raw[0] == 'f':
		return "bool"
	case bytes.ContainsAny(raw, ".eE"):
		return "float"
	}
	return "int"
}

// decodeQuery reads the fields of a GET request from its query. A repeated field is a repeated argument.
func decodeQuery(m *message, query url.Values) (*record, error) {
	r := &record{form: m, values: make([]value, len(m.fields))}
	for i := range m.fields {
		f := &m.fields[i]
		given, ok := query[f.name]
		if !ok || f.kind == object {
			continue
		}
		if f.list {
			v := value{set: true}
			for _, element := range given {
				v.list = append(v.list, f.argument(element))
			}
			r.values[i] = v
			continue
		}
		if f.kind == boolean && !strings.EqualFold(given[0], "true") && !strings.EqualFold(given[0], "false") {
			return nil, fault.New(fault.Invalid, "Invalid boolean value: %.100s, must be 'true' or 'false'.", given[0])
		}
		r.values[i] = f.argument(given[0])
	}
	return r, r.checked("")
}

// argument reads a value from a query.
func (f *field) argument(arg string) value {
	v := value{set: true, text: strings.ToValidUTF8(arg, "\uFFFD")}
	var ok bool
	switch f.kind {
	case int64s, int32s:
		v.int, ok = 0, false
		if arg != "" {
			v.int, ok = integer(arg)
		}
		v.bad = !ok
	case number:
		v.float, ok = float(arg)
		v.bad = !ok
	case boolean:
		v.flag = strings.EqualFold(arg, "true")
	case enum:
		v.int = int64(slices.Index(f.names, arg))
		if n, numeric := strconv.Atoi(arg); numeric == nil {
			v.int = int64(n)
		}
		v.bad = arg == "" || v.int < 0
	}
	f.bound(&v)
	quoted, _ := json.Marshal(v.text) // a valid string
	v.raw, v.python = quoted, "str"
	return v
}

// checked finds the first field that is missing or wrong, in the order of the form, and nested ones after those of their parent.
func (r *record) checked(prefix string) error {
	if uuid, ok := r.form.index["run_uuid"]; ok { // what the field was called before
		if id := r.get("run_id"); !id.set {
			*id = r.values[uuid]
		}
	}
	for i := range r.form.fields {
		f, v := &r.form.fields[i], &r.values[i]
		path := prefix + f.name
		empty := !v.set || f.kind == text && !f.list && !v.bad && v.text == ""
		switch {
		case f.required && empty:
			return missing(path)
		case v.bad:
			return wrongType(path, v)
		case f.atMost > 0 && v.int > f.atMost:
			if v.raw == nil {
				v.raw, v.python = strconv.AppendInt(nil, v.int, 10), "int"
			}
			return wrongType(path, v)
		}
		if f.check != nil && v.set {
			if why := f.check(v); why != "" {
				return fault.New(fault.Invalid, "%s%s", why, docs)
			}
		}
	}
	for i := range r.form.fields {
		f, v := &r.form.fields[i], &r.values[i]
		if f.kind != object || !v.set {
			continue
		}
		if !f.list {
			if err := v.record.checked(prefix + f.name + "."); err != nil {
				return err
			}
			continue
		}
		for j := range v.list {
			if err := v.list[j].record.checked(fmt.Sprintf("%s%s[%d].", prefix, f.name, j)); err != nil {
				return err
			}
		}
	}
	return nil
}

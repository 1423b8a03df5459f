package project

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// comments holds the doc comments of the types of file.go, "Type" and "Type.Field" to text.
// go test ./lifecycle/project -run TestComments -update extracts them anew; the test fails when they are stale.
//
//go:embed comments.json
var commentsJSON []byte

// SchemaID is the $id of the JSON Schema, for the first line of a file: # yaml-language-server: $schema=...
const SchemaID = "https://raw.githubusercontent.com/trimtab-ml/trimtab/main/docs/trimtab.schema.json"

// object is a JSON object that keeps the order of its keys, so that editors complete in the order of the types.
type object []pair

type pair struct {
	key   string
	value any
}

// MarshalJSON writes the pairs in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(p.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// JSONSchema is the JSON Schema (draft 2020-12) of trimtab.yaml, from the Go types, their tags and their comments. It holds what ParseFile
// accepts in shape; what names what (a dataset, an input, a metric) only ParseFile knows.
func JSONSchema() ([]byte, error) {
	g, err := newSchemaWriter()
	if err != nil {
		return nil, err
	}
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", SchemaID},
		{"title", "trimtab.yaml"},
	}
	root = append(root, g.structure(reflect.TypeFor[File]())...)
	defs := object{}
	for i := 0; i < len(g.queue); i++ { // the queue grows while it is worked off
		t := g.queue[i]
		defs = append(defs, pair{t.Name(), g.definition(t)})
	}
	slices.SortFunc(defs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	root = append(root, pair{"$defs", defs})
	b, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

type schemaWriter struct {
	comments map[string]string
	queue    []reflect.Type
}

func newSchemaWriter() (*schemaWriter, error) {
	g := &schemaWriter{}
	if err := json.Unmarshal(commentsJSON, &g.comments); err != nil {
		return nil, fmt.Errorf("reading the comments of the schema: %w", err)
	}
	return g, nil
}

// definition is the schema of a type that stands under $defs.
func (g *schemaWriter) definition(t reflect.Type) object {
	about := pair{"description", sentence(t.Name(), g.comments[t.Name()])}
	text := object{{"type", "string"}}
	switch t {
	case reflect.TypeFor[Duration]():
		return object{about, {"type", "string"}, {"pattern", durationForm.String()}, {"examples", []string{"30s", "5m", "24h", "7d", "2w"}}}
	case reflect.TypeFor[Strings]():
		return object{about, {"oneOf", []object{text, {{"type", "array"}, {"items", text}, {"minItems", 1}}}}}
	case reflect.TypeFor[TimeColumn]():
		return object{about, {"oneOf", []object{text, g.structure(t)}}}
	case reflect.TypeFor[Label]():
		known := object{{"known_after", object{{"$ref", g.ref(reflect.TypeFor[Duration]())}}}}
		return object{about, {"type", "object"}, {"properties", known}, {"additionalProperties", text}, {"minProperties", 1}, {"maxProperties", 2}}
	case reflect.TypeFor[Train]():
		o := g.structure(t)
		for i := range o {
			if o[i].key == "additionalProperties" {
				o[i].value = true
			}
		}
		return append(o, pair{"oneOf", []object{{{"required", []string{"learner"}}}, {{"required", []string{"preset"}}}, {{"required", []string{"run"}}}}})
	}
	return g.structure(t)
}

// structure is the schema of a struct: its keys, and no other.
func (g *schemaWriter) structure(t reflect.Type) object {
	properties := object{}
	var required []string
	for _, f := range fieldsOf(t) {
		sf := t.Field(f.index)
		o := object{}
		if c := g.comments[t.Name()+"."+sf.Name]; c != "" {
			o = append(o, pair{"description", sentence(sf.Name, c)})
		}
		o = append(o, g.value(sf.Type, f, t.Name())...)
		if f.def != "" {
			o = append(o, pair{"default", defaultValue(f.def, sf.Type)})
		}
		properties = append(properties, pair{f.name, o})
		if f.required {
			required = append(required, f.name)
		}
	}
	out := object{{"description", sentence(t.Name(), g.comments[t.Name()])}, {"type", "object"}, {"properties", properties}}
	if required != nil {
		out = append(out, pair{"required", required})
	}
	return append(out, pair{"additionalProperties", false})
}

// value is the schema of a field's type; enum applies to the innermost text.
func (g *schemaWriter) value(t reflect.Type, f field, owner string) object {
	named := t.PkgPath() == reflect.TypeFor[File]().PkgPath()
	switch {
	case named:
		return object{{"$ref", g.ref(t)}}
	case t.Kind() == reflect.Pointer:
		return g.value(t.Elem(), f, owner)
	case t.Kind() == reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", g.value(t.Elem(), f, owner)}}
	case owner == "Model" && f.name == "prepare":
		return object{{"type", "array"}, {"items", prepareSchema()}}
	case owner == "Retrain" && f.name == "when":
		return object{{"type", "array"}, {"minItems", 1}, {"items", object{{"oneOf", []object{
			{{"type", "string"}, {"examples", []string{"performance", "drift", "manual", "new_labels: 5000", "cron: 0 3 * * 1"}}},
			{{"type", "object"}, {"properties", object{{"new_labels", object{{"type", "integer"}, {"minimum", 1}}}, {"cron", object{{"type", "string"}}}}},
				{"additionalProperties", false}, {"minProperties", 1}, {"maxProperties", 1}},
		}}}}}
	case owner == "Evaluate" && f.name == "metrics":
		return object{{"type", "array"}, {"items", object{{"enum", metricNames()}}}}
	case owner == "Check" && f.name == "between":
		return object{{"type", "array"}, {"items", object{{"type", "number"}}}, {"minItems", 2}, {"maxItems", 2}}
	case owner == "Check" && f.name == "in":
		return object{{"type", "array"}, {"items", object{{"type", []string{"string", "number", "boolean"}}}}, {"minItems", 1}}
	case t.Kind() == reflect.Slice:
		return object{{"type", "array"}, {"items", g.value(t.Elem(), f, owner)}}
	}
	o := object{{"type", map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer",
		reflect.Int64: "integer", reflect.Float64: "number"}[t.Kind()]}}
	if f.enum != nil {
		o = append(o, pair{"enum", f.enum})
	}
	if owner == "Priority" {
		o = append(o, pair{"minimum", 1}, pair{"maximum", 5})
	}
	if owner == "File" && f.name == "project" || owner == "Model" && f.name == "name" || owner == "Deploy" && f.name == "name" {
		o = append(o, pair{"pattern", projectName.String()})
	}
	return o
}

func (g *schemaWriter) ref(t reflect.Type) string {
	if !slices.Contains(g.queue, t) {
		g.queue = append(g.queue, t)
	}
	return "#/$defs/" + t.Name()
}

func metricNames() []string {
	return slices.DeleteFunc(slices.Clone(Metrics), func(m string) bool { return m == "n" })
}

func prepareSchema() object {
	properties := object{}
	for _, op := range prepareSteps {
		properties = append(properties, pair{op, object{{"type", []string{"string", "array", "object", "null"}}}})
	}
	return object{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}, {"minProperties", 1}, {"maxProperties", 1}}
}

func defaultValue(text string, t reflect.Type) any {
	if t.Kind() == reflect.Float64 {
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			return v
		}
	}
	return text
}

// sentence is a doc comment without the name that Go wants at its start.
func sentence(name, comment string) string {
	rest, ok := strings.CutPrefix(comment, name+" ")
	if !ok {
		return comment
	}
	for _, verb := range []string{"is ", "are "} {
		if after, ok := strings.CutPrefix(rest, verb); ok {
			rest = after
			break
		}
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/recipe"
)

// golden compares text with a file, or writes it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run go test ./lifecycle/project -update", path)
	}
}

// TestComments extracts the doc comments of file.go; it comes first because the schema is made of them.
func TestComments(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "file.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	text := func(g *ast.CommentGroup) string { // the first paragraph; what follows is for readers of the code
		first, _, _ := strings.Cut(g.Text(), "\n\n")
		return strings.Join(strings.Fields(first), " ")
	}
	for _, d := range parsed.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			ts := s.(*ast.TypeSpec)
			comments[ts.Name.Name] = text(g.Doc)
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range st.Fields.List {
				for _, n := range f.Names {
					if f.Doc == nil && ts.Name.Name != "Label" {
						t.Errorf("%s.%s has no comment", ts.Name.Name, n.Name)
					}
					if f.Doc != nil {
						comments[ts.Name.Name+"."+n.Name] = text(f.Doc)
					}
				}
			}
		}
	}
	b, err := json.MarshalIndent(comments, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "comments.json", append(b, '\n'))
	if *update {
		commentsJSON = b
	}
}

func TestSchemaIsCurrent(t *testing.T) {
	b, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]any
	if err := json.Unmarshal(b, &parsed); err != nil {
		t.Fatal(err)
	}
	defs := parsed["$defs"].(map[string]any)
	for _, ref := range strings.Split(string(b), `"$ref": "#/$defs/`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		if defs[name] == nil {
			t.Errorf("the definition of %s is missing", name)
		}
	}
	golden(t, "../../docs/trimtab.schema.json", b)
}

func TestPrepareStepsAreTheRecipes(t *testing.T) {
	for _, op := range prepareSteps {
		value := any([]any{"a"})
		switch op {
		case "impute":
			value = "median"
		case "scale":
			value = "standard"
		case "clip":
			value = map[string]any{"low": 0}
		case "pca", "truncated_svd":
			value = map[string]any{"components": 1}
		}
		if _, err := recipe.ParseSteps([]map[string]any{{op: value}}); err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
	_, err := recipe.ParseSteps([]map[string]any{{"zzz": nil}})
	if err == nil {
		t.Error("any step is taken")
	}
}

// TestReferenceIsCurrent writes docs/trimtab-yaml.md from the types, the comments and a complete example.
func TestReferenceIsCurrent(t *testing.T) {
	g, err := newSchemaWriter()
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("testdata/flight-delays.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("```yaml\n" + string(example) + "```\n")
	b.WriteString(referenceWords)
	order := []reflect.Type{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Map || t.Kind() == reflect.Slice && t.PkgPath() == "" {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || slices.Contains(order, t) {
			return
		}
		order = append(order, t)
		for _, f := range fieldsOf(t) {
			visit(t.Field(f.index).Type)
		}
	}
	visit(reflect.TypeFor[File]())
	titles := map[string]string{"File": "The file"}
	places(reflect.TypeFor[File](), "", titles)
	for _, typ := range order {
		title := titles[typ.Name()]
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", title, sentence(typ.Name(), g.comments[typ.Name()]))
		if typ == reflect.TypeFor[Label]() {
			b.WriteString(referenceLabel)
			continue
		}
		b.WriteString("| key | form | |\n|---|---|---|\n")
		for _, f := range fieldsOf(typ) {
			sf := typ.Field(f.index)
			note := sentence(sf.Name, g.comments[typ.Name()+"."+sf.Name])
			if f.enum != nil {
				note += " One of `" + strings.Join(f.enum, "`, `") + "`."
			}
			if f.def != "" {
				note += " Default `" + f.def + "`."
			}
			if f.required {
				note += " **Required.**"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, form(sf.Type), strings.ReplaceAll(strings.TrimSpace(note), "|", "\\|"))
		}
		switch typ {
		case reflect.TypeFor[Train]():
			b.WriteString(referenceTrain)
		case reflect.TypeFor[Model]():
			b.WriteString(referenceModel)
		case reflect.TypeFor[Evaluate]():
			fmt.Fprintf(&b, referenceConditions, "`"+strings.Join(Metrics, "`, `")+"`")
		}
	}
	b.WriteString(referenceUnbuilt)
	keys := []string{}
	for k := range unbuilt {
		keys = append(keys, "`"+k+"`")
	}
	slices.Sort(keys)
	b.WriteString(strings.Join(keys, ", ") + ".\n")
	golden(t, "../../docs/trimtab-yaml.md", []byte(b.String()))
}

// places names the section of each struct by the path of its key.
func places(t reflect.Type, path string, titles map[string]string) {
	for _, f := range fieldsOf(t) {
		ft := t.Field(f.index).Type
		at := join(path, f.name)
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Map || ft.Kind() == reflect.Slice && ft.PkgPath() == "" {
			if ft.Kind() == reflect.Map {
				at += ".NAME"
			}
			if ft.Kind() == reflect.Slice {
				at += "[]"
			}
			ft = ft.Elem()
		}
		if ft.Kind() != reflect.Struct {
			continue
		}
		if before, ok := titles[ft.Name()]; ok {
			if !strings.Contains(before, "`"+at+"`") {
				titles[ft.Name()] = before + " and `" + at + "`"
			}
			continue
		}
		titles[ft.Name()] = "`" + at + "`"
		places(ft, at, titles)
	}
}

func form(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Strings]():
		return "text or list of texts"
	case reflect.TypeFor[*TimeColumn]():
		return "column, or mapping"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return form(t.Elem())
	case reflect.Struct:
		return "mapping"
	case reflect.Map:
		return "name: " + form(t.Elem())
	case reflect.Slice:
		inner := form(t.Elem())
		if inner == "mapping" || strings.HasPrefix(inner, "name: ") {
			return "list of mappings"
		}
		return "list of " + inner + "s"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	return "any"
}

const referenceHead = `<!-- Generated from lifecycle/project/file.go: go test ./lifecycle/project -update -->
# trimtab.yaml

One file is the whole definition of a project: its data, its model, how it is judged, released, watched and trained
again. ` + "`trimtab plan`" + ` shows what it would change, ` + "`trimtab apply`" + ` makes it so; applying it again changes nothing.
A key that does not exist is an error with its line, its column and the key you probably meant; so is a key that is planned and not
built yet. ` + "`trimtab schema`" + ` prints the JSON Schema (also at [trimtab.schema.json](trimtab.schema.json)), with which an editor completes
and checks the file as you type. ` + "`trimtab init --data FILE`" + ` writes a first one for a file of yours.

A complete example:

`

const referenceWords = `
**Words.** A *duration* is a whole number with one unit: ` + "`30s`, `5m`, `24h`, `7d`, `2w`" + `. A *share* is a percentage, ` + "`20%`" + `.
A *name* has lower-case letters, digits and hyphens, at most 63. Paths start from the folder of the file.
An *expression* (labels, inputs) computes over the columns of a row with SQL's rules for nulls; a *condition* (gates, ` + "`when`, `abort_when`" + `)
is [CEL](https://cel.dev) over named numbers.
`

const referenceLabel = `The name is free and the expression is computed for every row: true or false makes a binary model, a number a regression, text with a
few values a multiclass model. A row whose label is null has no label: it is not learned from.

| key | form | |
|---|---|---|
| NAME | expression | What is predicted, e.g. ` + "`late: \"arr_delay >= 15\"`" + `. **Required.** |
| ` + "`known_after`" + ` | duration | How long after the row's time the truth is known; no model learns a label before that. |
`

const referenceTrain = `
Every other key is a parameter of the learner; ` + "`gbdt`" + ` takes ` + "`rounds`, `leaves`, `bins`, `learning_rate`, `min_leaf`, `min_hessian`, `l2`, `subsample`, `colsample`, `seed`" + `.
A parameter that the learner does not have is an error.
`

const referenceModel = `
Steps of ` + "`prepare`" + `: ` + "`impute`" + ` (mean, median, most_frequent, constant), ` + "`one_hot`, `ordinal`, `target_encode`, `scale`" + ` (standard, min_max, robust),
` + "`clip`, `log`, `pca`, `truncated_svd`, `date_parts`, `dedupe`" + `. The short form names columns, ` + "`{one_hot: [carrier, origin]}`" + `, or for ` + "`impute` and `scale`" + ` what to do,
` + "`{impute: median}`" + `, to every input it fits; the long form has both: ` + "`{impute: {strategy: constant, value: 0, columns: [seats]}}`" + `.
Text that no step encodes gets ordinal codes by frequency.
`

const referenceConditions = `
A condition compares numbers with ` + "`< <= > >= == !=`" + `, computes with ` + "`+ - * /`, `abs`, `min`, `max`" + ` and combines with ` + "`&& || !`" + `. The names are
%s (n is the number of rows), each where the task has it. Gates may also name the version in charge, measured on the same rows: ` + "`champion.auc`" + `;
where there is none, such a gate is skipped and shown as skipped.
`

const referenceUnbuilt = `
## Not supported yet

These keys are part of the design and refused with ` + "`not_supported_yet`" + ` until they are built: `

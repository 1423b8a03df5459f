package route

import (
	"cmp"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// describe is huma's configuration: OpenAPI 3.1, JSON only, no pages from elsewhere, no links in bodies.
func describe(version string) huma.Config {
	if version == "" {
		version = "dev"
	}
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	config := huma.DefaultConfig("Trimtab", version)
	config.Components.Schemas = registry
	config.Info.Description = "The native API of Trimtab. Errors are RFC 9457 problem details with a code and a hint."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer"},
		"basic":  {Type: "http", Scheme: "basic"},
	}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	return config
}

// complete fills what an operation can derive from its access, and panics about the rest.
func complete(op *huma.Operation, a *Access) {
	check(op.Method, op.Path, a)
	noun, _, _ := strings.Cut(a.Action, ".")
	if len(op.Tags) == 0 {
		op.Tags = []string{noun}
	}
	if op.OperationID == "" {
		op.OperationID = operationID(op.Method, strings.TrimPrefix(op.Path, Prefix))
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = a.MaxBody
	}
	// huma would cut the connection five seconds after it began to read the body, also when the handler is at work.
	op.BodyReadTimeout = -1
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	op.Extensions["x-action"] = a.Action
	op.Extensions["x-resource"] = a.Resource
	op.Extensions["x-audit"] = a.Audit.String()
	if a.Audit != Public && op.Security == nil {
		op.Security = []map[string][]string{{"bearer": {}}, {"basic": {}}}
	}
}

// operationID is the method and the words of the path: get-projects-p-datasets.
func operationID(method, path string) string {
	words := strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/{}.:", r) })
	return strings.ToLower(method) + "-" + strings.Join(words, "-")
}

// schemaName is the name of a Go type in the description: package and type, because many packages have a Version.
// Types of the doors themselves go by their own name.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	var b strings.Builder
	for _, part := range strings.FieldsFunc(path.Base(t.PkgPath())+"."+t.Name(), func(r rune) bool {
		return strings.ContainsRune("[]*,", r)
	}) {
		pkg, name, found := strings.Cut(part[strings.LastIndex(part, "/")+1:], ".")
		if !found {
			pkg, name = "", pkg
		}
		switch {
		case pkg == "native" || pkg == "route" || pkg == "mlflow" || pkg == "inference":
			pkg = ""
		case strings.HasPrefix(strings.ToLower(name), pkg):
			pkg = ""
		}
		b.WriteString(upper(pkg) + upper(name))
	}
	return b.String()
}

func upper(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func serveSpec(spec func() ([]byte, error), contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := spec()
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}

// Body is a body of a plain route, for its description: JSON of the type of Value, or bytes of a media type.
type Body struct {
	Media string // "" = application/json
	Value any    // nil = bytes
}

// Describe adds a route of the native API that was registered with Handle or HandleStream to the OpenAPI description:
// such routes read and write their bodies themselves. Request may be nil. It panics when there is no such route.
func (r *Router) Describe(method, pattern, summary string, request *Body, answer Body) {
	at := slices.IndexFunc(r.routes, func(line Route) bool { return line.Method == method && line.Pattern == pattern })
	if at < 0 {
		panic("route: " + method + " " + pattern + " is described and not registered")
	}
	op := huma.Operation{Method: method, Path: strings.ReplaceAll(pattern, "...}", "}"), Summary: summary}
	access := r.routes[at].Access
	complete(&op, &access)
	op.BodyReadTimeout = 0
	for _, name := range parameters(pattern) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if request != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: r.content(*request)}
	}
	problem := r.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	op.Responses = map[string]*huma.Response{
		"200":     {Description: http.StatusText(http.StatusOK), Content: r.content(answer)},
		"default": {Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}},
	}
	r.api.OpenAPI().AddOperation(&op)
}

func (r *Router) content(b Body) map[string]*huma.MediaType {
	schema := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	if b.Value != nil {
		schema = r.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(b.Value), true, "Body")
	}
	return map[string]*huma.MediaType{cmp.Or(b.Media, "application/json"): {Schema: schema}}
}

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxGraph bounds an ONNX file that is evaluated in the server.
const maxGraph = 512 << 20

// onnxModel lets a graph of numbers that somebody else made answer like a model of our own. Rows come as float32, the
// element type that such graphs read; the graph's own type is made of them.
type onnxModel struct {
	graph  *graph.Graph
	task   learn.Task
	output string // what is read: probabilities, or the predicted value
	k      int    // numbers of an answer
	skip   int    // of a binary classifier: probabilities before that of the positive class
	width  int    // values of a row
}

func (m *onnxModel) Kind() string     { return FormatONNX }
func (m *onnxModel) Task() learn.Task { return m.task }
func (m *onnxModel) Features() int    { return m.width }
func (m *onnxModel) Outputs() int     { return m.k }

// Importance is not known of a graph.
func (m *onnxModel) Importance() []float64 { return make([]float64, m.width) }

// MarshalBinary is an error: the file of the version is the model.
func (m *onnxModel) MarshalBinary() ([]byte, error) {
	return nil, fault.New(fault.NotSupported, "an ONNX graph is kept as the file it came as")
}

// PredictRow answers NaN where the graph cannot be evaluated on the row; loading tried it on one.
func (m *onnxModel) PredictRow(x []float32, dst []float64) {
	if err := m.run(x, 1, dst); err != nil {
		for i := range dst[:m.k] {
			dst[i] = math.NaN()
		}
	}
}

// Predict answers many rows at once.
func (m *onnxModel) Predict(x *table.Matrix, dst []float64) {
	for i := range x.Rows {
		m.PredictRow(x.Row(i), dst[i*m.k:(i+1)*m.k])
	}
}

func (m *onnxModel) run(x []float32, rows int, dst []float64) error {
	out, err := m.graph.Run(feeds(m.graph, x, rows), m.output)
	if err != nil {
		return err
	}
	values, err := out[m.output].Float64s()
	if err != nil {
		return err
	}
	wide := m.k + m.skip
	if len(values) != rows*wide {
		return fault.New(fault.Invalid, "the graph answers %d numbers for %d rows", len(values), rows)
	}
	for i := range rows {
		copy(dst[i*m.k:(i+1)*m.k], values[i*wide+m.skip:(i+1)*wide])
	}
	return nil
}

// feeds gives the values of rows to the inputs: one matrix, or a column for each.
func feeds(g *graph.Graph, x []float32, rows int) map[string]*graph.Tensor {
	out := map[string]*graph.Tensor{}
	width := len(x) / max(rows, 1)
	for i, in := range g.Inputs {
		values, shape := x, []int{rows, width}
		if len(g.Inputs) > 1 {
			values, shape = make([]float32, rows), []int{rows, 1}
			for r := range rows {
				values[r] = x[r*width+i]
			}
		}
		if len(in.Shape) == 1 {
			shape = shape[:1]
		}
		out[in.Name] = typed(in.Elem, values, shape)
	}
	return out
}

func typed(elem string, values []float32, shape []int) *graph.Tensor {
	switch elem {
	case "double":
		wide := make([]float64, len(values))
		for i, v := range values {
			wide[i] = float64(v)
		}
		return graph.New(wide, shape...)
	case "int64":
		whole := make([]int64, len(values))
		for i, v := range values {
			whole[i] = int64(v)
		}
		return graph.New(whole, shape...)
	}
	return graph.New(values, shape...)
}

// loadGraph makes a package of a version that holds an ONNX graph. What it cannot serve it says: texts as inputs, an
// operator that is not evaluated here.
func (s *Service) loadGraph(ctx context.Context, v *Version) (*Package, error) {
	name, described, err := s.graphFile(ctx, v.Files)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(v.Files, func(f File) bool { return f.Path == name })
	if at < 0 {
		return nil, fault.New(fault.FormatNotServed, "%s v%d has no ONNX file", v.Model, v.Version)
	}
	if v.Files[at].Size > maxGraph {
		return nil, fault.New(fault.FormatNotServed, "%s has %d bytes, more than the %d that are evaluated here", name, v.Files[at].Size, maxGraph)
	}
	data, err := blob.ReadAll(ctx, s.blobs, v.Files[at].Blob)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s v%d: %w", name, v.Model, v.Version, err)
	}
	g, err := graph.Load(data)
	if err != nil {
		return nil, err
	}
	names, err := graphInputs(g, described)
	if err != nil {
		return nil, err
	}
	m := &onnxModel{graph: g, width: len(names)}
	classes, err := m.look()
	if err != nil {
		return nil, err
	}
	sig := Signature{Task: string(m.task), Classes: classes, Label: "prediction", Features: names}
	if m.task == "binary" && len(classes) == 2 {
		sig.Positive = classes[1]
	}
	spec := recipe.Spec{}
	zeros := &table.Table{Rows: 1}
	for _, n := range names {
		sig.Inputs = append(sig.Inputs, Input{Name: n, Kind: table.Double, Role: RoleFeature, Nullable: true})
		spec.Inputs = append(spec.Inputs, recipe.Input{Name: n, Kind: table.Double, Expr: n})
		column := &table.Column{Name: n, Kind: table.Double}
		column.Append(table.Number(0))
		zeros.Columns = append(zeros.Columns, column)
	}
	fitted, _, err := recipe.Fit(spec, zeros, []float64{0}, 0)
	if err != nil {
		return nil, fmt.Errorf("pass the inputs through: %w", err)
	}
	threshold := v.Threshold
	if threshold == 0 {
		threshold = 0.5
	}
	return &Package{Model: v.Model, Version: v.Version, Signature: sig, Fitted: fitted, Learned: m, Threshold: threshold, Reference: &profile.Reference{}}, nil
}

// look finds out what the graph answers by asking it once.
func (m *onnxModel) look() (classes []string, err error) {
	out, err := m.graph.Run(feeds(m.graph, make([]float32, m.width), 1), m.graph.Outputs...)
	if err != nil {
		return nil, err
	}
	labels := false
	for _, name := range m.graph.Outputs {
		switch out[name].Data.(type) {
		case []string, []int64:
			labels = true
			continue
		}
		if m.output == "" {
			m.output = name
		}
	}
	if m.output == "" {
		return nil, fault.New(fault.FormatNotServed, "the graph answers labels and no numbers").WithHint("export the model with its probabilities")
	}
	wide := len(out[m.output].Shape)
	k := 1
	if wide > 0 {
		for _, d := range out[m.output].Shape {
			k *= d
		}
	}
	switch {
	case k == 2 && labels:
		m.task, m.k, m.skip = "binary", 1, 1
	case k > 2 && labels:
		m.task, m.k = "multiclass", k
	case k == 1:
		m.task, m.k = "regression", 1
		return nil, nil
	default:
		return nil, fault.New(fault.FormatNotServed, "the graph answers %d numbers and no labels", k)
	}
	if classes = m.graph.Classes(); len(classes) != k {
		classes = nil
		for i := range k {
			classes = append(classes, strconv.Itoa(i))
		}
	}
	return classes, nil
}

// graphInputs names the values of a row: by the model's description, else by the graph, else x0, x1, …
func graphInputs(g *graph.Graph, described []string) ([]string, error) {
	for _, in := range g.Inputs {
		if in.Elem != "float" && in.Elem != "double" && in.Elem != "int64" || len(in.Shape) > 2 {
			return nil, fault.New(fault.FormatNotServed, "the input %q of the graph is a tensor of %s with %d dimensions; graphs over rows of numbers are served", in.Name, in.Elem, len(in.Shape))
		}
	}
	if len(g.Inputs) == 0 {
		return nil, fault.New(fault.FormatNotServed, "the graph has no input")
	}
	if len(g.Inputs) > 1 {
		names := []string{}
		for _, in := range g.Inputs {
			if len(in.Shape) == 2 && in.Shape[1] > 1 {
				return nil, fault.New(fault.FormatNotServed, "the graph has several inputs and %q is %d columns wide", in.Name, in.Shape[1])
			}
			names = append(names, in.Name)
		}
		return names, nil
	}
	width := 1
	if shape := g.Inputs[0].Shape; len(shape) == 2 {
		width = shape[1]
	}
	switch {
	case width < 0 && len(described) > 0:
		return described, nil
	case width < 0:
		return nil, fault.New(fault.FormatNotServed, "neither the graph nor MLmodel says how many columns the input has").WithHint("log the model with a signature or an input example")
	case width == len(described):
		return described, nil
	}
	names := make([]string, width)
	for i := range names {
		names[i] = "x" + strconv.Itoa(i)
	}
	return names, nil
}

// graphFile finds the ONNX file among the files of a version, and the names of its columns in MLmodel.
func (s *Service) graphFile(ctx context.Context, files []File) (name string, columns []string, err error) {
	for _, f := range files {
		if path.Ext(f.Path) == ".onnx" && name == "" {
			name = f.Path
		}
	}
	at := slices.IndexFunc(files, func(f File) bool { return f.Path == fileMLmodel })
	if at < 0 || files[at].Size > maxMLmodel {
		return name, nil, nil
	}
	data, err := blob.ReadAll(ctx, s.blobs, files[at].Blob)
	if err != nil {
		return "", nil, fmt.Errorf("read MLmodel: %w", err)
	}
	var m struct {
		Flavors struct {
			ONNX struct {
				Data string `yaml:"data"`
			} `yaml:"onnx"`
		} `yaml:"flavors"`
		Signature struct {
			Inputs string `yaml:"inputs"`
		} `yaml:"signature"`
	}
	if yaml.Unmarshal(data, &m) != nil {
		return name, nil, nil // it says nothing that can be read
	}
	if m.Flavors.ONNX.Data != "" {
		name = m.Flavors.ONNX.Data
	}
	var inputs []struct {
		Name string `json:"name"`
	}
	if json.Unmarshal([]byte(m.Signature.Inputs), &inputs) == nil {
		for _, in := range inputs {
			if in.Name != "" {
				columns = append(columns, in.Name)
			}
		}
	}
	return name, columns, nil
}

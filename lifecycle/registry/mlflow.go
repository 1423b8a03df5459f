package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// mlflow is what a folder's MLmodel says, as far as it is read here.
type mlflow struct {
	Flavors map[string]map[string]any `yaml:"flavors"`
	Sign    struct {
		Inputs  string `yaml:"inputs"`
		Outputs string `yaml:"outputs"`
		Params  string `yaml:"params"`
	} `yaml:"signature"`
	Example struct {
		Path   string `yaml:"artifact_path"`
		Served string `yaml:"serving_input_path"`
	} `yaml:"saved_input_example_info"`

	columns []column          // of the signature's inputs, when they are columns
	tensors []predictor.Field // of them, when they are tensors
}

// column is an input that a model names for itself.
type column struct {
	name     string
	kind     table.Kind
	elem     tensor.Type // how the program that made the model holds it
	optional bool
}

// columnTypes are MLflow's types of columns.
var columnTypes = map[string]column{
	"boolean": {kind: table.Boolean, elem: tensor.Bool}, "integer": {kind: table.Long, elem: tensor.Int32}, "long": {kind: table.Long, elem: tensor.Int64},
	"float": {kind: table.Double, elem: tensor.FP32}, "double": {kind: table.Double, elem: tensor.FP64},
	"string": {kind: table.String, elem: tensor.String}, "datetime": {kind: table.Datetime, elem: tensor.String},
}

// dtypes are NumPy's names of the element types.
var dtypes = map[string]tensor.Type{
	"bool": tensor.Bool, "uint8": tensor.Uint8, "uint16": tensor.Uint16, "uint32": tensor.Uint32, "uint64": tensor.Uint64, "int8": tensor.Int8, "int16": tensor.Int16,
	"int32": tensor.Int32, "int64": tensor.Int64, "float16": tensor.FP16, "float32": tensor.FP32, "float64": tensor.FP64, "str": tensor.String, "object": tensor.String,
}

// maxColumns bounds the columns of a signature.
const maxColumns = 20_000

// mlflowOf reads the MLmodel of a version; nil when it has none. One that is no YAML, or says nothing that is known, is as good as none.
func (s *Service) mlflowOf(ctx context.Context, files []File) (*mlflow, error) {
	at := slices.IndexFunc(files, func(f File) bool { return f.Path == fileMLmodel })
	if at < 0 {
		return nil, nil
	}
	if files[at].Size > maxMLmodel {
		return nil, fault.New(fault.TooLarge, "MLmodel has %d bytes, more than %d", files[at].Size, maxMLmodel)
	}
	data, err := blob.ReadAll(ctx, s.blobs, files[at].Blob)
	if err != nil {
		return nil, fmt.Errorf("read MLmodel: %w", err)
	}
	m := &mlflow{}
	if yaml.Unmarshal(data, m) != nil {
		return nil, nil
	}
	return m, m.sign()
}

// sign reads the inputs of the signature. A signature that cannot be read, or holds what no row does (arrays, objects), is left out:
// the model says the rest for itself.
func (m *mlflow) sign() error {
	var inputs []struct {
		Name     string `json:"name"`
		Type     string `json:"type"`
		Required *bool  `json:"required"`
		Optional bool   `json:"optional"`
		Spec     struct {
			Type  string `json:"dtype"`
			Shape []int  `json:"shape"`
		} `json:"tensor-spec"`
	}
	if m.Sign.Inputs == "" || json.Unmarshal([]byte(m.Sign.Inputs), &inputs) != nil {
		return nil
	}
	if len(inputs) > maxColumns {
		return fault.New(fault.TooLarge, "the signature of MLmodel has %d columns; at most %d are taken", len(inputs), maxColumns)
	}
	for i, in := range inputs {
		optional := in.Optional || in.Required != nil && !*in.Required
		name := in.Name
		if in.Type == "tensor" {
			elem, ok := dtypes[strings.TrimLeft(in.Spec.Type, "<>=|")]
			if !ok {
				m.columns, m.tensors = nil, nil
				return nil
			}
			if name == "" {
				name = unnamed(i, len(inputs))
			}
			m.tensors = append(m.tensors, predictor.Field{Name: name, Type: elem, Shape: in.Spec.Shape, Optional: optional})
			continue
		}
		c, ok := columnTypes[in.Type]
		if !ok {
			m.columns, m.tensors = nil, nil
			return nil
		}
		if name == "" {
			name = "x" + fmt.Sprint(i)
		}
		c.name, c.optional = name, optional
		m.columns = append(m.columns, c)
	}
	if len(m.columns) > 0 && len(m.tensors) > 0 {
		m.columns, m.tensors = nil, nil
	}
	return nil
}

func unnamed(i, n int) string {
	if n == 1 {
		return "input"
	}
	return fmt.Sprintf("input_%d", i)
}

// says is a text of a flavour; "" when it says none.
func (m *mlflow) says(flavor, key string) string {
	text, _ := m.Flavors[flavor][key].(string)
	return text
}

// names is what the columns of the signature are called; nil when there are none.
func (m *mlflow) names() []string {
	if m == nil {
		return nil
	}
	var out []string
	for _, c := range m.columns {
		out = append(out, c.name)
	}
	return out
}

// clean is a path that a description names, when it is one inside of the folder.
func clean(name string) string {
	if name == "" || unclean(path.Clean(name)) {
		return ""
	}
	return path.Clean(name)
}

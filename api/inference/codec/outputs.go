package codec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Names of the tensors that a version with scores answers with, the same in every dialect. Those of the model are the same as in its
// ONNX file. N is the rows, K the classes (two of a binary model) or the margins of a row, F the features that the recipe reads.
const (
	Probabilities = "probabilities" // FP64 [N, K]
	Label         = "label"         // BYTES [N]
	Variable      = "variable"      // FP64 [N, 1]; of a regression
	PredictionID  = "prediction_id" // BYTES [N]: the name under which the outcome may arrive
	Version       = "version"       // INT64 [N]: the version that answered the row
	Arm           = "arm"           // BYTES [N]: champion or canary

	// Of a request that asks to explain.
	Expected             = "expected_value"        // FP64 [N, K]: margins when nothing is known of the row
	Contributions        = "contributions"         // FP64 [N, K, F]
	ContributionFeatures = "contribution_features" // BYTES [F]: names
)

// Classes is the columns of the probabilities of a signature.
func Classes(sig *registry.Signature) int {
	if sig.Task == string(learn.Binary) {
		return 2
	}
	return len(sig.Classes)
}

// InputFields describes what a version takes, in the order of its signature: columns [N], or the tensors of a version that takes tensors.
func InputFields(sig *registry.Signature) []predictor.Field {
	if sig.Task == registry.TaskTensors {
		return sig.TensorInputs
	}
	out := make([]predictor.Field, len(sig.Inputs))
	for i, in := range sig.Inputs {
		out[i] = predictor.Field{Name: in.Name, Type: types[in.Kind], Shape: []int{-1}, Optional: in.Nullable || in.Role != registry.RoleFeature}
	}
	return out
}

var types = map[table.Kind]tensor.Type{table.Double: tensor.FP64, table.Long: tensor.Int64, table.Boolean: tensor.Bool, table.Datetime: tensor.String, table.String: tensor.String}

// OutputFields describes what a version answers, in the order of Outputs: first the model's own, then what the server knows of each row.
func OutputFields(sig *registry.Signature) []predictor.Field {
	var out []predictor.Field
	switch sig.Task {
	case registry.TaskTensors:
		out = slices.Clone(sig.TensorOutputs)
	case string(learn.Regression):
		out = append(out, predictor.Field{Name: Variable, Type: tensor.FP64, Shape: []int{-1, 1}})
	default:
		out = append(out, predictor.Field{Name: Probabilities, Type: tensor.FP64, Shape: []int{-1, Classes(sig)}}, predictor.Field{Name: Label, Type: tensor.String, Shape: []int{-1}})
	}
	for _, f := range []predictor.Field{{Name: PredictionID, Type: tensor.String, Shape: []int{-1}}, {Name: Version, Type: tensor.Int64, Shape: []int{-1}}, {Name: Arm, Type: tensor.String, Shape: []int{-1}}} {
		if !has(out, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

func has(fields []predictor.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f predictor.Field) bool { return f.Name == name })
}

// CheckOutputs refuses names that a version has no output of. It comes before Infer: what is refused is not answered, and not logged. A
// request that asks to explain may also name what explains.
func CheckOutputs(sig *registry.Signature, wanted []string, explain bool) error {
	for _, name := range wanted {
		if known(sig, name, explain) {
			continue
		}
		var names []string
		for _, f := range OutputFields(sig) {
			names = append(names, f.Name)
		}
		return fault.New(fault.Invalid, "there is no output %q", Clip(name)).WithHint("outputs are %s", strings.Join(names, ", "))
	}
	return nil
}

func known(sig *registry.Signature, name string, explain bool) bool {
	switch name {
	case PredictionID, Version, Arm:
		return true
	case Expected, Contributions, ContributionFeatures:
		if explain {
			return true
		}
	}
	switch sig.Task {
	case registry.TaskTensors:
		return has(sig.TensorOutputs, name)
	case string(learn.Regression):
		return name == Variable
	}
	return name == Probabilities || name == Label
}

// Wanted is what of the wanted outputs the model itself gives: what Batch.Wanted takes. Empty means all.
func Wanted(sig *registry.Signature, wanted []string) []string {
	if sig.Task != registry.TaskTensors {
		return nil
	}
	var out []string
	for _, name := range wanted {
		if has(sig.TensorOutputs, name) {
			out = append(out, name)
		}
	}
	return out
}

// Outputs gives the tensors of an answer in the order of wanted. None wanted means the model's own and, of a version with scores,
// prediction_id and version. What explains comes last, whenever the request asked to explain. Answers of two versions whose classes or
// features differ are fault.Conflict: one tensor cannot hold both.
func Outputs(a *serve.Answer, wanted []string) ([]tensor.Named, error) {
	preds := a.Predictions
	var why *serve.Explanation
	if len(preds) > 0 {
		why = preds[0].Explanation
		for i := 1; i < len(preds); i++ {
			p := &preds[i]
			if len(p.Scores) != len(preds[0].Scores) && a.Outputs == nil || why != nil && !slices.Equal(p.Explanation.Features, why.Features) {
				return nil, fault.New(fault.Conflict, "two versions with different classes or features answered").
					WithHint("ask for one version, such as %d", a.Version)
			}
		}
	}
	f := &frame{}
	f.named = f.first[:0]
	if len(wanted) == 0 {
		switch {
		case a.Outputs != nil:
			return a.Outputs, nil
		case a.Signature.Task == string(learn.Regression):
			f.add(a, Variable)
		default:
			f.add(a, Probabilities)
			f.add(a, Label)
		}
		f.add(a, PredictionID)
		f.add(a, Version)
	}
	for _, name := range wanted {
		if !f.add(a, name) {
			return nil, fault.New(fault.Invalid, "there is no output %q", Clip(name))
		}
	}
	if why != nil {
		for _, name := range [...]string{Expected, Contributions, ContributionFeatures} {
			if !slices.Contains(wanted, name) {
				f.add(a, name)
			}
		}
	}
	return f.named, nil
}

// frame is the memory of the tensors of an answer: the usual few come with one allocation.
type frame struct {
	named   []tensor.Named
	first   [8]tensor.Named
	tensors [8]tensor.Tensor
	shapes  [16]int
	used    int // of shapes
}

// put adds a tensor.
func (f *frame) put(name string, data any, shape ...int) {
	t := &tensor.Tensor{}
	if i := len(f.named); i < len(f.tensors) {
		t = &f.tensors[i]
	}
	if end := f.used + len(shape); end <= len(f.shapes) {
		t.Shape = f.shapes[f.used:end:end]
		f.used = end
	} else {
		t.Shape = make([]int, len(shape))
	}
	copy(t.Shape, shape)
	t.Data = data
	f.named = append(f.named, tensor.Named{Name: name, Tensor: t})
}

// add makes one tensor of an answer; it is false when there is none of the name.
func (f *frame) add(a *serve.Answer, name string) bool {
	preds, n := a.Predictions, len(a.Predictions)
	for _, t := range a.Outputs {
		if t.Name == name {
			f.named = append(f.named, t)
			return true
		}
	}
	switch name {
	case PredictionID, Arm, Label:
		d := make([]string, n)
		for i := range preds {
			switch name {
			case PredictionID:
				d[i] = preds[i].ID
			case Arm:
				d[i] = preds[i].Arm.String()
			default:
				d[i] = preds[i].Label
			}
		}
		f.put(name, d, n)
	case Version:
		d := make([]int64, n)
		for i := range preds {
			d[i] = int64(preds[i].Version)
		}
		f.put(name, d, n)
	case Probabilities, Variable:
		if a.Signature.Task == string(learn.Binary) { // its two columns
			d := make([]float64, 2*n)
			for i := range preds {
				d[2*i], d[2*i+1] = 1-preds[i].Scores[0], preds[i].Scores[0]
			}
			f.put(name, d, n, 2)
			break
		}
		k := 0
		if n > 0 {
			k = len(preds[0].Scores)
		}
		d := make([]float64, n*k)
		for i := range preds {
			copy(d[i*k:], preds[i].Scores)
		}
		f.put(name, d, n, k)
	case Expected, Contributions, ContributionFeatures:
		if n == 0 || preds[0].Explanation == nil {
			return false
		}
		f.explain(preds, name)
	default:
		return false
	}
	return true
}

func (f *frame) explain(preds []serve.Prediction, name string) {
	n, k, features := len(preds), len(preds[0].Explanation.Expected), preds[0].Explanation.Features
	switch name {
	case Expected:
		d := make([]float64, 0, n*k)
		for i := range preds {
			d = append(d, preds[i].Explanation.Expected...)
		}
		f.put(name, d, n, k)
	case Contributions:
		d := make([]float64, 0, n*k*len(features))
		for i := range preds {
			for o := range k {
				for _, v := range preds[i].Explanation.Contributions {
					d = append(d, v[o])
				}
			}
		}
		f.put(name, d, n, k, len(features))
	default:
		f.put(name, features, len(features))
	}
}

// Classify gives for each row of a tensor of numbers its k greatest elements as texts "value:index" or "value:index:class", greatest
// first: Triton's classification extension. The result is BYTES [N, k], of a tensor with one dimension BYTES [k].
func Classify(t *tensor.Tensor, k int, classes []string) (*tensor.Tensor, error) {
	values, err := t.Float64s()
	if err != nil {
		return nil, fault.New(fault.Invalid, "a classification needs numbers")
	}
	rows := t.Rows()
	if len(t.Shape) < 2 {
		rows = 1
	}
	w := 0
	if rows > 0 {
		w = len(values) / rows
	}
	k = min(k, w)
	out := make([]string, 0, rows*k)
	order := make([]int, w)
	var b []byte
	for row := range rows {
		v := values[row*w : (row+1)*w]
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(v[j], v[i]) })
		for _, i := range order[:k] {
			b = strconv.AppendFloat(b[:0], v[i], 'f', 6, 64)
			b = append(b, ':')
			b = strconv.AppendInt(b, int64(i), 10)
			if i < len(classes) && len(classes) == w {
				b = append(append(b, ':'), classes[i]...)
			}
			out = append(out, string(b))
		}
	}
	if len(t.Shape) < 2 {
		return tensor.New(out, k), nil
	}
	return tensor.New(out, rows, k), nil
}

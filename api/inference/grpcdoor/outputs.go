package grpcdoor

import (
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Names of outputs, the same in every dialect of tensors.
const (
	outProbabilities = "probabilities" // FP64 [N, K]; binary has two columns
	outLabel         = "label"         // BYTES [N]
	outVariable      = "variable"      // FP64 [N, 1]; regression
	outID            = "prediction_id" // BYTES [N]
	outVersion       = "version"       // INT64 [N]
	outArm           = "arm"           // BYTES [N]

	outExpected      = "expected_value"        // FP64 [N, K]
	outContributions = "contributions"         // FP64 [N, K, F]
	outFeatures      = "contribution_features" // BYTES [F]
)

var explanations = []string{outExpected, outContributions, outFeatures}

// Tasks of versions with scores.
const (
	taskBinary     = "binary"
	taskRegression = "regression"
)

// classesOf is the columns of the probabilities.
func classesOf(sig *registry.Signature) int {
	if sig.Task == taskBinary {
		return 2
	}
	return len(sig.Classes)
}

func versionText(v int) string { return strconv.Itoa(v) }

// outputsOf is the tensors of an answer: those that are wanted in their order; without any, all but the arm.
func outputsOf(a *serve.Answer, wanted []string) ([]tensor.Named, error) {
	if a.Outputs != nil {
		return a.Outputs, nil
	}
	preds, sig := a.Predictions, a.Signature
	n, width := len(preds), len(preds[0].Scores)
	for i := range preds {
		p := &preds[i]
		if len(p.Scores) != width || p.Explanation != nil && !slices.Equal(p.Explanation.Features, preds[0].Explanation.Features) {
			return nil, fault.New(fault.Conflict, "two versions with different classes or features answered").WithHint("ask for version %d", a.Version)
		}
	}
	if len(wanted) == 0 {
		wanted = usual[sig.Task == taskRegression]
		if preds[0].Explanation != nil {
			wanted = append(wanted[:len(wanted):len(wanted)], explanations...)
		}
	}
	out := make([]tensor.Named, 0, len(wanted))
	for _, name := range wanted {
		var t *tensor.Tensor
		switch name {
		case outProbabilities:
			if sig.Task != taskRegression {
				t = probabilities(preds, sig, width)
			}
		case outVariable:
			if sig.Task == taskRegression {
				d := make([]float64, n)
				for i := range preds {
					d[i] = preds[i].Scores[0]
				}
				t = tensor.New(d, n, 1)
			}
		case outLabel:
			if sig.Task != taskRegression {
				t = texts(preds, func(p *serve.Prediction) string { return p.Label })
			}
		case outID:
			t = texts(preds, func(p *serve.Prediction) string { return p.ID })
		case outArm:
			t = texts(preds, func(p *serve.Prediction) string { return p.Arm.String() })
		case outVersion:
			d := make([]int64, n)
			for i := range preds {
				d[i] = int64(preds[i].Version)
			}
			t = tensor.New(d, n)
		default:
			if e := preds[0].Explanation; e != nil {
				t = explanation(preds, name)
			}
		}
		if t == nil {
			return nil, fault.New(fault.Invalid, "there is no output %q", clip(name))
		}
		out = append(out, tensor.Named{Name: name, Tensor: t})
	}
	return out, nil
}

// usual is what a request gets that names no outputs, by whether it is a regression.
var usual = map[bool][]string{false: {outProbabilities, outLabel, outID, outVersion}, true: {outVariable, outID, outVersion}}

func probabilities(preds []serve.Prediction, sig *registry.Signature, width int) *tensor.Tensor {
	n := len(preds)
	if sig.Task == taskBinary {
		d := make([]float64, 0, 2*n)
		for i := range preds {
			d = append(d, 1-preds[i].Scores[0], preds[i].Scores[0])
		}
		return tensor.New(d, n, 2)
	}
	d := make([]float64, 0, width*n)
	for i := range preds {
		d = append(d, preds[i].Scores...)
	}
	return tensor.New(d, n, width)
}

func texts(preds []serve.Prediction, of func(p *serve.Prediction) string) *tensor.Tensor {
	d := make([]string, len(preds))
	for i := range preds {
		d[i] = of(&preds[i])
	}
	return tensor.New(d, len(d))
}

// explanation is one of the tensors that say what each feature did; nil when there is none of the name.
func explanation(preds []serve.Prediction, name string) *tensor.Tensor {
	n, k, features := len(preds), len(preds[0].Explanation.Expected), preds[0].Explanation.Features
	switch name {
	case outExpected:
		d := make([]float64, 0, n*k)
		for i := range preds {
			d = append(d, preds[i].Explanation.Expected...)
		}
		return tensor.New(d, n, k)
	case outContributions:
		d := make([]float64, 0, n*k*len(features))
		for i := range preds {
			for o := range k {
				for _, v := range preds[i].Explanation.Contributions {
					d = append(d, v[o])
				}
			}
		}
		return tensor.New(d, n, k, len(features))
	case outFeatures:
		return tensor.New(features, len(features))
	}
	return nil
}

// Package exchange reads the model files of other libraries into Trimtab's trees and linear models, and writes
// Trimtab's models for them. It owns the meaning of those formats: how a file says what a node compares, where a
// missing value goes and how margins become predictions. It must never know where a file came from, and it runs
// nothing that a file holds.
//
// What is read predicts what the library that wrote it predicts, to that library's own rounding: LightGBM adds up
// float64 as Trimtab does and agrees to the last digits; XGBoost and ONNX runtimes add up float32. A file that says
// something that Trimtab's models cannot is fault.NotSupported and names it; it is never read as something near.
package exchange

import (
	"bytes"
	"math"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The formats. All but the first are also the kinds of the models that are read from them.
const (
	Trimtab  = "trimtab"
	LightGBM = learn.LightGBM
	XGBoost  = learn.XGBoost
	CatBoost = learn.CatBoost
	ONNX     = learn.ONNX
)

// Info is what a file says beside the model. What it does not say is empty.
type Info struct {
	Format    string
	Version   string // of the format or of the library that wrote it, as the file has it
	Objective string // as the file has it
	// Names are the features' names.
	Names []string
	// Categorical tells for each feature whether the model reads it as category codes; nil when it reads none so.
	Categorical []bool
	// Categories are, for each feature, the texts that the codes 0, 1, 2 … stand for; an empty one stands for nothing.
	// A feature whose texts are not known has nil. Codes beyond the list are categories the model does not know.
	Categories [][]string
	// Ranges are LightGBM's feature_infos, one for each feature: [least:greatest], or a category list, or none.
	Ranges []string
	// Pandas is LightGBM's pandas_categorical: the category texts of each column of type category, in the order of
	// those columns. It is also in Categories when the file tells which features those are.
	Pandas [][]string
	// Classes are the labels of the classes in the order of the outputs, binary ones too (two labels for one output).
	Classes []string
	// Best is one more than the round that early stopping chose, when the file still has later rounds; the model
	// predicts with all of them, as the library's own Booster does.
	Best int
}

// Detect names the format of a model file from its bytes, "" when it is none that Read reads. It looks at the
// beginning and for a few words; Read may still find the file to be damaged.
func Detect(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("TTML")):
		return Trimtab
	case bytes.HasPrefix(b, []byte("tree\n")), bytes.HasPrefix(b, []byte("tree\r\n")):
		return LightGBM
	case isUBJ(b):
		return XGBoost
	case bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")):
		if bytes.Contains(b, []byte(`"learner"`)) && bytes.Contains(b, []byte(`"gradient_booster"`)) {
			return XGBoost
		}
		if bytes.Contains(b, []byte(`"features_info"`)) && bytes.Contains(b, []byte(`"scale_and_bias"`)) {
			return CatBoost
		}
	case isONNX(b):
		return ONNX
	}
	return ""
}

// Read reads a model file of any format: a *tree.Model, or a *linear.Model for the linear ones. Bytes that are not what
// they seem are fault.Corrupt, a format or a part of it that is not read is fault.NotSupported or
// fault.FormatNotServed. It never panics, and takes memory in proportion to the file whatever the file claims.
func Read(b []byte) (learner.Model, *Info, error) {
	format := Detect(b)
	var m learner.Model
	var info *Info
	var err error
	switch format {
	case Trimtab:
		return readOwn(b)
	case LightGBM:
		m, info, err = readLightGBM(b)
	case XGBoost:
		m, info, err = readXGBoost(b)
	case CatBoost:
		m, info, err = readCatBoost(b)
	case ONNX:
		m, info, err = readONNX(b)
	default:
		return nil, nil, unknown(b)
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.CodeOf(err), "%s model", title[format])
	}
	info.Format = format
	info.markModel(m)
	return m, info, nil
}

var title = map[string]string{LightGBM: "LightGBM", XGBoost: "XGBoost", CatBoost: "CatBoost", ONNX: "ONNX"}

func readOwn(b []byte) (learner.Model, *Info, error) {
	m, err := learn.Load(b)
	if err != nil {
		return nil, nil, err
	}
	info := &Info{Format: Trimtab}
	switch m := m.(type) {
	case *tree.Model:
		info.Names = m.Names
	case *combine.Model:
		if m.Trees.Names != nil {
			info.Names = m.Trees.Names[:m.Features()]
		}
	}
	info.markModel(m)
	return m, info, nil
}

// unknown says what a file is that no reader is for, as far as its first bytes tell.
func unknown(b []byte) error {
	for _, known := range []struct{ opening, what, hint string }{
		{"CBM1", "a binary CatBoost model", `save it as JSON: model.save_model("model.json", format="json", pool=pool)`},
		{"binf", "an old binary XGBoost model", `load it in the XGBoost that wrote it and save it as model.ubj or model.json`},
		{"bs64", "an old binary XGBoost model", `load it in the XGBoost that wrote it and save it as model.ubj or model.json`},
		{"\x80", "a Python pickle, which can run any program when it is opened", "save the model in its library's own format, or convert it to ONNX in Python (skl2onnx)"},
		{"PK\x03\x04", "a zip archive", "unpack it, and give the model file that is in it"},
		{"\x1f\x8b", "compressed with gzip", "unpack it first"},
		{"<?xml", "XML", "PMML is not read; save the model in its library's own format or as ONNX"},
	} {
		if strings.HasPrefix(string(b[:min(len(b), 8)]), known.opening) {
			return fault.New(fault.FormatNotServed, "the model file is %s", known.what).WithHint("%s", known.hint)
		}
	}
	return fault.New(fault.FormatNotServed, "the model file is of no format that is read here").
		WithHint("formats are LightGBM text, XGBoost JSON and UBJ, CatBoost JSON, ONNX, and Trimtab's own")
}

// markModel tells which features the model reads by category.
func (info *Info) markModel(m learner.Model) {
	switch m := m.(type) {
	case *tree.Model:
		info.mark(&m.Ensemble)
	case *combine.Model:
		info.mark(&m.Trees.Ensemble)
		if info.Categorical == nil {
			info.Categorical = make([]bool, m.Features())
		}
		info.Categorical = info.Categorical[:m.Features()]
		for _, c := range m.Columns.Categories {
			info.Categorical[c.Column] = true
		}
	}
}

// mark tells which features the trees split by category.
func (info *Info) mark(e *tree.Ensemble) {
	for i := range e.Trees {
		t := &e.Trees[i]
		for n := range t.Set {
			if t.Set[n] < 0 || t.Feature[n] == tree.Leaf {
				continue
			}
			if info.Categorical == nil {
				info.Categorical = make([]bool, e.Features)
			}
			info.Categorical[t.Feature[n]] = true
		}
	}
}

// Write writes a model in a format that Read reads: LightGBM, ONNX or Trimtab's own. names are those of the features,
// nil for made-up ones or the model's own. A model that the format has no form for is fault.NotSupported, and a format
// that is not written fault.Invalid.
func Write(format string, m learner.Model, names []string) ([]byte, error) {
	if names != nil && len(names) != m.Features() {
		return nil, fault.New(fault.Invalid, "there are %d names for %d features", len(names), m.Features())
	}
	switch format {
	case Trimtab:
		return m.MarshalBinary()
	case LightGBM:
		return writeLightGBM(m, names)
	case ONNX:
		return writeONNX(m, names)
	}
	return nil, fault.New(fault.Invalid, "models are not written as %q", format).WithHint("formats are %s, %s and %s", ONNX, LightGBM, Trimtab)
}

// known is a gain or a cover, or 0 for what cannot be one: predictions do not depend on them.
func known(v float64) float64 {
	if v >= 0 && v <= math.MaxFloat64 {
		return v
	}
	return 0
}

// checkFeatures refuses a number of features that a file merely claims: what scores a model takes room for each.
func checkFeatures(features, file int) error {
	if features > max(1<<16, 4*file) {
		return fault.New(fault.TooLarge, "the file of %d bytes claims %d features", file, features)
	}
	return nil
}

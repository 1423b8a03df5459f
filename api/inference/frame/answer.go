package frame

import (
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Writer writes the values of an answer as JSON.
type Writer struct {
	Scores bool // probabilities in place of labels
	Tokens bool // NaN, Infinity and -Infinity as such; else null
	B64    bool // texts that are no UTF-8, and outputs whose name ends with _bytes, as {"b64": "…"}
}

// Rows adds a list with one value per row: a label (a number where all class names are whole numbers), a list of probabilities, or a
// number; of a version that answers tensors its output, or an object of them where there are several.
func (o Writer) Rows(b []byte, a *serve.Answer) ([]byte, error) {
	if a.Outputs != nil {
		return o.tensorRows(b, a.Outputs)
	}
	b = append(b, '[')
	for i := range a.Predictions {
		if i > 0 {
			b = append(b, ',')
		}
		b = o.Value(b, &a.Predictions[i])
	}
	return append(b, ']'), nil
}

// Columns adds what Rows does column by column: where a version answers several tensors, an object with each whole.
func (o Writer) Columns(b []byte, a *serve.Answer) ([]byte, error) {
	if a.Outputs == nil || len(a.Outputs) == 1 {
		return o.Rows(b, a)
	}
	b = append(b, '{')
	for i, t := range a.Outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(codec.AppendText(b, t.Name), ':')
		b = o.Tensor(b, t)
	}
	return append(b, '}'), nil
}

// Value adds the value of a row of a version with scores.
func (o Writer) Value(b []byte, p *serve.Prediction) []byte {
	switch {
	case p.Signature.Task == string(learn.Regression):
		return o.number(b, p.Scores[0])
	case o.Scores:
		b = append(b, '[')
		for k, v := range Probabilities(p) {
			if k > 0 {
				b = append(b, ',')
			}
			b = o.number(b, v)
		}
		return append(b, ']')
	}
	return AppendLabel(b, p)
}

// AppendLabel adds the label of a row: a number where all class names are whole numbers, else a text.
func AppendLabel(b []byte, p *serve.Prediction) []byte {
	if Numbered(p.Signature) {
		return append(b, p.Label...)
	}
	return codec.AppendText(b, p.Label)
}

// Numbered tells whether all class names are whole numbers.
func Numbered(sig *registry.Signature) bool {
	for _, c := range sig.Classes {
		if v, err := strconv.ParseInt(c, 10, 64); err != nil || strconv.FormatInt(v, 10) != c {
			return false
		}
	}
	return len(sig.Classes) > 0
}

// Probabilities is one number per class, in the order of Classes.
func Probabilities(p *serve.Prediction) []float64 {
	if p.Signature.Task == string(learn.Binary) {
		return []float64{1 - p.Scores[0], p.Scores[0]}
	}
	return p.Scores
}

// Classes is the class names in the order of probabilities: of two, the positive one last. Regressions have none.
func Classes(sig *registry.Signature) []string {
	switch {
	case sig.Task == string(learn.Binary) && len(sig.Classes) != 2:
		return []string{"false", "true"}
	case sig.Task == string(learn.Binary) && sig.Positive == sig.Classes[0]:
		return []string{sig.Classes[1], sig.Classes[0]}
	}
	return sig.Classes
}

func (o Writer) tensorRows(b []byte, outputs []tensor.Named) ([]byte, error) {
	if len(outputs) == 1 {
		return o.Tensor(b, outputs[0]), nil
	}
	n := -1
	for _, t := range outputs {
		if len(t.Shape) == 0 || n >= 0 && t.Rows() != n {
			return b, fault.New(fault.Invalid, "the outputs of the model have different numbers of rows").WithHint("ask in a form that answers columns, such as inputs and outputs")
		}
		n = t.Rows()
	}
	b = append(b, '[')
	for i := range max(n, 0) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		for k, t := range outputs {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(codec.AppendText(b, t.Name), ':')
			row := t.Slice(i, i+1)
			b = o.Tensor(b, tensor.Named{Name: t.Name, Tensor: &tensor.Tensor{Shape: row.Shape[1:], Data: row.Data}})
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

// Tensor adds a tensor as nested lists.
func (o Writer) Tensor(b []byte, t tensor.Named) []byte {
	b, _ = o.nested(b, t, 0, 0)
	return b
}

func (o Writer) nested(b []byte, t tensor.Named, depth, at int) ([]byte, int) {
	if depth == len(t.Shape) {
		return o.element(b, t, at), at + 1
	}
	b = append(b, '[')
	for i := range t.Shape[depth] {
		if i > 0 {
			b = append(b, ',')
		}
		b, at = o.nested(b, t, depth+1, at)
	}
	return append(b, ']'), at
}

func (o Writer) element(b []byte, t tensor.Named, i int) []byte {
	switch d := t.Data.(type) {
	case []string:
		if valid := utf8.ValidString(d[i]); o.B64 && (!valid || strings.HasSuffix(t.Name, "_bytes")) {
			b = append(b, `{"b64":"`...)
			b = base64.StdEncoding.AppendEncode(b, []byte(d[i]))
			return append(b, `"}`...)
		} else if !valid {
			return codec.AppendText(b, strings.ToValidUTF8(d[i], "\uFFFD"))
		}
		return codec.AppendText(b, d[i])
	case []bool:
		return strconv.AppendBool(b, d[i])
	case []int64:
		return strconv.AppendInt(b, d[i], 10)
	case []uint64:
		return strconv.AppendUint(b, d[i], 10)
	case []float32:
		if v := float64(d[i]); !math.IsNaN(v) && !math.IsInf(v, 0) {
			format := byte('f')
			if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
				format = 'e'
			}
			return strconv.AppendFloat(b, v, format, -1, 32)
		}
	}
	v, _ := t.Number(i)
	return o.number(b, v)
}

func (o Writer) number(b []byte, v float64) []byte {
	if o.Tokens {
		switch {
		case math.IsNaN(v):
			return append(b, "NaN"...)
		case math.IsInf(v, 1):
			return append(b, "Infinity"...)
		case math.IsInf(v, -1):
			return append(b, "-Infinity"...)
		}
	}
	return codec.AppendNumber(b, v)
}

// AppendExplanation adds why a row scored what it scored; lists have one number per output.
func AppendExplanation(b []byte, e *serve.Explanation) []byte {
	b = codec.AppendText(append(b, `{"unit":`...), e.Unit)
	b = AppendNumbers(append(b, `,"expected":`...), e.Expected)
	b = AppendNumbers(append(b, `,"margin":`...), e.Margin)
	b = append(b, `,"contributions":{`...)
	for j, name := range e.Features {
		if j > 0 {
			b = append(b, ',')
		}
		b = AppendNumbers(append(codec.AppendText(b, name), ':'), e.Contributions[j])
	}
	return append(b, "}}"...)
}

// AppendNumbers adds a list of numbers.
func AppendNumbers(b []byte, v []float64) []byte {
	b = append(b, '[')
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = codec.AppendNumber(b, f)
	}
	return append(b, ']')
}

// Headers of an answer, for dialects that have no place for them.
const (
	HeaderVersion    = "Trimtab-Version"       // that answered
	HeaderPrediction = "Trimtab-Prediction-Id" // of each row, with commas between: outcomes may arrive under them
)

// most is how many prediction ids go into a header.
const most = 64

// Tell sets the headers of an answer. Ids are told of at most 64 rows.
func Tell(w http.ResponseWriter, a *serve.Answer) {
	h := w.Header()
	h[HeaderVersion] = []string{strconv.Itoa(a.Version)}
	if n := len(a.Predictions); n > 0 && n <= most {
		ids := make([]byte, 0, 33*n)
		for i := range a.Predictions {
			if i > 0 {
				ids = append(ids, ',')
			}
			ids = append(ids, a.Predictions[i].ID...)
		}
		h[HeaderPrediction] = []string{string(ids)}
	}
}

// ByProbability is the places of a row's classes, the most probable first, at most n of them; n = 0 is all.
func ByProbability(p []float64, n int) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] > p[b]:
			return -1
		case p[a] < p[b]:
			return 1
		}
		return 0
	})
	if n > 0 && n < len(order) {
		order = order[:n]
	}
	return order
}

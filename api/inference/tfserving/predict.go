package tfserving

import (
	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Signatures that every version has; serving_default is what answers when a request names none.
const (
	signatureDefault = "serving_default" // labels, or the numbers of a regression
	signatureScores  = "predict_proba"   // probabilities
)

// request is what a body says beside its rows.
type request struct {
	columns   bool   // the request came as columns and is answered so
	signature string // "" = the default
}

// begin prepares for a body, in which NaN, Infinity and -Infinity stand for numbers.
func begin(x *codec.Exchange, sig *registry.Signature) *frame.Frame {
	x.Begin()
	x.Scan = scan.NewWithTokens(x.Body)
	f := frame.New(x, sig)
	f.B64 = true
	return f
}

// parsePredict reads {"signature_name": …, "instances": […]} or {"inputs": …}.
func parsePredict(x *codec.Exchange, sig *registry.Signature) (*request, error) {
	f := begin(x, sig)
	s := &x.Scan
	q := &request{}
	rows := ""
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch key := s.Key(); key {
		case "signature_name":
			q.signature = codec.OptionalText(s, key)
		case "instances", "inputs":
			if rows != "" {
				s.Fail("it has %s and %s; one of instances and inputs carries the rows", rows, key)
				break
			}
			rows = key
			if q.columns = key == "inputs"; q.columns {
				f.Inputs()
			} else {
				f.Instances()
			}
		default:
			s.Skip()
		}
	}
	s.End()
	if s.Err == nil && rows == "" {
		return nil, fault.New(fault.Invalid, "the request has neither instances nor inputs").WithHint(`send {"instances": [row, …]} or {"inputs": {"name": [value, …]}}`)
	}
	return q, f.Finish()
}

// parseExamples reads {"signature_name": …, "context": {…}, "examples": [{…}]}.
func parseExamples(x *codec.Exchange, sig *registry.Signature) (*request, error) {
	f := begin(x, sig)
	s := &x.Scan
	q := &request{}
	examples := -1
	var context []serve.Field
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch key := s.Key(); key {
		case "signature_name":
			q.signature = codec.OptionalText(s, key)
		case "context":
			for ok := s.Open('{'); ok; ok = s.More('{') {
				name := s.Key()
				context = append(context, serve.Field{Name: name, Cell: f.Cell()})
			}
		case "examples":
			if examples >= 0 {
				s.Fail("it has examples twice")
			}
			s.Space()
			examples = s.Offset()
			s.Skip()
		default:
			s.Skip()
		}
	}
	s.End()
	switch {
	case s.Err != nil:
		return nil, s.Err
	case examples < 0:
		return nil, fault.New(fault.Invalid, "the request has no examples").WithHint(`send {"examples": [{"name": value}]}`)
	case sig.Task == registry.TaskTensors && len(context) > 0:
		return nil, fault.New(fault.Invalid, "the model takes no context")
	}
	*s = s.From(examples)
	for ok := s.Open('['); ok; ok = s.More('[') {
		f.Object(context)
	}
	q.signature = ""
	return q, f.Finish()
}

// suits refuses what the version cannot answer, before anything is answered and logged.
func (q *request) suits(verb string, sig *registry.Signature) error {
	scores := sig.Task == string(learn.Binary) || sig.Task == string(learn.Multiclass)
	switch {
	case verb == "classify" && !scores:
		return fault.New(fault.Invalid, "the model does not classify: its task is %s", sig.Task).WithHint("ask with :predict")
	case verb == "regress" && sig.Task != string(learn.Regression):
		return fault.New(fault.Invalid, "the model is no regression: its task is %s", sig.Task).WithHint("ask with :predict or :classify")
	}
	switch q.signature {
	case "", signatureDefault, "predict":
		q.signature = signatureDefault
		return nil
	case signatureScores, "probabilities":
		if scores {
			q.signature = signatureScores
			return nil
		}
	}
	f := fault.New(fault.Invalid, "Serving signature name: %q not found in signature def", codec.Clip(q.signature))
	if scores {
		return f.WithHint("signatures are %s and %s", signatureDefault, signatureScores)
	}
	return f.WithHint("the signature is %s", signatureDefault)
}

// write answers.
func (q *request) write(b []byte, verb string, a *serve.Answer) ([]byte, error) {
	o := frame.Writer{Scores: q.signature == signatureScores, Tokens: true, B64: true}
	var err error
	switch verb {
	case "classify":
		b = append(b, `{"results":[`...)
		for i := range a.Predictions {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendClasses(b, &a.Predictions[i])
		}
		return append(b, "]}\n"...), nil
	case "regress":
		b, err = o.Rows(append(b, `{"results":`...), a)
	case "explain":
		b = append(b, `{"explanations":[`...)
		for i := range a.Predictions {
			if i > 0 {
				b = append(b, ',')
			}
			b = frame.AppendExplanation(b, a.Predictions[i].Explanation)
		}
		b, err = o.Rows(append(b, `],"predictions":`...), a)
	default:
		if q.columns {
			b, err = o.Columns(append(b, `{"outputs":`...), a)
		} else {
			b, err = o.Rows(append(b, `{"predictions":`...), a)
		}
	}
	return append(b, "}\n"...), err
}

// appendClasses adds the pairs of class and score of a row.
func appendClasses(b []byte, p *serve.Prediction) []byte {
	classes, scores := frame.Classes(p.Signature), frame.Probabilities(p)
	b = append(b, '[')
	for k, v := range scores {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		name := ""
		if k < len(classes) {
			name = classes[k]
		}
		b = append(codec.AppendText(b, name), ',')
		b = append(codec.AppendNumber(b, v), ']')
	}
	return append(b, ']')
}

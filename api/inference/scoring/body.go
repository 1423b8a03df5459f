package scoring

import (
	"net/http"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// forms are the keys of which a JSON body has exactly one.
var forms = []string{"dataframe_records", "dataframe_split", "instances", "inputs"}

// parseJSON reads MLflow's envelope, which holds SageMaker's instances as well.
func (q *request) parseJSON(x *codec.Exchange, f *frame.Frame, sig *registry.Signature) error {
	s := &x.Scan
	if s.Space() == '[' {
		return fault.New(fault.Invalid, "The input must be a JSON dictionary with exactly one of the input fields %s. Received a list.", quoted(forms))
	}
	var found, others []string
	for ok := s.Open('{'); ok; ok = s.More('{') {
		key := s.Key()
		if slices.Contains(forms, key) {
			if found = append(found, key); len(found) > 1 {
				s.Skip()
				continue
			}
		}
		switch key {
		case "dataframe_split":
			f.Split()
		case "dataframe_records", "instances":
			f.Instances()
		case "inputs":
			f.Inputs()
		case "params":
			q.params(x, sig)
		case "signature_name":
			s.Refuse(fault.New(fault.Invalid, "signature_name is not supported here").WithHint("a version has one signature; TensorFlow Serving's API is at /v1/models"))
		case "messages", "prompt", "input":
			s.Refuse(fault.New(fault.Invalid, "%s is a form for language models, which are not served here", key).WithHint("send one of %s", strings.Join(forms, ", ")))
		default:
			others = append(others, codec.Clip(key))
			s.Skip()
		}
	}
	s.End()
	if s.Err == nil && len(found) != 1 {
		return fault.New(fault.Invalid, "The input must be a JSON dictionary with exactly one of the input fields %s. Received dictionary with input fields: %s.", quoted(forms), quoted(append(found, others...)))
	}
	return s.Err
}

// params reads what the caller tells the model. predict_method chooses between labels and probabilities; the rest is the model's.
func (q *request) params(x *codec.Exchange, sig *registry.Signature) {
	s := &x.Scan
	if s.Space() == 'n' {
		s.Literal()
		return
	}
	for ok := s.Open('{'); ok; ok = s.More('{') {
		name := s.Key()
		value := codec.Param(s, "a parameter")
		if name != "predict_method" || sig.Task == registry.TaskTensors {
			if x.Batch.Params == nil {
				x.Batch.Params = map[string]any{}
			}
			x.Batch.Params[strings.Clone(name)] = value
			continue
		}
		switch value {
		case "predict", nil:
		case "predict_proba":
			if q.scores = true; sig.Task == string(learn.Regression) {
				s.Refuse(fault.New(fault.Invalid, "predict_proba: the model is a regression and has no probabilities"))
			}
		default:
			s.Refuse(fault.New(fault.Invalid, "predict_method is predict or predict_proba"))
		}
	}
}

// write answers.
func (q *request) write(b []byte, a *serve.Answer) ([]byte, error) {
	o := frame.Writer{Scores: q.scores}
	var err error
	switch {
	case q.accept == json && q.speaks != sagemaker:
		b, err = o.Rows(append(b, `{"predictions":`...), a)
		return append(b, "}\n"...), err
	case a.Outputs != nil:
		return q.writeTensors(b, a)
	case q.accept == json:
		b = append(b, `{"predictions":[`...)
		for i := range a.Predictions {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendScored(b, &a.Predictions[i])
		}
		return append(b, "]}\n"...), nil
	case q.accept == jsonLines:
		for i := range a.Predictions {
			b = append(appendScored(b, &a.Predictions[i]), '\n')
		}
		return b, nil
	}
	for i := range a.Predictions {
		b = append(appendScores(b, &a.Predictions[i]), '\n')
	}
	return b, nil
}

// writeTensors answers a row per element or line; CSV takes outputs of numbers only.
func (q *request) writeTensors(b []byte, a *serve.Answer) ([]byte, error) {
	o := frame.Writer{}
	if q.accept == json {
		b, err := o.Rows(append(b, `{"predictions":`...), a)
		return append(b, "}\n"...), err
	}
	if len(a.Outputs) == 0 || len(a.Outputs[0].Shape) == 0 {
		return b, fault.New(fault.Invalid, "the model answers no rows").WithHint("accept application/json")
	}
	for _, t := range a.Outputs {
		if len(t.Shape) == 0 || t.Rows() != a.Outputs[0].Rows() {
			return b, fault.New(fault.Invalid, "the outputs of the model have different numbers of rows").WithHint("accept application/json")
		}
	}
	for i := range a.Outputs[0].Rows() {
		row := *a
		row.Outputs = slices.Clone(a.Outputs)
		for k := range row.Outputs {
			row.Outputs[k].Tensor = row.Outputs[k].Slice(i, i+1)
		}
		at := len(b)
		var err error
		if b, err = o.Rows(b, &row); err != nil {
			return b, err
		}
		line := b[at+1 : len(b)-1] // without the brackets of the list of one row
		if q.accept == textCSV {
			text := string(line)
			if strings.ContainsAny(text, `"{`) {
				return b, fault.New(fault.Invalid, "the model's answers are more than numbers").WithHint("accept application/json")
			}
			b = append(b[:at], strings.NewReplacer("[", "", "]", "", "null", "").Replace(text)...)
		} else {
			b = append(b[:at], line...)
		}
		b = append(b, '\n')
	}
	return b, nil
}

// appendScored adds a prediction as SageMaker's own algorithms write it.
func appendScored(b []byte, p *serve.Prediction) []byte {
	b = append(b, `{"score":`...)
	switch p.Signature.Task {
	case string(learn.Multiclass):
		b = frame.AppendNumbers(b, p.Scores)
	default:
		b = codec.AppendNumber(b, p.Scores[0])
	}
	if p.Signature.Task != string(learn.Regression) {
		b = append(b, `,"predicted_label":`...)
		b = frame.AppendLabel(b, p)
	}
	return append(b, '}')
}

// appendScores adds the scores of a row with commas between.
func appendScores(b []byte, p *serve.Prediction) []byte {
	for k, v := range p.Scores {
		if k > 0 {
			b = append(b, ',')
		}
		b = codec.AppendNumber(b, v)
	}
	return b
}

// codes are MLflow's names of the classes of errors.
var codes = map[int]string{
	http.StatusBadRequest:            "BAD_REQUEST",
	http.StatusUnauthorized:          "UNAUTHENTICATED",
	http.StatusForbidden:             "PERMISSION_DENIED",
	http.StatusNotFound:              "RESOURCE_DOES_NOT_EXIST",
	http.StatusMethodNotAllowed:      "BAD_REQUEST",
	http.StatusNotAcceptable:         "BAD_REQUEST",
	http.StatusConflict:              "RESOURCE_CONFLICT",
	http.StatusRequestEntityTooLarge: "BAD_REQUEST",
	http.StatusUnsupportedMediaType:  "BAD_REQUEST",
	http.StatusTooManyRequests:       "REQUEST_LIMIT_EXCEEDED",
	http.StatusNotImplemented:        "NOT_IMPLEMENTED",
	http.StatusServiceUnavailable:    "TEMPORARILY_UNAVAILABLE",
}

// refuse answers {"error_code", "message", "stack_trace"}. The trace is empty: ours would tell nobody about the model.
func refuse(w http.ResponseWriter, req *http.Request, p *route.Problem) {
	code := codes[p.Status]
	if code == "" {
		code = "INTERNAL_ERROR"
	}
	text := p.Detail
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	b := codec.AppendText([]byte(`{"error_code":`), code)
	b = codec.AppendText(append(b, `,"message":`...), strings.ToValidUTF8(text, "\uFFFD"))
	b = append(b, ",\"stack_trace\":\"\"}\n"...)
	w.Header()["Content-Type"] = codec.JSON
	w.WriteHeader(p.Status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(b) // a caller that left is not there to be told
	}
}

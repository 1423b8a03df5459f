package torchserve

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// mostParts bounds the parts of a form.
const mostParts = 1024

// mostClasses is how many classes TorchServe's own handlers answer with.
const mostClasses = 5

// shape is how an answer stands: as the request did.
type shape int

const (
	list     shape = iota // rows
	single                // one row, not in a list
	envelope              // KServe's {"instances": …}, answered {"predictions": …}
)

type request struct{ shape shape }

// parse reads a body. What it is follows from its content type, from its first byte, and from what the model takes:
//
//   - multipart/form-data: the parts called data or body are rows; without one, every part is a named value of one row;
//   - text/csv: rows, with or without a header;
//   - JSON: an object is a row, a list is rows (or one row of a model with several features), {"instances": […]} is rows in an envelope;
//   - anything else: one text or the bytes of a file, where the model takes one.
func parse(x *codec.Exchange, sig *registry.Signature, contentType string) (*request, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	if media != "multipart/form-data" {
		return parseBody(x, sig, media)
	}
	return parseForm(x, sig, params["boundary"])
}

type part struct {
	name, media string
	body        []byte
}

func parseForm(x *codec.Exchange, sig *registry.Signature, boundary string) (*request, error) {
	if boundary == "" {
		return nil, fault.New(fault.Invalid, "the form has no boundary")
	}
	var data, fields []part
	for r := multipart.NewReader(bytes.NewReader(x.Body), boundary); ; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the body is no form")
		}
		if len(data)+len(fields) >= mostParts {
			return nil, fault.New(fault.TooLarge, "the form has more than %d parts", mostParts)
		}
		body, err := io.ReadAll(p) // no more than the request, which is bounded
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the form ends early")
		}
		media, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		read := part{p.FormName(), media, body}
		if in, _ := sig.Input(read.name); (read.name == "data" || read.name == "body") && in == nil {
			data = append(data, read)
		} else {
			fields = append(fields, read)
		}
	}
	switch {
	case len(data) == 1:
		x.Body = data[0].body
		return parseBody(x, sig, data[0].media)
	case len(data) > 1:
		return parseParts(x, sig, data)
	case len(fields) == 0:
		return nil, fault.New(fault.Invalid, "the form has no parts").WithHint("send the rows in a part called data")
	}
	return parseFields(x, sig, fields)
}

// parseParts reads one row per part.
func parseParts(x *codec.Exchange, sig *registry.Signature, parts []part) (*request, error) {
	if name := takesText(sig); name != "" {
		texts := make([]string, len(parts))
		for i, p := range parts {
			texts[i] = string(p.body)
		}
		return &request{list}, putTexts(x, sig, name, texts)
	}
	joined := []byte{'['}
	for i, p := range parts {
		if i > 0 {
			joined = append(joined, ',')
		}
		body := bytes.TrimSpace(p.body)
		if !looksJSON(body) {
			return nil, notJSON(sig)
		}
		joined = append(joined, body...)
	}
	x.Body = append(joined, ']')
	x.Begin()
	x.Scan = scan.NewWithTokens(x.Body)
	f := frame.New(x, sig)
	f.Instances()
	x.Scan.End()
	return &request{list}, f.Finish()
}

// parseFields reads one row whose values are the parts.
func parseFields(x *codec.Exchange, sig *registry.Signature, fields []part) (*request, error) {
	x.Begin()
	if sig.Task == registry.TaskTensors {
		return nil, fault.New(fault.Invalid, "the form has no part called data").WithHint("the model takes tensors: send them as JSON")
	}
	for _, p := range fields {
		if !utf8.Valid(p.body) {
			return nil, fault.New(fault.Invalid, "the part %q is not UTF-8", codec.Clip(p.name))
		}
		kind := table.String
		if in, _ := sig.Input(p.name); in != nil {
			kind = in.Kind
		}
		cell := frame.TextCell(string(p.body), kind, []string{""})
		if p.name == frame.ColumnKey {
			x.Batch.Keys = append(x.Batch.Keys[:0], cell.Text)
			continue
		}
		x.Field(p.name, cell)
	}
	x.EndRow()
	x.Rows()
	return &request{single}, nil
}

func looksJSON(body []byte) bool {
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// takesText is the name of the only input of a version that takes one text, or bytes, per row; "" when it takes something else.
func takesText(sig *registry.Signature) string {
	if sig.Task == registry.TaskTensors {
		if len(sig.TensorInputs) == 1 && sig.TensorInputs[0].Type == tensor.String {
			return sig.TensorInputs[0].Name
		}
		return ""
	}
	if names := frame.FeatureNames(sig); len(names) == 1 {
		if in, _ := sig.Input(names[0]); in != nil && in.Kind == table.String {
			return names[0]
		}
	}
	return ""
}

// putTexts makes rows of texts.
func putTexts(x *codec.Exchange, sig *registry.Signature, name string, texts []string) error {
	x.Begin()
	shape := []int{len(texts)}
	if sig.Task == registry.TaskTensors {
		if len(sig.TensorInputs[0].Shape) == 2 {
			shape = append(shape, 1)
		}
		x.Batch.Columns = append(x.Batch.Columns, serve.Column{Name: name, Tensor: tensor.New(texts, shape...)})
		return nil
	}
	cells := make([]serve.Cell, len(texts))
	for i, text := range texts {
		if !utf8.ValidString(text) {
			return fault.New(fault.Invalid, "row %d, column %q: expected a text, got bytes that are not UTF-8", i, name).With("row", i).With("column", name)
		}
		cells[i] = serve.Cell{Type: serve.TextCell, Text: text}
	}
	x.Batch.Columns = append(x.Batch.Columns, serve.Column{Name: name, Cells: cells})
	return nil
}

func notJSON(sig *registry.Signature) error {
	names := frame.FeatureNames(sig)
	hint := `send {"input": value}, or a list of them`
	if len(names) > 0 {
		hint = `send JSON such as {"` + names[0] + `": value}, or text/csv`
	}
	return fault.New(fault.Invalid, "the body is no JSON, and the model takes more than one text").WithHint("%s", hint)
}

// parseBody reads a body that is no form.
func parseBody(x *codec.Exchange, sig *registry.Signature, media string) (*request, error) {
	if media == "text/csv" {
		x.Begin()
		f := frame.New(x, sig)
		if _, err := f.CSV(frame.HeaderMaybe, frame.Missing); err != nil {
			return nil, err
		}
		return &request{list}, f.Finish()
	}
	trimmed := bytes.TrimSpace(x.Body)
	if name := takesText(sig); name != "" && media != "application/json" && !looksJSON(trimmed) {
		if len(x.Body) == 0 {
			return nil, fault.New(fault.Invalid, "the request has no body")
		}
		return &request{single}, putTexts(x, sig, name, []string{string(x.Body)})
	}
	if media != "application/json" && !looksJSON(trimmed) && (len(trimmed) == 0 || !bytes.ContainsRune([]byte(`"-0123456789tfnNI`), rune(trimmed[0]))) {
		return nil, notJSON(sig)
	}
	x.Begin()
	x.Scan = scan.NewWithTokens(x.Body)
	f := frame.New(x, sig)
	f.B64 = true
	q := &request{}
	q.shape = readJSON(x, f, sig)
	x.Scan.End()
	return q, f.Finish()
}

// readJSON reads one value.
func readJSON(x *codec.Exchange, f *frame.Frame, sig *registry.Signature) shape {
	s := &x.Scan
	switch s.Space() {
	case '{':
		probe := s.From(s.Offset())
		if probe.Open('{') {
			key := probe.Key()
			if in, _ := sig.Input(key); in == nil && (key == "instances" || key == "data" || key == "body") && probe.Space() != 0 {
				inner := probe.Space()
				probe.Skip()
				if alone := !probe.More('{') && probe.Err == nil; alone && !(key == "data" && inner == '{') {
					s.Open('{')
					s.Key()
					shape := envelope
					if key == "instances" {
						f.Instances()
					} else {
						shape = readJSON(x, f, sig)
					}
					s.More('{')
					return shape
				}
			}
		}
		f.Instance()
		return single
	case '[':
		if oneRow(s, sig) {
			f.Instance()
			return single
		}
		f.Instances()
		return list
	}
	f.Instance()
	return single
}

// oneRow tells whether a list of values without a list or an object in it is one row: where the model takes several values per row.
func oneRow(s *scan.Scanner, sig *registry.Signature) bool {
	probe := s.From(s.Offset())
	if !probe.Open('[') || probe.Space() == '[' || probe.Space() == '{' {
		return false
	}
	if sig.Task == registry.TaskTensors {
		return len(sig.TensorInputs) != 1 || len(sig.TensorInputs[0].Shape) > 1
	}
	return len(frame.FeatureNames(sig)) != 1
}

// write answers: classes with their probabilities, the most probable first, as the handlers for images and texts do; the number of a
// regression; the tensors of other models.
func (q *request) write(b []byte, a *serve.Answer, explain bool) ([]byte, error) {
	o := frame.Writer{Tokens: false}
	open, end := "[", "]\n"
	switch q.shape {
	case single:
		open, end = "", "\n"
	case envelope:
		open, end = `{"predictions":[`, "]}\n"
		if explain {
			open = `{"explanations":[`
		}
	}
	b = append(b, open...)
	if a.Outputs != nil {
		at := len(b)
		var err error
		if b, err = o.Rows(b, a); err != nil {
			return b, err
		}
		if len(b) > at+1 && b[at] == '[' { // the brackets of the list, which open and end stand for
			b = append(b[:at], b[at+1:len(b)-1]...)
		}
		return append(b, end...), nil
	}
	for i := range a.Predictions {
		p := &a.Predictions[i]
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case explain:
			b = frame.AppendExplanation(b, p.Explanation)
		case p.Signature.Task == string(learn.Regression):
			b = codec.AppendNumber(b, p.Scores[0])
		default:
			b = appendClasses(b, p)
		}
	}
	return append(b, end...), nil
}

func appendClasses(b []byte, p *serve.Prediction) []byte {
	classes, scores := frame.Classes(p.Signature), frame.Probabilities(p)
	b = append(b, '{')
	for i, k := range frame.ByProbability(scores, mostClasses) {
		if i > 0 {
			b = append(b, ',')
		}
		name := strconv.Itoa(k)
		if k < len(classes) {
			name = classes[k]
		}
		b = codec.AppendNumber(append(codec.AppendText(b, name), ':'), scores[k])
	}
	return append(b, '}')
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

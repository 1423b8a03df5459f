// Package rows is the plain dialect: rows as JSON objects beside the native API, and as JSON lines, CSV, Arrow and Parquet.
//
// It owns the row form and those tables. It must never hold a rule: rows are validated, routed, answered and logged by serve.
package rows

import (
	"context"
	"math"
	"net/http"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Register adds the door: beside the native API, and at the base path of every deployment.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	limit := opt.Limit()
	for _, path := range []string{route.Prefix + "/deployments/{name}/predict", "/d/{name}/rows/predict"} {
		r.Handle(http.MethodPost, path, route.Access{Action: "deployment.predict", Resource: "deployment/{name}", Audit: route.Infer, MaxBody: limit},
			func(w http.ResponseWriter, req *http.Request) {
				if err := predict(w, req, s, limit); err != nil {
					r.Error(w, req, err)
				}
			})
	}
}

// predict answers rows in any of the formats.
func predict(w http.ResponseWriter, req *http.Request, s *serve.Service, limit int64) error {
	usual := sent(req.Header.Get("Content-Type"))
	accept, err := asked(req.Header.Get("Accept"), usual)
	if err != nil {
		return err
	}
	x := codec.Get()
	defer x.Release()
	if err := x.Read(req, limit); err != nil {
		return err
	}
	name := req.PathValue("name")
	version := 0
	if usual == asJSON {
		version, err = parse(req.Context(), x, s, name)
	} else {
		version, err = readTable(req, x, s, name, usual, limit)
	}
	if err != nil {
		return err
	}
	x.Batch.Header = req.Header.Get
	a, err := s.Infer(req.Context(), name, serve.Choice{Version: version}, &x.Batch)
	if err != nil {
		return err
	}
	if accept == asJSON {
		write(x, a)
		x.Send(w, req)
		return nil
	}
	if err := writeTable(x, a, accept); err != nil {
		return err
	}
	codec.Send(w, req, contentTypes[accept], x.Answer)
	return nil
}

// readTable reads a body that is not the row form, and the query.
func readTable(req *http.Request, x *codec.Exchange, s *serve.Service, name string, f format, limit int64) (version int, err error) {
	var said serve.Batch
	if version, err = options(req, &said); err != nil {
		return 0, err
	}
	sig, _, err := s.Signature(req.Context(), name, version)
	if err != nil {
		return 0, err
	}
	if err := parseTable(x, sig, f, limit); err != nil {
		return 0, err
	}
	b := &x.Batch
	b.Explain, b.Request = said.Explain, said.Request
	if len(b.At) == 0 {
		b.At = said.At
	}
	return version, nil
}

// parse reads the row form:
//
//	{"rows": [{"carrier": "AA", "distance": 1096}], "keys": ["k1"], "at": "2013-04-01T10:00:00Z", "version": 3, "id": "request-1", "explain": true}
//
// All but rows may be left out. keys has one text per row, or null to have it derived. at is one time or one per row. Values of a row are
// single ones, but lists where the deployment takes tensors.
func parse(ctx context.Context, x *codec.Exchange, of *serve.Service, deployment string) (version int, err error) {
	x.Begin()
	s := &x.Scan
	rows := false
	var tensors *frame.Frame // of rows with lists
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch name := s.Key(); name {
		case "rows":
			if rows {
				s.Fail("it has rows twice")
			}
			rows = true
			from := s.From(s.Offset())
			lists := false
			for ok := s.Open('['); ok; ok = s.More('[') {
				lists = row(x) || lists
			}
			if lists && s.Err == nil {
				if tensors, err = listed(ctx, x, from, of, deployment); err != nil {
					return 0, err
				}
			}
		case "keys":
			for ok := s.Open('['); ok; ok = s.More('[') {
				x.Batch.Keys = append(x.Batch.Keys, codec.OptionalText(s, "a key"))
			}
		case "at":
			if s.Space() == '[' {
				for ok := s.Open('['); ok; ok = s.More('[') {
					x.Batch.At = append(x.Batch.At, codec.Time(s))
				}
			} else if s.Space() == 'n' {
				s.Literal()
			} else {
				x.Batch.At = append(x.Batch.At, codec.Time(s))
			}
		case "version":
			s.Space()
			if f := s.Number(); f != math.Trunc(f) || f < 0 || f > math.MaxInt32 {
				s.Fail("version is a whole number")
			} else {
				version = int(f)
			}
		case "id":
			x.Batch.Request = codec.OptionalText(s, "id")
		case "explain":
			x.Batch.Explain = codec.Flag(s, "explain")
		default:
			s.Refuse(fault.New(fault.Invalid, "the request has no field %q", codec.Clip(name)).WithHint("fields are rows, keys, at, version, id and explain; values of a row belong into rows"))
		}
	}
	s.End()
	if s.Err != nil {
		return 0, s.Err
	}
	if !rows {
		return 0, fault.New(fault.Invalid, "the request has no rows").WithHint(`send {"rows": [{"column": value}]}`)
	}
	if tensors != nil {
		return version, tensors.Finish()
	}
	x.Rows()
	return version, nil
}

// row reads one object of cells, and reports whether one was a list or an object.
func row(x *codec.Exchange) (lists bool) {
	s := &x.Scan
	for ok := s.Open('{'); ok; ok = s.More('{') {
		name := s.Key()
		c := codec.Cell(s)
		lists = lists || c.Type == serve.OtherCell
		x.Field(name, c)
	}
	x.EndRow()
	return lists
}

// listed reads rows with lists again, when the version takes tensors; nil when it does not.
func listed(ctx context.Context, x *codec.Exchange, from scan.Scanner, of *serve.Service, name string) (*frame.Frame, error) {
	sig, _, err := of.Signature(ctx, name, 0)
	if err != nil || sig.Task != registry.TaskTensors {
		return nil, err
	}
	after := x.Scan
	x.Scan = from
	f := frame.New(x, sig)
	f.Instances()
	if x.Scan.Err == nil {
		x.Scan = after
	}
	return f, x.Scan.Err
}

// write answers the row form.
func write(x *codec.Exchange, a *serve.Answer) {
	b := append(x.Answer[:0], `{"predictions":[`...)
	for i := range a.Predictions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPrediction(b, a, i)
	}
	x.Answer = append(b, "]}\n"...)
}

// appendPrediction writes what a row is answered.
func appendPrediction(b []byte, a *serve.Answer, i int) []byte {
	p := &a.Predictions[i]
	b = append(b, `{"id":"`...)
	b = append(b, p.ID...)
	b = append(b, `","version":`...)
	b = strconv.AppendInt(b, int64(p.Version), 10)
	b = append(b, `,"arm":"`...)
	b = append(b, p.Arm.String()...)
	b = append(b, '"')
	if p.Key != p.ID {
		b = append(b, `,"key":`...)
		b = codec.AppendText(b, p.Key)
	}
	b = append(b, `,"at":"`...)
	b = append(codec.AppendTime(b, p.At), '"')
	if a.Outputs != nil {
		return append(appendOutputs(b, a, i), '}')
	}
	if p.Signature.Task == string(learn.Multiclass) {
		b = frame.AppendNumbers(append(b, `,"scores":`...), p.Scores)
	} else {
		b = append(b, `,"score":`...)
		b = codec.AppendNumber(b, p.Scores[0])
	}
	if p.Signature.Task != string(learn.Regression) {
		b = append(b, `,"label":`...)
		b = codec.AppendText(b, p.Label)
	}
	if p.Missing|p.Unseen|p.OutOfRange != 0 {
		b = append(b, `,"flags":{`...)
		b = appendFlags(b, "missing", p.Missing, p.Signature)
		b = appendFlags(b, "unseen", p.Unseen, p.Signature)
		b = appendFlags(b, "out_of_range", p.OutOfRange, p.Signature)
		b[len(b)-1] = '}' // in place of the last comma
	}
	if p.Explanation != nil {
		b = frame.AppendExplanation(append(b, `,"explanation":`...), p.Explanation)
	}
	return append(b, '}')
}

// appendOutputs writes the member of a prediction that has a row of every tensor; of a tensor without rows the whole.
func appendOutputs(b []byte, a *serve.Answer, i int) []byte {
	b = append(b, `,"outputs":{`...)
	for k, t := range a.Outputs {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(codec.AppendText(b, t.Name), ':')
		if len(t.Shape) > 0 && t.Rows() == len(a.Predictions) {
			row := t.Slice(i, i+1)
			t.Tensor = &tensor.Tensor{Shape: row.Shape[1:], Data: row.Data}
		}
		b = frame.Writer{}.Tensor(b, t)
	}
	return append(b, '}')
}

func appendFlags(b []byte, name string, bits uint64, sig *registry.Signature) []byte {
	if bits == 0 {
		return b
	}
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":[`...)
	for i := 0; i < len(sig.Inputs) && i < 64; i++ {
		if bits&(1<<i) != 0 {
			b = codec.AppendText(b, sig.Inputs[i].Name)
			b = append(b, ',')
		}
	}
	b[len(b)-1] = ']'
	return append(b, ',')
}

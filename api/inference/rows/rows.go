// Package rows is the plain dialect: rows as JSON objects beside the native API.
//
// It owns the row form. It must never hold a rule: rows are validated, routed, answered and logged by serve.
package rows

import (
	"math"
	"net/http"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Register adds the door.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	limit := opt.Limit()
	r.Handle(http.MethodPost, route.Prefix+"/deployments/{name}/predict",
		route.Access{Action: "deployment.predict", Resource: "deployment/{name}", Audit: route.Infer, MaxBody: limit},
		func(w http.ResponseWriter, req *http.Request) {
			if err := predict(w, req, s, limit); err != nil {
				r.Error(w, req, err)
			}
		})
}

// predict answers the row form.
func predict(w http.ResponseWriter, req *http.Request, s *serve.Service, limit int64) error {
	x := codec.Get()
	defer x.Release()
	if err := x.Read(req, limit); err != nil {
		return err
	}
	version, err := parse(x)
	if err != nil {
		return err
	}
	preds, err := s.Predict(req.Context(), req.PathValue("name"), version, &x.Batch)
	if err != nil {
		return err
	}
	write(x, preds)
	x.Send(w, req)
	return nil
}

// parse reads the row form:
//
//	{"rows": [{"carrier": "AA", "distance": 1096}], "keys": ["k1"], "at": "2013-04-01T10:00:00Z", "version": 3, "id": "request-1", "explain": true}
//
// All but rows may be left out. keys has one text per row, or null to have it derived. at is one time or one per row.
func parse(x *codec.Exchange) (version int, err error) {
	x.Begin()
	s := &x.Scan
	rows := false
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch name := s.Key(); name {
		case "rows":
			if rows {
				s.Fail("it has rows twice")
			}
			rows = true
			for ok := s.Open('['); ok; ok = s.More('[') {
				row(x)
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
	x.Rows()
	return version, nil
}

// row reads one object of cells.
func row(x *codec.Exchange) {
	s := &x.Scan
	for ok := s.Open('{'); ok; ok = s.More('{') {
		name := s.Key()
		x.Field(name, codec.Cell(s))
	}
	x.EndRow()
}

// write answers the row form.
func write(x *codec.Exchange, preds []serve.Prediction) {
	b := append(x.Answer[:0], `{"predictions":[`...)
	for i := range preds {
		p := &preds[i]
		if i > 0 {
			b = append(b, ',')
		}
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
		b = codec.AppendTime(b, p.At)
		if p.Signature.Task == string(learn.Multiclass) {
			b = append(b, `","scores":[`...)
			for k, v := range p.Scores {
				if k > 0 {
					b = append(b, ',')
				}
				b = codec.AppendNumber(b, v)
			}
			b = append(b, ']')
		} else {
			b = append(b, `","score":`...)
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
			b = appendExplanation(b, p.Explanation)
		}
		b = append(b, '}')
	}
	x.Answer = append(b, "]}\n"...)
}

// appendExplanation writes the member of a prediction that says why: lists have one number per output.
func appendExplanation(b []byte, e *serve.Explanation) []byte {
	b = codec.AppendText(append(b, `,"explanation":{"unit":`...), e.Unit)
	b = appendNumbers(append(b, `,"expected":`...), e.Expected)
	b = appendNumbers(append(b, `,"margin":`...), e.Margin)
	b = append(b, `,"contributions":{`...)
	for j, name := range e.Features {
		if j > 0 {
			b = append(b, ',')
		}
		b = appendNumbers(append(codec.AppendText(b, name), ':'), e.Contributions[j])
	}
	return append(b, "}}"...)
}

func appendNumbers(b []byte, v []float64) []byte {
	b = append(b, '[')
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = codec.AppendNumber(b, f)
	}
	return append(b, ']')
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

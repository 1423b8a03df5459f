package oip

import (
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// inferRequest is what an infer request says beside its rows.
type inferRequest struct {
	id      string
	hasID   bool
	outputs []string
}

// tensor is one input while a request is read.
type tensor struct {
	name     string
	datatype string
	shape    []int
	hasShape bool
	data     int // where the data begins in the body; -1 when it is not there
	cells    []serve.Cell
	read     bool
}

// maxTensors bounds the inputs of a request.
const maxTensors = 4096

// parse reads an infer request and makes rows of its columns.
func parse(x *codec.Exchange) (*inferRequest, error) {
	x.Begin()
	s := &x.Scan
	q := &inferRequest{}
	var tensors []tensor
	var key string
	hasAt, hasKey := false, false
	var at int64
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "id":
			q.id, q.hasID = codec.OptionalText(s, "id"), true
			x.Batch.Request = q.id
		case "parameters":
			for ok := s.Open('{'); ok; ok = s.More('{') {
				switch s.Key() {
				case "key":
					key, hasKey = codec.OptionalText(s, "key"), true
				case "at":
					at, hasAt = codec.Time(s), true
				case "explain":
					x.Batch.Explain = codec.Flag(s, "the parameter explain")
				default:
					s.Skip()
				}
			}
		case "inputs":
			for ok := s.Open('['); ok; ok = s.More('[') {
				if len(tensors) >= maxTensors {
					s.Fail("it has more than %d inputs", maxTensors)
					break
				}
				tensors = append(tensors, input(s))
			}
		case "outputs":
			for ok := s.Open('['); ok; ok = s.More('[') {
				for ok := s.Open('{'); ok; ok = s.More('{') {
					if s.Key() == "name" {
						q.outputs = append(q.outputs, codec.OptionalText(s, "the name of an output"))
					} else {
						s.Skip()
					}
				}
			}
		default:
			s.Skip() // the protocol lets servers ignore what they do not know
		}
	}
	s.End()
	if s.Err != nil {
		return nil, s.Err
	}
	if len(tensors) == 0 {
		return nil, fault.New(fault.Invalid, "the request has no inputs").WithHint(`send {"inputs": [{"name": …, "shape": [1], "datatype": …, "data": […]}]}`)
	}
	n := len(tensors[0].cells)
	for i := range tensors {
		t := &tensors[i]
		if len(t.cells) != n {
			return nil, fault.New(fault.Invalid, "the input %q has %d rows, %q has %d", codec.Clip(t.name), len(t.cells), codec.Clip(tensors[0].name), n)
		}
	}
	if hasKey && key != "" && n != 1 {
		return nil, fault.New(fault.Invalid, "the parameter key names one row; the request has %d", n).WithHint("send a BYTES tensor %s with one key per row", tensorKey)
	}
	if n > serve.MaxRows {
		return nil, fault.New(fault.TooLarge, "the request has %d rows; at most %d are taken", n, serve.MaxRows)
	}
	if hasAt {
		x.Batch.At = append(x.Batch.At, at)
	}
	if key != "" {
		x.Batch.Keys = append(x.Batch.Keys, key)
	}
	for row := range n {
		for i := range tensors {
			t := &tensors[i]
			c := t.cells[row]
			switch t.name {
			case tensorKey:
				if c.Type != serve.TextCell && c.Type != serve.NullCell {
					return nil, fault.New(fault.Invalid, "%s is a BYTES tensor", tensorKey)
				}
				if row == 0 {
					x.Batch.Keys = x.Batch.Keys[:0]
				}
				x.Batch.Keys = append(x.Batch.Keys, c.Text)
			case tensorAt:
				us, ok := int64(c.Number), c.Type == serve.NumberCell
				if c.Type == serve.TextCell {
					us, ok = serve.ParseTime(c.Text)
				}
				if !ok {
					return nil, fault.New(fault.Invalid, "%s is a tensor of times: BYTES such as 2013-04-01T10:00:00Z, or INT64 microseconds", tensorAt)
				}
				if row == 0 {
					x.Batch.At = x.Batch.At[:0]
				}
				x.Batch.At = append(x.Batch.At, us)
			default:
				x.Field(t.name, c)
			}
		}
		x.EndRow()
	}
	x.Rows()
	return q, nil
}

// input reads one input. Its data is read once shape and datatype are known, whatever the order of the members.
func input(s *scan.Scanner) tensor {
	t := tensor{data: -1}
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "name":
			t.name = codec.OptionalText(s, "the name of an input")
		case "datatype":
			t.datatype = codec.OptionalText(s, "the datatype of an input")
		case "shape":
			t.hasShape = true
			t.shape = t.shape[:0]
			for ok := s.Open('['); ok; ok = s.More('[') {
				s.Space()
				f := s.Number()
				if f != math.Trunc(f) || f < 0 || f > math.MaxInt32 || len(t.shape) > 8 {
					s.Fail("the shape of %q is not a list of sizes", codec.Clip(t.name))
					break
				}
				t.shape = append(t.shape, int(f))
			}
		case "data":
			s.Space()
			if t.data >= 0 {
				s.Fail("the input %q has data twice", codec.Clip(t.name))
			}
			t.data = s.Offset()
			if t.datatype != "" && t.hasShape {
				read(s, &t)
			} else {
				s.Skip()
			}
		default:
			s.Skip()
		}
	}
	if s.Err != nil {
		return t
	}
	if t.data < 0 || !t.hasShape || t.datatype == "" || t.name == "" {
		s.Fail("the input %q lacks one of name, shape, datatype and data", codec.Clip(t.name))
		return t
	}
	if !t.read {
		again := s.From(t.data)
		read(&again, &t)
		s.Err = again.Err
	}
	return t
}

// read reads the data of a tensor whose shape and datatype are known.
func read(s *scan.Scanner, t *tensor) {
	t.read = true
	rows, cells := 1, 1
	for i, d := range t.shape {
		if i == 0 {
			rows = d
		}
		if d > 0 && cells > codec.DefaultMaxBody/d {
			s.Fail("the shape of %q has more elements than a request can hold", codec.Clip(t.name))
			return
		}
		cells *= d
	}
	if len(t.shape) == 0 || cells != rows {
		s.Fail("the input %q has the shape %v; inputs are columns: [N] or [N, 1]", codec.Clip(t.name), t.shape)
		return
	}
	kind, bits, signed := kindOf(t.datatype)
	if kind == serve.NullCell {
		s.Fail("the input %q has the datatype %q, which is none of the protocol's", codec.Clip(t.name), codec.Clip(t.datatype))
		return
	}
	t.cells = make([]serve.Cell, 0, min(rows, serve.MaxRows))
	elements(s, t, kind, bits, signed, rows)
	if s.Err == nil && len(t.cells) != rows {
		s.Fail("the input %q has %d elements; its shape says %d", codec.Clip(t.name), len(t.cells), rows)
	}
}

// elements reads data, flat or nested.
func elements(s *scan.Scanner, t *tensor, kind serve.CellType, bits int, signed bool, rows int) {
	for ok := s.Open('['); ok; ok = s.More('[') {
		if s.Space() == '[' {
			elements(s, t, kind, bits, signed, rows)
			continue
		}
		at := s.Offset()
		c := codec.Cell(s)
		if s.Err != nil {
			return
		}
		if c.Type != serve.NullCell && (c.Type != kind || bits > 0 && !fits(c.Number, bits, signed)) {
			s.Fail("element %d of %q is no %s (byte %d)", len(t.cells), codec.Clip(t.name), t.datatype, at)
			return
		}
		if len(t.cells) >= rows {
			s.Fail("the input %q has more elements than its shape says, %d", codec.Clip(t.name), rows)
			return
		}
		t.cells = append(t.cells, c)
	}
}

// kindOf is how elements of a datatype are spelt in JSON; bits is the width of whole numbers.
func kindOf(datatype string) (kind serve.CellType, bits int, signed bool) {
	switch datatype {
	case "BOOL":
		return serve.BoolCell, 0, false
	case "BYTES":
		return serve.TextCell, 0, false
	case "FP16", "FP32", "FP64", "BF16":
		return serve.NumberCell, 0, false
	case "INT8":
		return serve.NumberCell, 8, true
	case "INT16":
		return serve.NumberCell, 16, true
	case "INT32":
		return serve.NumberCell, 32, true
	case "INT64":
		return serve.NumberCell, 64, true
	case "UINT8":
		return serve.NumberCell, 8, false
	case "UINT16":
		return serve.NumberCell, 16, false
	case "UINT32":
		return serve.NumberCell, 32, false
	case "UINT64":
		return serve.NumberCell, 64, false
	}
	return serve.NullCell, 0, false
}

func fits(f float64, bits int, signed bool) bool {
	if f != math.Trunc(f) {
		return false
	}
	if signed {
		limit := math.Ldexp(1, bits-1)
		return f >= -limit && f < limit
	}
	return f >= 0 && f < math.Ldexp(1, bits)
}

// write answers an infer request.
func write(x *codec.Exchange, name string, q *inferRequest, preds []serve.Prediction) error {
	sig := preds[0].Signature
	served := preds[0].Version
	width := len(preds[0].Scores)
	for i := range preds {
		if preds[i].Version != served && preds[i].Arm == serve.Champion {
			served = preds[i].Version // answers of two versions: the champion's name stands for both
		}
		same := preds[i].Explanation == nil || slices.Equal(preds[i].Explanation.Features, preds[0].Explanation.Features)
		if len(preds[i].Scores) != width || !same {
			return fault.New(fault.Conflict, "two versions with different classes or features answered").WithHint("ask for one version: /v2/models/%s/versions/%d/infer", name, served)
		}
	}
	b := append(x.Answer[:0], `{"model_name":`...)
	b = codec.AppendText(b, name)
	b = append(b, `,"model_version":"`...)
	b = strconv.AppendInt(b, int64(served), 10)
	b = append(b, '"')
	if q.hasID {
		b = append(b, `,"id":`...)
		b = codec.AppendText(b, q.id)
	}
	b = append(b, `,"outputs":[`...)
	wanted := func(name string) bool {
		if len(q.outputs) == 0 {
			return name != outArm
		}
		for _, o := range q.outputs {
			if o == name {
				return true
			}
		}
		return false
	}
	first := true
	output := func(name, datatype string, columns int, cell func(b []byte, p *serve.Prediction) []byte) {
		if !wanted(name) {
			return
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"name":"`...)
		b = append(b, name...)
		b = append(b, `","shape":[`...)
		b = strconv.AppendInt(b, int64(len(preds)), 10)
		if columns > 0 {
			b = append(b, ',')
			b = strconv.AppendInt(b, int64(columns), 10)
		}
		b = append(b, `],"datatype":"`...)
		b = append(b, datatype...)
		b = append(b, `","data":[`...)
		for i := range preds {
			if i > 0 {
				b = append(b, ',')
			}
			b = cell(b, &preds[i])
		}
		b = append(b, `]}`...)
	}
	switch sig.Task {
	case string(learn.Regression):
		output(outVariable, "FP64", 1, func(b []byte, p *serve.Prediction) []byte { return codec.AppendNumber(b, p.Scores[0]) })
	case string(learn.Binary):
		output(outProbabilities, "FP64", 2, func(b []byte, p *serve.Prediction) []byte {
			return codec.AppendNumber(append(codec.AppendNumber(b, 1-p.Scores[0]), ','), p.Scores[0])
		})
	default:
		output(outProbabilities, "FP64", width, func(b []byte, p *serve.Prediction) []byte {
			for k, v := range p.Scores {
				if k > 0 {
					b = append(b, ',')
				}
				b = codec.AppendNumber(b, v)
			}
			return b
		})
	}
	if sig.Task != string(learn.Regression) {
		output(outLabel, "BYTES", 0, func(b []byte, p *serve.Prediction) []byte { return codec.AppendText(b, p.Label) })
	}
	output(outID, "BYTES", 0, func(b []byte, p *serve.Prediction) []byte { return codec.AppendText(b, p.ID) })
	output(outVersion, "INT64", 0, func(b []byte, p *serve.Prediction) []byte { return strconv.AppendInt(b, int64(p.Version), 10) })
	output(outArm, "BYTES", 0, func(b []byte, p *serve.Prediction) []byte { return codec.AppendText(b, p.Arm.String()) })
	if preds[0].Explanation != nil {
		b = appendWhy(b, preds, !first)
	}
	x.Answer = append(b, "]}\n"...)
	return nil
}

// appendWhy writes the tensors of an explanation, which the parameter explain asked for.
func appendWhy(b []byte, preds []serve.Prediction, comma bool) []byte {
	n, k, features := len(preds), len(preds[0].Explanation.Expected), preds[0].Explanation.Features
	begin := func(name, datatype string, shape ...int) {
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = append(append(b, `{"name":"`...), name...)
		b = append(b, `","shape":[`...)
		for i, d := range shape {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(append(b, `],"datatype":"`...), datatype...)
		b = append(b, `","data":[`...)
	}
	begin(outExpected, "FP64", n, k)
	for i := range preds {
		for o, v := range preds[i].Explanation.Expected {
			if i+o > 0 {
				b = append(b, ',')
			}
			b = codec.AppendNumber(b, v)
		}
	}
	b = append(b, "]}"...)
	begin(outContributions, "FP64", n, k, len(features))
	for i := range preds {
		for o := range k {
			for j, v := range preds[i].Explanation.Contributions {
				if i+o+j > 0 {
					b = append(b, ',')
				}
				b = codec.AppendNumber(b, v[o])
			}
		}
	}
	b = append(b, "]}"...)
	begin(outFeatures, "BYTES", len(features))
	for j, name := range features {
		if j > 0 {
			b = append(b, ',')
		}
		b = codec.AppendText(b, name)
	}
	return append(b, "]}"...)
}

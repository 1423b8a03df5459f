package inference

import (
	"math"
	"slices"
	"strconv"

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

// parseInfer reads an infer request and makes rows of its columns.
func (x *exchange) parseInfer() (*inferRequest, error) {
	x.begin()
	s := &x.scan
	q := &inferRequest{}
	var tensors []tensor
	var key string
	hasAt, hasKey := false, false
	var at int64
	for ok := s.open('{'); ok; ok = s.more('{') {
		switch s.key() {
		case "id":
			q.id, q.hasID = s.optionalText("id"), true
			x.batch.Request = q.id
		case "parameters":
			for ok := s.open('{'); ok; ok = s.more('{') {
				switch s.key() {
				case "key":
					key, hasKey = s.optionalText("key"), true
				case "at":
					at, hasAt = s.time(), true
				case "explain":
					x.batch.Explain = s.flag("the parameter explain")
				default:
					s.skip()
				}
			}
		case "inputs":
			for ok := s.open('['); ok; ok = s.more('[') {
				if len(tensors) >= maxTensors {
					s.fail("it has more than %d inputs", maxTensors)
					break
				}
				tensors = append(tensors, s.tensor())
			}
		case "outputs":
			for ok := s.open('['); ok; ok = s.more('[') {
				for ok := s.open('{'); ok; ok = s.more('{') {
					if s.key() == "name" {
						q.outputs = append(q.outputs, s.optionalText("the name of an output"))
					} else {
						s.skip()
					}
				}
			}
		default:
			s.skip() // the protocol lets servers ignore what they do not know
		}
	}
	s.end()
	if s.err != nil {
		return nil, s.err
	}
	if len(tensors) == 0 {
		return nil, fault.New(fault.Invalid, "the request has no inputs").WithHint(`send {"inputs": [{"name": …, "shape": [1], "datatype": …, "data": […]}]}`)
	}
	n := len(tensors[0].cells)
	for i := range tensors {
		t := &tensors[i]
		if len(t.cells) != n {
			return nil, fault.New(fault.Invalid, "the input %q has %d rows, %q has %d", clip(t.name), len(t.cells), clip(tensors[0].name), n)
		}
	}
	if hasKey && key != "" && n != 1 {
		return nil, fault.New(fault.Invalid, "the parameter key names one row; the request has %d", n).WithHint("send a BYTES tensor %s with one key per row", tensorKey)
	}
	if n > serve.MaxRows {
		return nil, fault.New(fault.TooLarge, "the request has %d rows; at most %d are taken", n, serve.MaxRows)
	}
	if hasAt {
		x.batch.At = append(x.batch.At, at)
	}
	if key != "" {
		x.batch.Keys = append(x.batch.Keys, key)
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
					x.batch.Keys = x.batch.Keys[:0]
				}
				x.batch.Keys = append(x.batch.Keys, c.Text)
			case tensorAt:
				us, ok := int64(c.Number), c.Type == serve.NumberCell
				if c.Type == serve.TextCell {
					us, ok = serve.ParseTime(c.Text)
				}
				if !ok {
					return nil, fault.New(fault.Invalid, "%s is a tensor of times: BYTES such as 2013-04-01T10:00:00Z, or INT64 microseconds", tensorAt)
				}
				if row == 0 {
					x.batch.At = x.batch.At[:0]
				}
				x.batch.At = append(x.batch.At, us)
			default:
				x.fields = append(x.fields, serve.Field{Name: t.name, Cell: c})
			}
		}
		x.ends = append(x.ends, len(x.fields))
	}
	x.rows()
	return q, nil
}

// tensor reads one input. Its data is read once shape and datatype are known, whatever the order of the members.
func (s *scanner) tensor() tensor {
	t := tensor{data: -1}
	for ok := s.open('{'); ok; ok = s.more('{') {
		switch s.key() {
		case "name":
			t.name = s.optionalText("the name of an input")
		case "datatype":
			t.datatype = s.optionalText("the datatype of an input")
		case "shape":
			t.hasShape = true
			t.shape = t.shape[:0]
			for ok := s.open('['); ok; ok = s.more('[') {
				s.space()
				f := s.number()
				if f != math.Trunc(f) || f < 0 || f > math.MaxInt32 || len(t.shape) > 8 {
					s.fail("the shape of %q is not a list of sizes", clip(t.name))
					break
				}
				t.shape = append(t.shape, int(f))
			}
		case "data":
			s.space()
			if t.data >= 0 {
				s.fail("the input %q has data twice", clip(t.name))
			}
			t.data = s.i
			if t.datatype != "" && t.hasShape {
				s.read(&t)
			} else {
				s.skip()
			}
		default:
			s.skip()
		}
	}
	if s.err != nil {
		return t
	}
	if t.data < 0 || !t.hasShape || t.datatype == "" || t.name == "" {
		s.fail("the input %q lacks one of name, shape, datatype and data", clip(t.name))
		return t
	}
	if !t.read {
		again := scanner{b: s.b, i: t.data, depth: s.depth}
		again.read(&t)
		s.err = again.err
	}
	return t
}

// read reads the data of a tensor whose shape and datatype are known.
func (s *scanner) read(t *tensor) {
	t.read = true
	rows, cells := 1, 1
	for i, d := range t.shape {
		if i == 0 {
			rows = d
		}
		if d > 0 && cells > maxBody/d {
			s.fail("the shape of %q has more elements than a request can hold", clip(t.name))
			return
		}
		cells *= d
	}
	if len(t.shape) == 0 || cells != rows {
		s.fail("the input %q has the shape %v; inputs are columns: [N] or [N, 1]", clip(t.name), t.shape)
		return
	}
	kind, bits, signed := kindOf(t.datatype)
	if kind == serve.NullCell {
		s.fail("the input %q has the datatype %q, which is none of the protocol's", clip(t.name), clip(t.datatype))
		return
	}
	t.cells = make([]serve.Cell, 0, min(rows, len(s.b)))
	s.elements(t, kind, bits, signed, rows)
	if s.err == nil && len(t.cells) != rows {
		s.fail("the input %q has %d elements; its shape says %d", clip(t.name), len(t.cells), rows)
	}
}

// elements reads data, flat or nested.
func (s *scanner) elements(t *tensor, kind serve.CellType, bits int, signed bool, rows int) {
	for ok := s.open('['); ok; ok = s.more('[') {
		if s.space() == '[' {
			s.elements(t, kind, bits, signed, rows)
			continue
		}
		at := s.i
		c := s.cell()
		if s.err != nil {
			return
		}
		if c.Type != serve.NullCell && (c.Type != kind || bits > 0 && !fits(c.Number, bits, signed)) {
			s.i = at
			s.fail("element %d of %q is no %s (byte %d)", len(t.cells), clip(t.name), t.datatype, at)
			return
		}
		if len(t.cells) >= rows {
			s.fail("the input %q has more elements than its shape says, %d", clip(t.name), rows)
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

// writeInfer answers an infer request.
func (x *exchange) writeInfer(name string, q *inferRequest, preds []serve.Prediction) error {
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
	b := append(x.answer[:0], `{"model_name":`...)
	b = appendText(b, name)
	b = append(b, `,"model_version":"`...)
	b = strconv.AppendInt(b, int64(served), 10)
	b = append(b, '"')
	if q.hasID {
		b = append(b, `,"id":`...)
		b = appendText(b, q.id)
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
	case taskRegression:
		output(outVariable, "FP64", 1, func(b []byte, p *serve.Prediction) []byte { return appendNumber(b, p.Scores[0]) })
	case taskBinary:
		output(outProbabilities, "FP64", 2, func(b []byte, p *serve.Prediction) []byte {
			return appendNumber(append(appendNumber(b, 1-p.Scores[0]), ','), p.Scores[0])
		})
	default:
		output(outProbabilities, "FP64", width, func(b []byte, p *serve.Prediction) []byte {
			for k, v := range p.Scores {
				if k > 0 {
					b = append(b, ',')
				}
				b = appendNumber(b, v)
			}
			return b
		})
	}
	if sig.Task != taskRegression {
		output(outLabel, "BYTES", 0, func(b []byte, p *serve.Prediction) []byte { return appendText(b, p.Label) })
	}
	output(outID, "BYTES", 0, func(b []byte, p *serve.Prediction) []byte { return appendText(b, p.ID) })
	output(outVersion, "INT64", 0, func(b []byte, p *serve.Prediction) []byte { return strconv.AppendInt(b, int64(p.Version), 10) })
	output(outArm, "BYTES", 0, func(b []byte, p *serve.Prediction) []byte { return appendText(b, p.Arm.String()) })
	if preds[0].Explanation != nil {
		b = appendWhy(b, preds, !first)
	}
	x.answer = append(b, "]}\n"...)
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
			b = appendNumber(b, v)
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
				b = appendNumber(b, v[o])
			}
		}
	}
	b = append(b, "]}"...)
	begin(outFeatures, "BYTES", len(features))
	for j, name := range features {
		if j > 0 {
			b = append(b, ',')
		}
		b = appendText(b, name)
	}
	return append(b, "]}"...)
}

package oip

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Bounds of a request.
const (
	maxTensors = 4096 // inputs, and outputs
	maxDims    = 8
)

// few is the most rows whose columns are read as cells in memory that is used again; more are worth a tensor.
const few = 16

// call is an infer request while it is read, with the memory of earlier ones.
type call struct {
	sig *registry.Signature

	id      string
	hasID   bool
	key     string
	at      int64
	hasAt   bool
	explain bool
	binary  bool // all outputs are asked for as bytes
	kind    string
	rank    int // Triton's priority: 1 is the first, 0 is usual
	timeout time.Duration
	params  map[string]any

	inputs  []input
	outputs []output
	wanted  []string
	cells   []serve.Cell // of all inputs that are read as cells, one after the other
	shapes  []int        // of all inputs
}

// input is one tensor of a request.
type input struct {
	name     string
	datatype string
	kind     string // content type
	shape    []int
	hasShape bool
	data     int // where the data begins in the body; -1 when it is not there
	size     int // bytes of its data after the JSON; -1 when its data is in the JSON
	read     bool

	typ      tensor.Type
	rows     int // first dimension
	count    int // elements
	from, to int // place in call.cells, when t is nil
	t        *tensor.Tensor
}

// output is one tensor that the request asks for.
type output struct {
	name    string
	binary  bool // asked for as bytes, whatever the request says of all
	json    bool // asked for as JSON
	classes int  // of the classification extension; 0 = the tensor itself
}

var calls = sync.Pool{New: func() any { return new(call) }}

func (c *call) release() {
	if cap(c.cells) > 64*few*4 || cap(c.inputs) > 1024 {
		return
	}
	clear(c.cells)
	clear(c.inputs)
	clear(c.outputs)
	clear(c.wanted)
	*c = call{inputs: c.inputs[:0], outputs: c.outputs[:0], wanted: c.wanted[:0], cells: c.cells[:0], shapes: c.shapes[:0]}
	calls.Put(c)
}

// parse reads an infer request. header is the bytes of its JSON, what follows is the data of its binary tensors; -1 = there is none.
func (c *call) parse(x *codec.Exchange, header int) error {
	x.Begin()
	if header == 0 {
		return c.raw(x)
	}
	var tail []byte
	body := x.Body
	if header > 0 {
		if header > len(body) {
			return fault.New(fault.Invalid, "the header Inference-Header-Content-Length says %d, and the request has %d bytes", header, len(body))
		}
		body, tail = body[:header], body[header:]
	}
	x.Scan = scan.NewWithTokens(body)
	s := &x.Scan
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "id":
			c.id, c.hasID = codec.OptionalText(s, "id"), true
		case "parameters":
			c.parameters(s)
		case "inputs":
			for ok := s.Open('['); ok; ok = s.More('[') {
				if len(c.inputs) >= maxTensors {
					s.Fail("it has more than %d inputs", maxTensors)
					break
				}
				c.input(s)
			}
		case "outputs":
			for ok := s.Open('['); ok; ok = s.More('[') {
				if len(c.outputs) >= maxTensors {
					s.Fail("it has more than %d outputs", maxTensors)
					break
				}
				c.output(s)
			}
		default:
			s.Skip() // the protocol lets servers ignore what they do not know
		}
	}
	s.End()
	if s.Err != nil {
		return s.Err
	}
	if len(c.inputs) == 0 {
		return fault.New(fault.Invalid, "the request has no inputs").WithHint(`send {"inputs": [{"name": …, "shape": [1], "datatype": …, "data": […]}]}`)
	}
	if err := c.tails(tail); err != nil {
		return err
	}
	return c.contents()
}

// parameters reads those of the request. What is not of the protocol is for the model.
func (c *call) parameters(s *scan.Scanner) {
	if s.Space() == 'n' {
		s.Literal()
		return
	}
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch name := s.Key(); name {
		case "key":
			c.key = codec.OptionalText(s, "key")
		case "at":
			if s.Space() == 'n' {
				s.Literal()
				break
			}
			c.at, c.hasAt = codec.Time(s), true
		case "explain":
			c.explain = codec.Flag(s, "the parameter explain")
		case "binary_data_output":
			c.binary = codec.Flag(s, "the parameter binary_data_output")
		case "content_type":
			c.kind = codec.OptionalText(s, "the parameter content_type")
		case "priority":
			c.rank = int(wholeParam(s, "the parameter priority", math.MaxInt32))
		case "timeout":
			c.timeout = time.Duration(wholeParam(s, "the parameter timeout", math.MaxInt64/1000)) * time.Microsecond
		case "sequence_id", "sequence_start", "sequence_end":
			s.Skip() // no model here has a state from request to request
		default:
			if k := s.Space(); k == '{' || k == '[' {
				s.Skip() // parameters are texts, numbers and booleans
				break
			}
			v := codec.Param(s, "a parameter")
			if s.Err != nil || v == nil {
				break
			}
			if c.params == nil {
				c.params = map[string]any{}
			}
			if len(c.params) >= 256 {
				s.Fail("it has more than 256 parameters")
				break
			}
			c.params[strings.Clone(name)] = v
		}
	}
}

// wholeParam reads a whole number from 0 to limit; clients send some of them as texts.
func wholeParam(s *scan.Scanner, what string, limit uint64) uint64 {
	at := s.Offset()
	switch s.Space() {
	case '"':
		v, err := strconv.ParseUint(s.Text(), 10, 64)
		if err != nil || v > limit {
			s.Fail("%s is a whole number (byte %d)", what, at)
		}
		return v
	case 'n':
		s.Literal()
		return 0
	}
	v, negative, ok := s.Whole()
	if !ok || negative && v > 0 || v > limit {
		s.Fail("%s is a whole number (byte %d)", what, at)
		return 0
	}
	return v
}

// output reads one output of a request.
func (c *call) output(s *scan.Scanner) {
	var o output
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "name":
			o.name = codec.OptionalText(s, "the name of an output")
		case "parameters":
			if s.Space() == 'n' {
				s.Literal()
				break
			}
			for ok := s.Open('{'); ok; ok = s.More('{') {
				switch s.Key() {
				case "binary_data":
					o.binary = codec.Flag(s, "the parameter binary_data")
					o.json = !o.binary
				case "classification":
					o.classes = int(wholeParam(s, "the parameter classification", math.MaxInt32))
				case "shared_memory_region":
					s.Skip()
					s.Refuse(noSharedMemory())
				default:
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
	if s.Err == nil && o.name == "" {
		s.Fail("an output has no name")
	}
	c.outputs = append(c.outputs, o)
	c.wanted = append(c.wanted, o.name)
}

func noSharedMemory() error {
	return fault.New(fault.Invalid, "shared memory is not served: a request carries its data").WithHint("send and ask for tensors in the body, as JSON or as bytes (binary_data)")
}

// input reads one input. Its data is read once shape and datatype are known, whatever the order of the members.
func (c *call) input(s *scan.Scanner) {
	c.inputs = append(c.inputs, input{data: -1, size: -1})
	t := &c.inputs[len(c.inputs)-1]
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "name":
			t.name = codec.OptionalText(s, "the name of an input")
		case "datatype":
			t.datatype = codec.OptionalText(s, "the datatype of an input")
		case "shape":
			c.shape(s, t)
		case "parameters":
			c.inputParameters(s, t)
		case "data":
			s.Space()
			if t.data >= 0 {
				s.Fail("the input %q has data twice", codec.Clip(t.name))
				break
			}
			t.data = s.Offset()
			if t.datatype != "" && t.hasShape {
				c.elements(s, t)
			} else {
				s.Skip()
			}
		default:
			s.Skip()
		}
	}
	if s.Err != nil {
		return
	}
	if t.data < 0 && t.size < 0 || !t.hasShape || t.datatype == "" || t.name == "" {
		s.Fail("the input %q lacks one of name, shape, datatype and data", codec.Clip(t.name))
		return
	}
	if t.data >= 0 && t.size >= 0 {
		s.Fail("the input %q has data in the JSON and after it", codec.Clip(t.name))
		return
	}
	if t.data >= 0 && !t.read {
		again := s.From(t.data)
		c.elements(&again, t)
		s.Err = again.Err
	}
}

func (c *call) shape(s *scan.Scanner, t *input) {
	if t.hasShape {
		s.Fail("the input %q has a shape twice", codec.Clip(t.name))
		return
	}
	t.hasShape = true
	from := len(c.shapes)
	for ok := s.Open('['); ok; ok = s.More('[') {
		s.Space()
		size, negative, ok := s.Whole()
		if !ok || negative || size > math.MaxInt32 || len(c.shapes)-from >= maxDims {
			s.Fail("the shape of %q is not a list of sizes", codec.Clip(t.name))
			return
		}
		c.shapes = append(c.shapes, int(size))
	}
	t.shape = c.shapes[from:len(c.shapes):len(c.shapes)]
}

func (c *call) inputParameters(s *scan.Scanner, t *input) {
	if s.Space() == 'n' {
		s.Literal()
		return
	}
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "content_type":
			t.kind = codec.OptionalText(s, "the parameter content_type")
		case "binary_data_size":
			t.size = int(wholeParam(s, "the parameter binary_data_size", math.MaxInt32))
		case "shared_memory_region":
			s.Skip()
			s.Refuse(noSharedMemory())
		default:
			s.Skip()
		}
	}
}

// tails reads the data that follows the JSON: that of the inputs with a binary_data_size, in their order.
func (c *call) tails(tail []byte) error {
	for i := range c.inputs {
		t := &c.inputs[i]
		if t.size < 0 {
			continue
		}
		if t.size > len(tail) {
			return fault.New(fault.Invalid, "the input %q has %d bytes of data, and %d follow the JSON", codec.Clip(t.name), t.size, len(tail)).With("column", codec.Clip(t.name)).
				WithHint("the header Inference-Header-Content-Length says where the JSON ends")
		}
		if err := t.bytes(tail[:t.size]); err != nil {
			return err
		}
		tail = tail[t.size:]
	}
	if len(tail) > 0 {
		return fault.New(fault.Invalid, "%d bytes follow the data of the last input", len(tail))
	}
	return nil
}

// bytes reads the raw form of an input.
func (t *input) bytes(raw []byte) error {
	typ, ok := tensor.ParseType(t.datatype)
	if !ok {
		return noDatatype(t)
	}
	read, err := tensor.FromRaw(typ, append([]int(nil), t.shape...), raw)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the input %q", codec.Clip(t.name)).With("column", codec.Clip(t.name)).With("expected", t.datatype)
	}
	t.t, t.typ, t.rows, t.count = read, typ, read.Rows(), read.Len()
	return nil
}

func noDatatype(t *input) error {
	return fault.New(fault.Invalid, "the input %q has the datatype %q, which is none of the protocol's", codec.Clip(t.name), codec.Clip(t.datatype)).
		With("column", codec.Clip(t.name)).WithHint("datatypes are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 and BYTES")
}

// raw reads a request without JSON: the body is the data of the only input, one row or as many as the size says, and all outputs are
// asked for as bytes.
func (c *call) raw(x *codec.Exchange) error {
	fields := codec.InputFields(c.sig)
	if len(fields) != 1 {
		return fault.New(fault.Invalid, "a request of raw bytes is for models with one input; this one has %d", len(fields)).WithHint("say in JSON which input has which bytes: binary_data_size")
	}
	c.binary = true
	f := &fields[0]
	t := input{name: f.Name, datatype: f.Type.String()}
	if f.Type == tensor.String {
		t.shape = rawShape(f, 1)
		t.t, t.typ, t.rows, t.count = &tensor.Tensor{Shape: t.shape, Data: []string{string(x.Body)}}, f.Type, 1, 1
		if n, ok := tensor.Volume(t.shape); !ok || n != 1 {
			return fault.New(fault.Invalid, "a request of raw bytes is one text; the input %q takes more", f.Name)
		}
	} else {
		t.shape = rawShape(f, len(x.Body)/f.Type.Size())
		if err := t.bytes(x.Body); err != nil {
			return err
		}
	}
	c.inputs = append(c.inputs, t)
	return c.contents()
}

// rawShape is the shape of n elements of an input: the last size that is free takes what the others leave, and the others are 1.
func rawShape(f *predictor.Field, n int) []int {
	shape := append([]int(nil), f.Shape...)
	open, rest := -1, 1
	for i, d := range shape {
		switch {
		case d < 0:
			shape[i], open = 1, i
		case d > 0:
			rest *= d
		}
	}
	if open >= 0 && rest > 0 {
		shape[open] = max(n/rest, 1)
	}
	return shape
}

// Content types of MLServer: how the elements of an input are meant.
const (
	kindNumpy    = "np"       // as the datatype says
	kindPandas   = "pd"       // the same, of a request: every input is a column
	kindText     = "str"      // BYTES are texts
	kindBase64   = "base64"   // BYTES are bytes in base64
	kindDatetime = "datetime" // BYTES are ISO times
)

// contents gives the inputs their content types and checks the texts that go into rows.
func (c *call) contents() error {
	tensors := c.sig.Task == registry.TaskTensors
	for i := range c.inputs {
		t := &c.inputs[i]
		if t.kind == "" {
			t.kind = c.kind
		}
		switch t.kind {
		case "", kindNumpy, kindPandas:
		case kindText, kindDatetime, kindBase64:
			if t.typ != tensor.String {
				if t.kind == c.kind { // said of the whole request: it means those that are texts
					t.kind = ""
					break
				}
				return fault.New(fault.Invalid, "the input %q has the content type %s and the datatype %s; it needs BYTES", codec.Clip(t.name), t.kind, t.datatype).With("column", codec.Clip(t.name))
			}
		default:
			return fault.New(fault.Invalid, "the input %q has the content type %q, which is not served", codec.Clip(t.name), codec.Clip(t.kind)).With("column", codec.Clip(t.name)).
				WithHint("content types are np, pd, str, base64 and datetime")
		}
		if t.typ != tensor.String {
			continue
		}
		if t.kind == kindBase64 {
			if err := c.decode(t); err != nil {
				return err
			}
		}
		if t.t != nil && !tensors {
			for k, text := range t.t.Data.([]string) {
				if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
					row := k / max(t.t.Width(), 1)
					return fault.New(fault.Invalid, "row %d, column %q: expected a text in UTF-8, got other bytes", row, codec.Clip(t.name)).
						With("row", row).With("column", codec.Clip(t.name)).With("expected", "text")
				}
			}
		}
	}
	return nil
}

// decode replaces base64 by the bytes it stands for.
func (c *call) decode(t *input) error {
	bad := func(row int, err error) error {
		return fault.Wrap(err, fault.Invalid, "row %d, column %q: expected base64", row, codec.Clip(t.name)).With("row", row).With("column", codec.Clip(t.name)).With("expected", "base64")
	}
	if t.t == nil {
		d := make([]string, 0, t.count)
		for k, cell := range c.cells[t.from:t.to] {
			b, err := base64.StdEncoding.DecodeString(cell.Text)
			if err != nil {
				return bad(k, err)
			}
			d = append(d, string(b))
		}
		t.t = tensor.New(d, append([]int(nil), t.shape...)...)
		return nil
	}
	texts := t.t.Data.([]string)
	out := make([]string, len(texts))
	for k, text := range texts {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return bad(k/max(t.t.Width(), 1), err)
		}
		out[k] = string(b)
	}
	t.t = &tensor.Tensor{Shape: t.t.Shape, Data: out}
	return nil
}

// batch makes the columns of the inputs; keys and times of the rows are set apart.
func (c *call) batch(b *serve.Batch) error {
	b.Request, b.Explain, b.Params = c.id, c.explain, c.params
	if c.rank > 0 {
		b.Priority = 2 - c.rank
	}
	for i := range c.inputs {
		t := &c.inputs[i]
		switch {
		case t.name == tensorKey && !c.takes(tensorKey):
			if t.typ != tensor.String {
				return fault.New(fault.Invalid, "%s is a BYTES tensor", tensorKey)
			}
			b.Keys = b.Keys[:0]
			for k := range t.count {
				b.Keys = append(b.Keys, c.cell(t, k).Text)
			}
		case t.name == tensorAt && !c.takes(tensorAt):
			b.At = b.At[:0]
			for k := range t.count {
				cell := c.cell(t, k)
				us, ok := int64(cell.Number), cell.Type == serve.NumberCell && cell.Number == math.Trunc(cell.Number) && math.Abs(cell.Number) <= 1<<53
				if cell.Type == serve.TextCell {
					us, ok = serve.ParseTime(cell.Text)
				}
				if !ok {
					return fault.New(fault.Invalid, "%s is a tensor of times: BYTES such as 2013-04-01T10:00:00Z, or INT64 microseconds", tensorAt)
				}
				b.At = append(b.At, us)
			}
		default:
			col := serve.Column{Name: t.name, Tensor: t.t}
			if t.t == nil {
				col.Cells = c.cells[t.from:t.to:t.to]
			}
			if t.kind == kindDatetime || t.kind == kindText || t.kind == kindPandas || t.kind == kindNumpy {
				col.Kind = t.kind
			}
			b.Columns = append(b.Columns, col)
		}
	}
	if len(b.Columns) == 0 {
		return fault.New(fault.Invalid, "the request has no inputs of the model")
	}
	if c.key != "" && len(b.Keys) == 0 {
		if n := c.inputs[0].rows; n != 1 && c.sig.Task != registry.TaskTensors {
			return fault.New(fault.Invalid, "the parameter key names one row; the request has %d", n).WithHint("send a BYTES tensor %s with one key per row", tensorKey)
		}
		b.Keys = append(b.Keys, c.key)
	}
	if c.hasAt && len(b.At) == 0 {
		b.At = append(b.At, c.at)
	}
	return nil
}

// takes tells whether the model itself has an input of the name.
func (c *call) takes(name string) bool {
	in, _ := c.sig.Input(name)
	return in != nil
}

func (c *call) cell(t *input, k int) serve.Cell {
	if t.t == nil {
		return c.cells[t.from+k]
	}
	if d, ok := t.t.Data.([]string); ok {
		return serve.Cell{Type: serve.TextCell, Text: d[k]}
	}
	v, _ := t.t.Number(k)
	return serve.Cell{Type: serve.NumberCell, Number: v}
}

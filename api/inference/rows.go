package inference

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// exchange is the memory of one request and its answer, reused by later ones. Everything that a parser makes lives until the answer
// is written.
type exchange struct {
	body   []byte
	answer []byte
	scan   scanner
	batch  serve.Batch
	fields []serve.Field // of all rows, one after the other
	ends   []int         // where each row ends in fields
}

var exchanges = sync.Pool{New: func() any { return &exchange{body: make([]byte, 0, 4096), answer: make([]byte, 0, 1024)} }}

// keep is the most memory that an exchange takes back into the pool.
const keep = 1 << 20

func (x *exchange) release() {
	if cap(x.body) > keep || cap(x.answer) > keep || cap(x.fields) > keep/64 {
		return
	}
	clear(x.fields)
	clear(x.batch.Rows)
	clear(x.batch.Keys)
	exchanges.Put(x)
}

// begin prepares for a body.
func (x *exchange) begin() {
	x.scan = scanner{b: x.body}
	x.fields, x.ends = x.fields[:0], x.ends[:0]
	x.batch = serve.Batch{Rows: x.batch.Rows[:0], Keys: x.batch.Keys[:0], At: x.batch.At[:0]}
}

// rows makes the rows of the fields that were read.
func (x *exchange) rows() {
	from := 0
	for _, end := range x.ends {
		x.batch.Rows = append(x.batch.Rows, x.fields[from:end:end])
		from = end
	}
}

// parseRows reads the row form:
//
//	{"rows": [{"carrier": "AA", "distance": 1096}], "keys": ["k1"], "at": "2013-04-01T10:00:00Z", "version": 3, "id": "request-1", "explain": true}
//
// All but rows may be left out. keys has one text per row, or null to have it derived. at is one time or one per row.
func (x *exchange) parseRows() (version int, err error) {
	x.begin()
	s := &x.scan
	rows := false
	for ok := s.open('{'); ok; ok = s.more('{') {
		switch name := s.key(); name {
		case "rows":
			if rows {
				s.fail("it has rows twice")
			}
			rows = true
			for ok := s.open('['); ok; ok = s.more('[') {
				x.row()
			}
		case "keys":
			for ok := s.open('['); ok; ok = s.more('[') {
				x.batch.Keys = append(x.batch.Keys, s.optionalText("a key"))
			}
		case "at":
			if s.space() == '[' {
				for ok := s.open('['); ok; ok = s.more('[') {
					x.batch.At = append(x.batch.At, s.time())
				}
			} else if s.space() == 'n' {
				s.literal()
			} else {
				x.batch.At = append(x.batch.At, s.time())
			}
		case "version":
			s.space()
			if f := s.number(); f != math.Trunc(f) || f < 0 || f > math.MaxInt32 {
				s.fail("version is a whole number")
			} else {
				version = int(f)
			}
		case "id":
			x.batch.Request = s.optionalText("id")
		case "explain":
			x.batch.Explain = s.flag("explain")
		default:
			if s.err == nil {
				s.err = fault.New(fault.Invalid, "the request has no field %q", clip(name)).WithHint("fields are rows, keys, at, version, id and explain; values of a row belong into rows")
				s.i = len(s.b)
			}
		}
	}
	s.end()
	if s.err != nil {
		return 0, s.err
	}
	if !rows {
		return 0, fault.New(fault.Invalid, "the request has no rows").WithHint(`send {"rows": [{"column": value}]}`)
	}
	x.rows()
	return version, nil
}

// row reads one object of cells.
func (x *exchange) row() {
	s := &x.scan
	if len(x.ends) >= serve.MaxRows {
		if s.err == nil {
			s.err = fault.New(fault.TooLarge, "the request has more than %d rows", serve.MaxRows).WithHint("send them in several requests")
			s.i = len(s.b)
		}
		return
	}
	for ok := s.open('{'); ok; ok = s.more('{') {
		name := s.key()
		x.fields = append(x.fields, serve.Field{Name: name, Cell: s.cell()})
	}
	x.ends = append(x.ends, len(x.fields))
}

// cell reads a value as it is spelt.
func (s *scanner) cell() serve.Cell {
	switch s.space() {
	case '"':
		return serve.Cell{Type: serve.TextCell, Text: s.text()}
	case 't', 'f', 'n':
		switch s.literal() {
		case 't':
			return serve.Cell{Type: serve.BoolCell, Number: 1}
		case 'f':
			return serve.Cell{Type: serve.BoolCell}
		}
		return serve.Cell{}
	case '{', '[':
		s.skip()
		return serve.Cell{Type: serve.OtherCell}
	default:
		return serve.Cell{Type: serve.NumberCell, Number: s.number()}
	}
}

// optionalText reads a text or null, which is "".
func (s *scanner) optionalText(what string) string {
	switch s.space() {
	case '"':
		return s.text()
	case 'n':
		s.literal()
	default:
		s.fail("%s is a text (byte %d)", what, s.i)
	}
	return ""
}

// flag reads true, false, or null, which is false.
func (s *scanner) flag(what string) bool {
	switch s.space() {
	case 't', 'f', 'n':
		return s.literal() == 't'
	}
	s.fail("%s is true or false (byte %d)", what, s.i)
	return false
}

// time reads a time: a text that serve.ParseTime takes, or whole microseconds.
func (s *scanner) time() int64 {
	if s.space() == '"' {
		text := s.text()
		at, ok := serve.ParseTime(text)
		if !ok {
			s.fail("at is a time such as 2013-04-01T10:00:00Z, not %q", clip(text))
		}
		return at
	}
	f := s.number()
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		s.fail("at is a time such as 2013-04-01T10:00:00Z, or whole microseconds")
		return 0
	}
	return int64(f)
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// writeRows answers the row form.
func (x *exchange) writeRows(preds []serve.Prediction) {
	b := append(x.answer[:0], `{"predictions":[`...)
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
			b = appendText(b, p.Key)
		}
		b = append(b, `,"at":"`...)
		b = appendTime(b, p.At)
		if p.Signature.Task == taskMulticlass {
			b = append(b, `","scores":[`...)
			for k, v := range p.Scores {
				if k > 0 {
					b = append(b, ',')
				}
				b = appendNumber(b, v)
			}
			b = append(b, ']')
		} else {
			b = append(b, `","score":`...)
			b = appendNumber(b, p.Scores[0])
		}
		if p.Signature.Task != taskRegression {
			b = append(b, `,"label":`...)
			b = appendText(b, p.Label)
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
	x.answer = append(b, "]}\n"...)
}

// appendExplanation writes the member of a prediction that says why: lists have one number per output.
func appendExplanation(b []byte, e *serve.Explanation) []byte {
	b = appendText(append(b, `,"explanation":{"unit":`...), e.Unit)
	b = appendNumbers(append(b, `,"expected":`...), e.Expected)
	b = appendNumbers(append(b, `,"margin":`...), e.Margin)
	b = append(b, `,"contributions":{`...)
	for j, name := range e.Features {
		if j > 0 {
			b = append(b, ',')
		}
		b = appendNumbers(append(appendText(b, name), ':'), e.Contributions[j])
	}
	return append(b, "}}"...)
}

func appendNumbers(b []byte, v []float64) []byte {
	b = append(b, '[')
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, f)
	}
	return append(b, ']')
}

// Tasks of a signature.
const (
	taskBinary     = "binary"
	taskMulticlass = "multiclass"
	taskRegression = "regression"
)

func appendFlags(b []byte, name string, bits uint64, sig *registry.Signature) []byte {
	if bits == 0 {
		return b
	}
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":[`...)
	for i := 0; i < len(sig.Inputs) && i < 64; i++ {
		if bits&(1<<i) != 0 {
			b = appendText(b, sig.Inputs[i].Name)
			b = append(b, ',')
		}
	}
	b[len(b)-1] = ']'
	return append(b, ',')
}

// appendNumber writes a finite number; NaN and the infinities, which JSON does not have, become null.
func appendNumber(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

func appendTime(b []byte, us int64) []byte {
	return time.UnixMicro(us).UTC().AppendFormat(b, time.RFC3339Nano)
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string. The text is UTF-8: parsers refuse anything else.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

package feedback

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"sort"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// A record in a segment is
//
//	u32 length of the payload | u32 CRC32C of the payload | payload
//
// little-endian; the payload's first byte says what it is. Integers inside a payload are varints.
const (
	recordSchema     = 1 // a signature, before the first prediction of it in the segment
	recordPrediction = 2
	recordOutcome    = 3

	frameSize = 8
	// maxRecord bounds what a damaged length can make a reader allocate. A request body is at most 8 MiB.
	maxRecord = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// beginFrame reserves the frame of a record; endFrame fills it in once the payload is there.
func beginFrame(b []byte) ([]byte, int) {
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0), len(b)
}

func endFrame(b []byte, start int) []byte {
	payload := b[start+frameSize:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli))
	return b
}

// Flags of a prediction record.
const (
	flagRawID = 1 << iota // the id is not 32 hex digits and is stored as text
	flagKeyIsID
	flagPaired
)

// Tags of a cell.
const (
	cellNull = iota
	cellFloat
	cellInteger // a whole number, as a zigzag varint
	cellText
)

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendCell(b []byte, v table.Value, text bool) []byte {
	switch {
	case v.Null:
		return append(b, cellNull)
	case text:
		return appendText(append(b, cellText), v.S)
	case v.F == math.Trunc(v.F) && math.Abs(v.F) < 1<<53 && !(v.F == 0 && math.Signbit(v.F)):
		return binary.AppendVarint(append(b, cellInteger), int64(v.F))
	default:
		return appendFloat(append(b, cellFloat), v.F)
	}
}

// appendSchema adds the record that gives a signature its number in a segment.
func appendSchema(b []byte, number uint16, sig *registry.Signature) ([]byte, error) {
	text, err := json.Marshal(sig)
	if err != nil {
		return nil, fmt.Errorf("write a signature: %w", err)
	}
	b, start := beginFrame(b)
	b = append(b, recordSchema)
	b = binary.AppendUvarint(b, uint64(number))
	b = append(b, text...)
	return endFrame(b, start), nil
}

// appendPrediction adds the record of p, whose signature has the number schema.
func appendPrediction(b []byte, p *serve.Prediction, schema uint16) []byte {
	b, start := beginFrame(b)
	b = append(b, recordPrediction)
	b = binary.AppendUvarint(b, uint64(schema))
	var flags byte
	if !id.Valid(p.ID) {
		flags |= flagRawID
	}
	if p.Key == p.ID {
		flags |= flagKeyIsID
	}
	if p.Champion != nil {
		flags |= flagPaired
	}
	b = append(b, flags, byte(p.Arm))
	if flags&flagRawID != 0 {
		b = appendText(b, p.ID)
	} else {
		var raw [16]byte
		_, _ = hex.Decode(raw[:], []byte(p.ID)) // id.Valid has checked every digit
		b = append(b, raw[:]...)
	}
	if flags&flagKeyIsID == 0 {
		b = appendText(b, p.Key)
	}
	b = appendText(b, p.Request)
	b = binary.AppendUvarint(b, uint64(p.Row))
	b = binary.AppendVarint(b, p.At)
	b = binary.AppendVarint(b, p.Received)
	b = binary.AppendUvarint(b, uint64(p.Version))
	b = binary.AppendUvarint(b, uint64(p.Bucket))
	b = binary.AppendUvarint(b, uint64(len(p.Scores)))
	for _, s := range p.Scores {
		b = appendFloat(b, s)
	}
	if flags&flagPaired != 0 {
		b = binary.AppendUvarint(b, uint64(p.ChampionVersion))
		b = binary.AppendUvarint(b, uint64(len(p.Champion)))
		for _, s := range p.Champion {
			b = appendFloat(b, s)
		}
	}
	b = appendText(b, p.Label)
	b = binary.AppendUvarint(b, p.Missing)
	b = binary.AppendUvarint(b, p.Unseen)
	b = binary.AppendUvarint(b, p.OutOfRange)
	b = binary.AppendUvarint(b, uint64(p.LatencyUS))
	b = binary.AppendUvarint(b, uint64(len(p.Inputs)))
	for i, v := range p.Inputs {
		b = appendCell(b, v, i < len(p.Signature.Inputs) && p.Signature.Inputs[i].Kind == table.String)
	}
	return endFrame(b, start)
}

// Flags of an outcome record.
const (
	flagByID = 1 << iota
	flagHasAt
	flagHasLabel
	flagNoLabel
)

// appendOutcome adds the record of o, received at the given wall time.
func appendOutcome(b []byte, o *Outcome, received time.Time) ([]byte, error) {
	b, start := beginFrame(b)
	b = append(b, recordOutcome)
	var flags byte
	target := o.Key
	if o.PredictionID != "" {
		flags |= flagByID
		target = o.PredictionID
	} else if !o.At.IsZero() {
		flags |= flagHasAt
	}
	if o.Label != nil {
		flags |= flagHasLabel
	}
	if o.NoLabel {
		flags |= flagNoLabel
	}
	b = append(b, flags)
	b = appendText(b, target)
	if flags&flagHasAt != 0 {
		b = binary.AppendVarint(b, o.At.UnixMicro())
	}
	b = binary.AppendVarint(b, o.KnownAt.UnixMicro())
	b = binary.AppendVarint(b, received.UnixMicro())
	b = appendText(b, o.Source)
	if o.Label != nil {
		b = appendFloat(b, *o.Label)
	}
	names := make([]string, 0, len(o.Values))
	for name := range o.Values {
		names = append(names, name)
	}
	sort.Strings(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendText(b, name)
		switch v := o.Values[name].(type) {
		case nil:
			b = append(b, cellNull)
		case string:
			b = appendText(append(b, cellText), v)
		case float64:
			b = appendCell(b, table.Value{F: v}, false)
		default:
			return nil, fmt.Errorf("write an outcome: value %q is a %T", name, v)
		}
	}
	return endFrame(b, start), nil
}

// reader decodes a payload. After a fault every further read gives zero values; the caller looks at bad once.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string { return string(r.bytes(r.uvarint())) }

func (r *reader) float() float64 {
	raw := r.bytes(8)
	if raw == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(raw))
}

// count reads a number of elements that take at least size bytes each, so that a damaged count cannot ask for much memory.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) floats() []float64 {
	out := make([]float64, r.count(8))
	for i := range out {
		out[i] = r.float()
	}
	return out
}

func (r *reader) cell() table.Value {
	switch r.byte() {
	case cellFloat:
		return table.Value{F: r.float()}
	case cellInteger:
		return table.Value{F: float64(r.varint())}
	case cellText:
		return table.Value{S: r.text()}
	case cellNull:
		return table.Null
	default:
		r.bad = true
		return table.Null
	}
}

// decodeSchema reads the payload of a schema record.
func decodeSchema(payload []byte) (number uint16, sig *registry.Signature, err error) {
	r := reader{b: payload[1:]}
	n := r.uvarint()
	if r.bad || n > math.MaxUint16 {
		return 0, nil, errDamaged
	}
	sig = &registry.Signature{}
	if err := json.Unmarshal(r.b, sig); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return uint16(n), sig, nil
}

// decodePrediction reads the payload of a prediction record, all but Deployment and Signature, and the number of its signature.
func decodePrediction(payload []byte) (p serve.Prediction, schema uint16, err error) {
	r := reader{b: payload[1:]}
	number := r.uvarint()
	flags := r.byte()
	p.Arm = serve.Arm(r.byte())
	if flags&flagRawID != 0 {
		p.ID = r.text()
	} else {
		p.ID = hex.EncodeToString(r.bytes(16))
	}
	if flags&flagKeyIsID != 0 {
		p.Key = p.ID
	} else {
		p.Key = r.text()
	}
	p.Request = r.text()
	p.Row = int(r.uvarint())
	p.At = r.varint()
	p.Received = r.varint()
	p.Version = int(r.uvarint())
	p.Bucket = uint16(r.uvarint())
	p.Scores = r.floats()
	if flags&flagPaired != 0 {
		p.ChampionVersion = int(r.uvarint())
		p.Champion = r.floats()
	}
	p.Label = r.text()
	p.Missing = r.uvarint()
	p.Unseen = r.uvarint()
	p.OutOfRange = r.uvarint()
	p.LatencyUS = uint32(r.uvarint())
	p.Inputs = make([]table.Value, r.count(1))
	for i := range p.Inputs {
		p.Inputs[i] = r.cell()
	}
	if r.bad || len(r.b) != 0 || number > math.MaxUint16 {
		return serve.Prediction{}, 0, errDamaged
	}
	return p, uint16(number), nil
}

// decodeOutcome reads the payload of an outcome record.
func decodeOutcome(payload []byte) (o Outcome, received int64, err error) {
	r := reader{b: payload[1:]}
	flags := r.byte()
	target := r.text()
	if flags&flagByID != 0 {
		o.PredictionID = target
	} else {
		o.Key = target
	}
	if flags&flagHasAt != 0 {
		o.At = time.UnixMicro(r.varint()).UTC()
	}
	o.KnownAt = time.UnixMicro(r.varint()).UTC()
	received = r.varint()
	o.Source = r.text()
	if flags&flagHasLabel != 0 {
		label := r.float()
		o.Label = &label
	}
	o.NoLabel = flags&flagNoLabel != 0
	n := r.count(2)
	if n > 0 {
		o.Values = make(map[string]any, n)
	}
	for range n {
		name := r.text()
		switch tag := r.byte(); tag {
		case cellNull:
			o.Values[name] = nil
		case cellText:
			o.Values[name] = r.text()
		case cellFloat:
			o.Values[name] = r.float()
		case cellInteger:
			o.Values[name] = float64(r.varint())
		default:
			r.bad = true
		}
	}
	if r.bad || len(r.b) != 0 {
		return Outcome{}, 0, errDamaged
	}
	return o, received, nil
}

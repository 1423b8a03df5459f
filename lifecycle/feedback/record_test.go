package feedback

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

var everyKind = &registry.Signature{Inputs: []registry.Input{{Name: "n", Kind: table.Double}, {Name: "s", Kind: table.String}, {Name: "t", Kind: table.Datetime}}}

func everyField() serve.Prediction {
	return serve.Prediction{ID: id.New(), Request: "r", Row: 3, Key: "k|é", At: -5, Received: math.MaxInt64, Version: 7, Arm: serve.Canary, Bucket: 9999,
		Inputs: []table.Value{{F: -0.1}, {S: "日本"}, {F: 1364810400000000}}, Scores: []float64{0.25, math.SmallestNonzeroFloat64}, Champion: []float64{1}, ChampionVersion: 6,
		Label: "late", Missing: math.MaxUint64, Unseen: 1, OutOfRange: 1 << 63, LatencyUS: math.MaxUint32}
}

func TestRecordsReadBackAsTheyWereWritten(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.MaxFloat64, 1 << 53, -(1 << 53), math.Inf(1), 1e300} {
		p := everyField()
		p.Inputs[0].F = f
		p.Signature = everyKind
		b := appendPrediction(nil, &p, 4)
		payload, size := frame(b)
		got, number, err := decodePrediction(payload)
		if err != nil || number != 4 || size != int64(len(b)) {
			t.Fatal(number, size, err)
		}
		got.Signature = everyKind
		if d := cmp.Diff(p, got); d != "" || math.Signbit(got.Inputs[0].F) != math.Signbit(f) {
			t.Error(d)
		}
	}
	label := 0.5
	for _, o := range []Outcome{
		{PredictionID: id.New(), KnownAt: time.UnixMicro(1).UTC(), Source: "ops", Label: &label},
		{Key: "k", At: time.UnixMicro(-7).UTC(), KnownAt: time.UnixMicro(9).UTC(), Values: map[string]any{"a": nil, "b": "x", "c": 1.5, "d": -3.0}},
		{Key: "k", KnownAt: time.UnixMicro(9).UTC(), NoLabel: true},
	} {
		b, err := appendOutcome(nil, &o, time.UnixMicro(11))
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := frame(b)
		got, received, err := decodeOutcome(payload)
		if err != nil || received != 11 {
			t.Fatal(received, err)
		}
		if d := cmp.Diff(o, got); d != "" {
			t.Error(d)
		}
	}
}

// Whatever a file holds, reading it neither panics nor asks for much memory, and what is whole is read.
func FuzzSegment(f *testing.F) {
	h := header{Deployment: "d", Kind: "predictions"}
	p := everyField()
	p.Signature = everyKind
	whole, start := beginFrame(binary.LittleEndian.AppendUint16([]byte(magic), formatVersion))
	whole = endFrame(append(whole, `{"deployment":"d","kind":"predictions"}`...), start)
	whole, err := appendSchema(whole, 0, everyKind)
	if err != nil {
		f.Fatal(err)
	}
	whole = appendPrediction(whole, &p, 0)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		good, err := scan(b, h, func(_ int64, payload []byte) error {
			switch payload[0] {
			case recordSchema:
				_, _, err := decodeSchema(payload)
				return err
			case recordOutcome:
				_, _, err := decodeOutcome(payload)
				return err
			}
			_, _, err := decodePrediction(payload)
			return err
		})
		if err == nil && (good < 0 || good > int64(len(b))) {
			t.Errorf("%d of %d bytes are good", good, len(b))
		}
		if bytes.Equal(b, whole) && good != int64(len(b)) {
			t.Errorf("a whole file is good up to %d of %d", good, len(b))
		}
	})
}

// The payload decoders are behind a checksum in a file; here they are not.
func FuzzPayload(f *testing.F) {
	p := everyField()
	p.Signature = everyKind
	payload, _ := frame(appendPrediction(nil, &p, 0))
	f.Add(payload)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		if p, n, err := decodePrediction(b); err == nil && len(p.Inputs) <= len(everyKind.Inputs) {
			p.Signature = everyKind
			if again, _, err := decodePrediction(func() []byte { b, _ := frame(appendPrediction(nil, &p, n)); return b }()); err == nil && again.ID != p.ID {
				t.Errorf("%q becomes %q", p.ID, again.ID)
			}
		}
		_, _, _ = decodeOutcome(b)
		_, _, _ = decodeSchema(b)
	})
}

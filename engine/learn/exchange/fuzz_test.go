package exchange

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// fuzz starts a reader from the smaller golden models of a format, whole and cut. What it reads must predict, and what
// it does not must be a fault.
func fuzz(f *testing.F, format string, keep func(b []byte) bool, read func(b []byte) (learner.Model, *Info, error)) {
	f.Helper()
	for _, c := range goldenCases(f) {
		if b := c.file(); c.Format == format && len(b) < 9000 && keep(b) {
			f.Add(b)
			f.Add(b[:len(b)/2])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, info, err := read(b)
		if err != nil {
			if fault.CodeOf(err) == fault.Internal {
				t.Fatalf("not a fault: %v", err)
			}
			return
		}
		if info == nil || m.Features() > 1<<16 || m.Outputs() > 1<<10 {
			return
		}
		x, out := make([]float32, m.Features()), make([]float64, m.Outputs())
		m.PredictRow(x, out)
		for i := range x {
			x[i] = float32(math.NaN())
		}
		m.PredictRow(x, out)
		m.Importance()
	})
}

func FuzzLightGBM(f *testing.F) {
	fuzz(f, LightGBM, func([]byte) bool { return true }, readLightGBM)
}

func FuzzXGBoostJSON(f *testing.F) {
	fuzz(f, XGBoost, func(b []byte) bool { return !isUBJ(b) }, readXGBoost)
}

func FuzzXGBoostUBJ(f *testing.F) {
	for _, s := range []string{"{i\x01a[$Z#L\xff\xff\xff\xff\xff\xff\xff\x00}", "{i\x01a[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", "{i\x01a" + strings.Repeat("[", 1000)} {
		f.Add([]byte(s))
	}
	fuzz(f, XGBoost, isUBJ, readXGBoost)
}

// TestReadsDamagedFiles cuts every golden model in many places and changes bytes of it: an error or a model, no panic.
func TestReadsDamagedFiles(t *testing.T) {
	for _, c := range goldenCases(t) {
		b := c.file()
		step := max(1, len(b)/15)
		for at := 0; at < len(b); at += step {
			for _, damaged := range [][]byte{b[:at], append(bytes.Clone(b[:at]), b[min(len(b), at+7):]...), alter(b, at)} {
				if m, _, err := Read(damaged); err == nil {
					m.PredictRow(make([]float32, m.Features()), make([]float64, m.Outputs()))
				} else if fault.CodeOf(err) == fault.Internal {
					t.Fatalf("%s, byte %d: not a fault: %v", c.Name, at, err)
				}
			}
		}
	}
}

func alter(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x11
	return b
}

func FuzzCatBoost(f *testing.F) {
	fuzz(f, CatBoost, func([]byte) bool { return true }, readCatBoost)
}

func FuzzONNX(f *testing.F) {
	fuzz(f, ONNX, func([]byte) bool { return true }, readONNX)
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte("tree\n"))
	f.Add([]byte("{L"))
	f.Fuzz(func(t *testing.T, b []byte) { Detect(b) })
}

package tensor_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func every() []*tensor.Tensor {
	return []*tensor.Tensor{
		tensor.New([]bool{true, false}, 2), tensor.New([]uint8{1, 255}, 2), tensor.New([]uint16{1, 65535}, 2), tensor.New([]uint32{1, 1 << 31}, 2),
		tensor.New([]uint64{1, 1 << 63}, 2), tensor.New([]int8{-1, 127}, 2), tensor.New([]int16{-1, 300}, 2), tensor.New([]int32{-1, 70000}, 2),
		tensor.New([]int64{-1, 1 << 62}, 2), tensor.New([]tensor.Float16{0x3c00, 0xc000}, 2), tensor.New([]tensor.BFloat16{0x3f80, 0xc000}, 2),
		tensor.New([]float32{1.5, float32(math.Inf(-1))}, 2), tensor.New([]float64{1.5, math.MaxFloat64}, 2), tensor.New([]string{"", "a\x00ü"}, 2),
	}
}

func TestRawFormIsReadAgain(t *testing.T) {
	for _, want := range every() {
		raw := want.AppendRaw([]byte("x"))[1:]
		if len(raw) != want.RawSize() {
			t.Errorf("%s: %d bytes, RawSize says %d", want.Type(), len(raw), want.RawSize())
		}
		got, err := tensor.FromRaw(want.Type(), want.Shape, raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", want.Type(), got, err)
		}
		for _, short := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), 0)} {
			if _, err := tensor.FromRaw(want.Type(), want.Shape, short); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s of %d bytes instead of %d: %v", want.Type(), len(short), len(raw), err)
			}
		}
	}
	for _, shape := range [][]int{{1 << 62, 4}, {-1}, {math.MaxInt}} {
		if _, err := tensor.FromRaw(tensor.String, shape, make([]byte, 64)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", shape, err)
		}
		if _, err := tensor.FromRaw(tensor.FP64, shape, make([]byte, 64)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", shape, err)
		}
	}
}

// TestHalves: every half-precision number survives the way through float32, and the way back rounds to even (IEEE 754).
func TestHalves(t *testing.T) {
	for i := range 1 << 16 {
		h := tensor.Float16(i)
		f := h.Float32()
		if back := tensor.ToFloat16(f); back != h && f == f {
			t.Fatalf("%#x is %v and then %#x", i, f, back)
		}
		b := tensor.BFloat16(i)
		if back := tensor.ToBFloat16(b.Float32()); back != b && b.Float32() == b.Float32() {
			t.Fatalf("bfloat16 %#x becomes %#x", i, back)
		}
	}
	for _, test := range []struct {
		in   float32
		want tensor.Float16
	}{{1, 0x3c00}, {65504, 0x7bff}, {65520, 0x7c00}, {1 + 1.0/2048, 0x3c00}, {1 + 3.0/2048, 0x3c02}, {5.9604645e-08, 1}, {2.9802322e-08, 0}, {2.98023259e-08, 1}} {
		if got := tensor.ToFloat16(test.in); got != test.want {
			t.Errorf("%v: %#x, want %#x", test.in, got, test.want)
		}
	}
	if f := tensor.ToFloat16(float32(math.NaN())).Float32(); f == f {
		t.Error("NaN became", f)
	}
}

func TestConvert(t *testing.T) {
	ints := tensor.New([]int64{1, -2, 1 << 53}, 3)
	if got, err := ints.Convert(tensor.FP64); err != nil || !reflect.DeepEqual(got.Data, []float64{1, -2, 1 << 53}) {
		t.Error(got, err)
	}
	for _, test := range []struct {
		from *tensor.Tensor
		to   tensor.Type
		ok   bool
	}{
		{tensor.New([]float64{1, 2}, 2), tensor.Int8, true}, {tensor.New([]float64{1.5}, 1), tensor.Int64, false}, {tensor.New([]float64{300}, 1), tensor.Uint8, false},
		{tensor.New([]float64{math.NaN()}, 1), tensor.Int32, false}, {tensor.New([]float64{1e300}, 1), tensor.FP32, false}, {tensor.New([]float64{.1}, 1), tensor.FP32, true},
		{tensor.New([]int64{1<<53 + 1}, 1), tensor.FP64, false}, {tensor.New([]int64{1<<62 + 1}, 1), tensor.Uint64, true}, {tensor.New([]int32{-1}, 1), tensor.Uint64, false},
		{tensor.New([]string{"1"}, 1), tensor.FP32, false}, {tensor.New([]bool{true}, 1), tensor.FP32, true}, {tensor.New([]int64{2}, 1), tensor.Bool, false},
		{tensor.New([]uint64{1 << 63}, 1), tensor.Int64, false},
	} {
		if _, err := test.from.Convert(test.to); (err == nil) != test.ok || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%v to %s: %v", test.from.Data, test.to, err)
		}
	}
}

func TestSlice(t *testing.T) {
	for _, a := range every() {
		if got := a.Slice(1, 2); got.Len() != 1 || got.Type() != a.Type() {
			t.Errorf("%s: %v", a.Type(), got)
		}
	}
	if got := tensor.New([]int64{1, 2, 3, 4, 5, 6}, 3, 2).Slice(1, 3); !reflect.DeepEqual(got, tensor.New([]int64{3, 4, 5, 6}, 2, 2)) {
		t.Error(got)
	}
}

func TestTypesHaveTheProtocolsNames(t *testing.T) {
	for kind := tensor.Bool; kind <= tensor.String; kind++ {
		var back tensor.Type
		b, err := json.Marshal(kind)
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || back != kind || tensor.Make(kind, 2, 3).Type() != kind {
			t.Errorf("%s: %v %v", kind, back, err)
		}
	}
}

func FuzzFromRaw(f *testing.F) {
	for _, a := range every() {
		f.Add(uint8(a.Type()), 2, a.AppendRaw(nil))
	}
	f.Fuzz(func(t *testing.T, kind uint8, n int, raw []byte) {
		if kind > uint8(tensor.String) {
			return
		}
		got, err := tensor.FromRaw(tensor.Type(kind), []int{n}, raw)
		if err == nil && tensor.Type(kind) != tensor.Bool && !bytes.Equal(got.AppendRaw(nil), raw) {
			t.Errorf("%x became %x", raw, got.AppendRaw(nil))
		}
	})
}

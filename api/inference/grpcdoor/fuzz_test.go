package grpcdoor

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	pb "github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	tf "github.com/trimtab-ml/trimtab/api/inference/grpcdoor/tensorflowpb"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// FuzzRequest reads any bytes: never a panic, and what is read is what protobuf's own reader reads.
func FuzzRequest(f *testing.F) {
	seeds := []*pb.ModelInferRequest{row(1), {}, {ModelName: "m", ModelVersion: "1", Parameters: map[string]*pb.InferParameter{"a": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 1}}},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "BYTES", Shape: []int64{2}}, {Name: "y", Datatype: "FP16", Shape: []int64{1, 1}}}, RawInputContents: [][]byte{{1, 0, 0, 0, 'a', 0, 0, 0, 0}, {0, 0x3c}},
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "z"}}}}
	for _, m := range seeds {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	// Values that are not packed, and contents that come twice.
	f.Add([]byte("\x2a\x1a\x0a\x01x\x12\x05INT32\x18\x01\x18\x02\x2a\x02\x10\x05\x2a\x03\x12\x01\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q := new(inferRequest)
		if q.err = q.read(b); q.err == nil {
			want := new(pb.ModelInferRequest)
			if err := proto.Unmarshal(b, want); err != nil {
				// Parameters of inputs and outputs are not needed and not read.
				if !parametersUnread(b) {
					t.Fatalf("read what protobuf refuses: %v", err)
				}
				return
			}
			same(t, q, want)
		}
		if q.prepare() != nil {
			return
		}
		for _, c := range q.batch.Columns {
			if n, ok := tensor.Volume(c.Tensor.Shape); !ok || n != c.Tensor.Len() || c.Tensor.Type() == tensor.None || c.Tensor.RawSize() < 0 {
				t.Fatalf("%s: shape %v, %T", c.Name, c.Tensor.Shape, c.Tensor.Data)
			}
		}
	})
}

// parametersUnread tells whether only parts that are skipped can be what protobuf refuses.
func parametersUnread(b []byte) bool {
	found := false
	_ = fields(b, "", func(f *field) error {
		if f.number == 5 || f.number == 6 {
			found = true
		}
		return nil
	})
	return found
}

func same(t *testing.T, q *inferRequest, want *pb.ModelInferRequest) {
	t.Helper()
	if q.model != want.ModelName || q.version != want.ModelVersion || q.id != want.Id || len(q.inputs) != len(want.Inputs) || len(q.raw) != len(want.RawInputContents) || len(q.wanted) != len(want.Outputs) {
		t.Fatalf("%+v is not %v", q, want)
	}
	for i := range q.inputs {
		in, w := &q.inputs[i], want.Inputs[i]
		if in.name != w.Name || in.datatype != w.Datatype || len(in.shape) != len(w.Shape) || (in.contents != nil) != (w.Contents != nil) {
			t.Fatalf("input %d: %+v is not %v", i, in, w)
		}
		for k := range in.shape {
			if int64(in.shape[k]) != w.Shape[k] {
				t.Fatalf("input %d: shape %v is not %v", i, in.shape, w.Shape)
			}
		}
		if len(q.raw) > 0 || w.Contents == nil {
			continue
		}
		var made tensor.Tensor
		kind, ok := tensor.ParseType(in.datatype)
		n, fits := tensor.Volume(in.shape)
		if !ok || !fits || contentsField(kind) == 0 || readContents(&made, kind, in.shape, n, in.contents) != nil {
			continue
		}
		if diff := cmp.Diff(protoValues(kind, w.Contents), made.AppendRaw([]byte{})); diff != "" {
			t.Fatalf("input %d: %s", i, diff)
		}
	}
	for i := range q.raw {
		if !bytes.Equal(q.raw[i], want.RawInputContents[i]) {
			t.Fatalf("raw %d", i)
		}
	}
}

// protoValues is the raw form of what protobuf has read.
func protoValues(kind tensor.Type, c *pb.InferTensorContents) []byte {
	b := []byte{}
	add := func(data any, n int) {
		b = (&tensor.Tensor{Shape: []int{n}, Data: data}).AppendRaw(b)
	}
	switch kind {
	case tensor.Bool:
		add(c.BoolContents, len(c.BoolContents))
	case tensor.Int8:
		for _, v := range c.IntContents {
			b = append(b, byte(v))
		}
	case tensor.Int16:
		for _, v := range c.IntContents {
			add([]int16{int16(v)}, 1)
		}
	case tensor.Int32:
		add(c.IntContents, len(c.IntContents))
	case tensor.Int64:
		add(c.Int64Contents, len(c.Int64Contents))
	case tensor.Uint8:
		for _, v := range c.UintContents {
			b = append(b, byte(v))
		}
	case tensor.Uint16:
		for _, v := range c.UintContents {
			add([]uint16{uint16(v)}, 1)
		}
	case tensor.Uint32:
		add(c.UintContents, len(c.UintContents))
	case tensor.Uint64:
		add(c.Uint64Contents, len(c.Uint64Contents))
	case tensor.FP32:
		add(c.Fp32Contents, len(c.Fp32Contents))
	case tensor.FP64:
		add(c.Fp64Contents, len(c.Fp64Contents))
	case tensor.String:
		for _, v := range c.BytesContents {
			add([]string{string(v)}, 1)
		}
	}
	return b
}

// FuzzTensorProto makes tensors of any TensorProto: never a panic, and the way back gives the same values.
func FuzzTensorProto(f *testing.F) {
	for _, m := range []*tf.TensorProto{
		{Dtype: tf.DataType_DT_FLOAT, TensorShape: &tf.TensorShapeProto{Dim: []*tf.TensorShapeProto_Dim{{Size: 2}}}, FloatVal: []float32{1}},
		{Dtype: tf.DataType_DT_STRING, TensorShape: &tf.TensorShapeProto{}, StringVal: [][]byte{[]byte("a")}},
		{Dtype: tf.DataType_DT_HALF, TensorShape: &tf.TensorShapeProto{Dim: []*tf.TensorShapeProto_Dim{{Size: 1}}}, TensorContent: []byte{0, 0x3c}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p tf.TensorProto
		if proto.Unmarshal(b, &p) != nil {
			return
		}
		made, err := fromProto(&p)
		if err != nil {
			return
		}
		again, err := fromProto(toProto(made))
		if err != nil {
			if made.Len() == 0 {
				return
			}
			t.Fatal(err)
		}
		if !bytes.Equal(again.AppendRaw(nil), made.AppendRaw(nil)) {
			t.Fatal("another tensor came back")
		}
	})
}

// TestResponseIsProtobuf reads what is written by hand with protobuf's own reader.
func TestResponseIsProtobuf(t *testing.T) {
	for _, a := range []*answer{
		{model: "m", version: 12, id: "i", outputs: []tensor.Named{{Name: "s", Tensor: tensor.New([]string{"a", ""}, 2)}, {Name: "f", Tensor: tensor.New(make([]float64, 600), 300, 2)}, {Name: "scalar", Tensor: tensor.New([]int8{1})}}},
		{model: "", version: 1, final: true},
	} {
		var r inferResponse
		if err := r.write(a); err != nil {
			t.Fatal(err)
		}
		var got pb.ModelInferResponse
		if err := proto.Unmarshal(r.message.ReadOnlyData(), &got); err != nil {
			t.Fatal(err)
		}
		if len(r.message.ReadOnlyData()) > a.size() {
			t.Errorf("the message has %d bytes, size says %d", len(r.message.ReadOnlyData()), a.size())
		}
		if got.ModelName != a.model || got.Id != a.id || len(got.Outputs) != len(a.outputs) || len(got.RawOutputContents) != len(a.outputs) || got.Parameters["triton_final_response"].GetBoolParam() != a.final {
			t.Errorf("%v", &got)
		}
		for i, o := range a.outputs {
			if got.Outputs[i].Name != o.Name || len(got.Outputs[i].Shape) != len(o.Shape) || !bytes.Equal(got.RawOutputContents[i], o.AppendRaw(nil)) {
				t.Errorf("output %s: %v", o.Name, got.Outputs[i])
			}
		}
		r.message.Free()
	}
}

package grpcdoor

import (
	"context"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/tensorflowpb"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// tensorflow is TensorFlow Serving's PredictionService and ModelService, without the calls of tf.Example and of configuration files.
type tensorflow struct {
	tensorflowpb.UnimplementedPredictionServiceServer
	tensorflowpb.UnimplementedModelServiceServer
	door *Door
}

// servingDefault is the one signature that a version has.
const servingDefault = "serving_default"

// spec reads which version is meant.
func spec(s *tensorflowpb.ModelSpec) (name string, c serve.Choice, err error) {
	if s.GetName() == "" {
		return "", c, fault.New(fault.Invalid, "the request names no model").WithHint("model_spec.name is the name of a deployment")
	}
	if sig := s.SignatureName; sig != "" && sig != servingDefault {
		return "", c, fault.New(fault.Invalid, "%s has no signature %q", clip(s.Name), clip(sig)).WithHint("leave signature_name out, or say %s", servingDefault)
	}
	switch v := s.VersionChoice.(type) {
	case *tensorflowpb.ModelSpec_Version:
		n := v.Version.GetValue()
		if n < 1 || n > math.MaxInt32 {
			return "", c, fault.New(fault.NotFound, "%s has no version %d", clip(s.Name), n).WithHint("versions are 1, 2, 3, …")
		}
		c.Version = int(n)
	case *tensorflowpb.ModelSpec_VersionLabel:
		c.Label = v.VersionLabel
	}
	return s.Name, c, nil
}

func specOf(name string, version int) *tensorflowpb.ModelSpec {
	return &tensorflowpb.ModelSpec{Name: name, SignatureName: servingDefault, VersionChoice: &tensorflowpb.ModelSpec_Version{Version: wrapperspb.Int64(int64(version))}}
}

// Predict answers tensors by name. The outputs are those of every dialect of tensors; output_filter chooses among them.
func (tf *tensorflow) Predict(ctx context.Context, q *tensorflowpb.PredictRequest) (*tensorflowpb.PredictResponse, error) {
	d := tf.door
	name, c, err := spec(q.ModelSpec)
	if err != nil {
		return nil, err
	}
	if len(q.Inputs) == 0 || len(q.Inputs) > maxTensors {
		return nil, fault.New(fault.Invalid, "the request has %d inputs", len(q.Inputs))
	}
	infer := requests.Get().(*inferRequest)
	defer infer.release()
	names := make([]string, 0, len(q.Inputs))
	for input := range q.Inputs {
		names = append(names, input)
	}
	slices.Sort(names) // a map has no order, and errors should name the same input each time
	for _, input := range names {
		t, err := fromProto(q.Inputs[input])
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the input %q", clip(input)).With("column", clip(input))
		}
		special, err := infer.special(input, t)
		if err != nil {
			return nil, err
		}
		if !special {
			infer.columns = append(infer.columns, serve.Column{Name: input, Tensor: t})
		}
	}
	infer.batch = serve.Batch{Columns: infer.columns, Keys: infer.keys, At: infer.at}
	if err := d.choose(ctx, name, c, q.OutputFilter, &infer.batch); err != nil {
		return nil, err
	}
	a, err := d.serving.Infer(ctx, name, c, &infer.batch)
	if err != nil {
		return nil, err
	}
	outputs, err := codec.Outputs(a, q.OutputFilter)
	if err != nil {
		return nil, err
	}
	out := &tensorflowpb.PredictResponse{ModelSpec: specOf(name, a.Version), Outputs: make(map[string]*tensorflowpb.TensorProto, len(outputs))}
	for _, o := range outputs {
		out.Outputs[o.Name] = toProto(o.Tensor)
	}
	return out, nil
}

// GetModelMetadata tells what a version takes and gives, as TensorFlow's SignatureDef.
func (tf *tensorflow) GetModelMetadata(ctx context.Context, q *tensorflowpb.GetModelMetadataRequest) (*tensorflowpb.GetModelMetadataResponse, error) {
	name, c, err := spec(q.ModelSpec)
	if err != nil {
		return nil, err
	}
	if c.Label != "" {
		return nil, fault.New(fault.NotSupported, "metadata by label is not served").WithHint("name the version")
	}
	for _, f := range q.MetadataField {
		if f != "signature_def" {
			return nil, fault.New(fault.Invalid, "there is no metadata %q", clip(f)).WithHint("ask for signature_def")
		}
	}
	if len(q.MetadataField) == 0 {
		return nil, fault.New(fault.Invalid, "metadata_field is empty").WithHint("ask for signature_def")
	}
	_, sig, v, err := tf.door.find(ctx, name, choiceText(c))
	if err != nil {
		return nil, err
	}
	def := &tensorflowpb.SignatureDef{MethodName: "tensorflow/serving/predict", Inputs: infos(codec.InputFields(sig)), Outputs: infos(codec.OutputFields(sig))}
	value, err := anypb.New(&tensorflowpb.SignatureDefMap{SignatureDef: map[string]*tensorflowpb.SignatureDef{servingDefault: def}})
	if err != nil {
		return nil, err
	}
	return &tensorflowpb.GetModelMetadataResponse{ModelSpec: specOf(name, v), Metadata: map[string]*anypb.Any{"signature_def": value}}, nil
}

func choiceText(c serve.Choice) string {
	if c.Version == 0 {
		return ""
	}
	return strconv.Itoa(c.Version)
}

func infos(all []predictor.Field) map[string]*tensorflowpb.TensorInfo {
	out := make(map[string]*tensorflowpb.TensorInfo, len(all))
	for _, f := range all {
		shape := &tensorflowpb.TensorShapeProto{}
		for _, d := range f.Shape {
			shape.Dim = append(shape.Dim, &tensorflowpb.TensorShapeProto_Dim{Size: int64(d)})
		}
		out[f.Name] = &tensorflowpb.TensorInfo{Encoding: &tensorflowpb.TensorInfo_Name{Name: f.Name + ":0"}, Dtype: toDataType[f.Type], TensorShape: shape}
	}
	return out
}

// GetModelStatus tells which versions are loaded.
func (tf *tensorflow) GetModelStatus(ctx context.Context, q *tensorflowpb.GetModelStatusRequest) (*tensorflowpb.GetModelStatusResponse, error) {
	name, c, err := spec(q.ModelSpec)
	if err != nil {
		return nil, err
	}
	deployment, err := tf.door.serving.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &tensorflowpb.GetModelStatusResponse{}
	for _, v := range slices.Backward(deployment.Resident) {
		if c.Version == 0 || c.Version == v {
			out.ModelVersionStatus = append(out.ModelVersionStatus, &tensorflowpb.ModelVersionStatus{Version: int64(v),
				State: tensorflowpb.ModelVersionStatus_AVAILABLE, Status: &tensorflowpb.StatusProto{}})
		}
	}
	if len(out.ModelVersionStatus) == 0 {
		return nil, fault.New(fault.NotFound, "%s has no such version loaded", clip(name))
	}
	return out, nil
}

var toDataType = map[tensor.Type]tensorflowpb.DataType{tensor.Bool: tensorflowpb.DataType_DT_BOOL, tensor.Uint8: tensorflowpb.DataType_DT_UINT8, tensor.Uint16: tensorflowpb.DataType_DT_UINT16,
	tensor.Uint32: tensorflowpb.DataType_DT_UINT32, tensor.Uint64: tensorflowpb.DataType_DT_UINT64, tensor.Int8: tensorflowpb.DataType_DT_INT8, tensor.Int16: tensorflowpb.DataType_DT_INT16,
	tensor.Int32: tensorflowpb.DataType_DT_INT32, tensor.Int64: tensorflowpb.DataType_DT_INT64, tensor.FP16: tensorflowpb.DataType_DT_HALF, tensor.BF16: tensorflowpb.DataType_DT_BFLOAT16,
	tensor.FP32: tensorflowpb.DataType_DT_FLOAT, tensor.FP64: tensorflowpb.DataType_DT_DOUBLE, tensor.String: tensorflowpb.DataType_DT_STRING}

var fromDataType = func() map[tensorflowpb.DataType]tensor.Type {
	m := map[tensorflowpb.DataType]tensor.Type{}
	for k, v := range toDataType {
		m[v] = k
	}
	return m
}()

// toProto writes a tensor: its values in tensor_content, texts in string_val, as TensorFlow does.
func toProto(t *tensor.Tensor) *tensorflowpb.TensorProto {
	p := &tensorflowpb.TensorProto{Dtype: toDataType[t.Type()], TensorShape: &tensorflowpb.TensorShapeProto{}}
	for _, d := range t.Shape {
		p.TensorShape.Dim = append(p.TensorShape.Dim, &tensorflowpb.TensorShapeProto_Dim{Size: int64(d)})
	}
	if texts, ok := t.Data.([]string); ok {
		p.StringVal = make([][]byte, len(texts))
		for i, s := range texts {
			p.StringVal[i] = []byte(s)
		}
		return p
	}
	p.TensorContent = t.AppendRaw(make([]byte, 0, t.RawSize()))
	return p
}

// maxRepeated bounds the values of a tensor that repeats its last one.
const maxRepeated = 1 << 20

// fromProto reads a tensor from tensor_content or from the field of its type. A field with fewer values than the shape asks for repeats
// its last one, as tf.make_tensor_proto shortens constants.
func fromProto(p *tensorflowpb.TensorProto) (*tensor.Tensor, error) {
	kind, ok := fromDataType[p.GetDtype()]
	if !ok {
		return nil, fault.New(fault.Invalid, "the dtype %s is not served", p.GetDtype())
	}
	if p.TensorShape.GetUnknownRank() || len(p.TensorShape.GetDim()) > maxDimensions {
		return nil, fault.New(fault.Invalid, "the tensor has no shape, or more than %d dimensions", maxDimensions)
	}
	shape := []int{}
	for _, d := range p.TensorShape.GetDim() {
		if d.GetSize() < 0 || d.GetSize() > math.MaxInt32 {
			return nil, fault.New(fault.Invalid, "the shape has the size %d", d.GetSize())
		}
		shape = append(shape, int(d.GetSize()))
	}
	n, ok := tensor.Volume(shape)
	if !ok {
		return nil, fault.New(fault.Invalid, "the impossible shape %v", shape)
	}
	if len(p.TensorContent) > 0 {
		if kind == tensor.String {
			return nil, fault.New(fault.Invalid, "texts do not travel in tensor_content").WithHint("send them in string_val")
		}
		return tensor.FromRaw(kind, shape, p.TensorContent)
	}
	if n > maxRepeated && n > len(p.FloatVal)+len(p.DoubleVal)+len(p.IntVal)+len(p.StringVal)+len(p.Int64Val)+len(p.BoolVal)+len(p.HalfVal)+len(p.Uint32Val)+len(p.Uint64Val) {
		return nil, fault.New(fault.TooLarge, "the shape %v repeats a value more than %d times", shape, maxRepeated).WithHint("send tensor_content")
	}
	t := &tensor.Tensor{Shape: shape}
	var err error
	switch kind {
	case tensor.FP32:
		t.Data, err = repeated(p.FloatVal, n, func(v float32) (float32, bool) { return v, true })
	case tensor.FP64:
		t.Data, err = repeated(p.DoubleVal, n, func(v float64) (float64, bool) { return v, true })
	case tensor.Int8:
		t.Data, err = repeated(p.IntVal, n, narrow[int8])
	case tensor.Int16:
		t.Data, err = repeated(p.IntVal, n, narrow[int16])
	case tensor.Int32:
		t.Data, err = repeated(p.IntVal, n, narrow[int32])
	case tensor.Uint8:
		t.Data, err = repeated(p.IntVal, n, narrow[uint8])
	case tensor.Uint16:
		t.Data, err = repeated(p.IntVal, n, narrow[uint16])
	case tensor.Int64:
		t.Data, err = repeated(p.Int64Val, n, func(v int64) (int64, bool) { return v, true })
	case tensor.Uint32:
		t.Data, err = repeated(p.Uint32Val, n, func(v uint32) (uint32, bool) { return v, true })
	case tensor.Uint64:
		t.Data, err = repeated(p.Uint64Val, n, func(v uint64) (uint64, bool) { return v, true })
	case tensor.Bool:
		t.Data, err = repeated(p.BoolVal, n, func(v bool) (bool, bool) { return v, true })
	case tensor.FP16:
		t.Data, err = repeated(p.HalfVal, n, func(v int32) (tensor.Float16, bool) { return tensor.Float16(v), v >= 0 && v <= math.MaxUint16 })
	case tensor.BF16:
		t.Data, err = repeated(p.HalfVal, n, func(v int32) (tensor.BFloat16, bool) { return tensor.BFloat16(v), v >= 0 && v <= math.MaxUint16 })
	case tensor.String:
		t.Data, err = repeated(p.StringVal, n, func(v []byte) (string, bool) { return text(v), true })
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func narrow[T int8 | int16 | int32 | uint8 | uint16](v int32) (T, bool) {
	x := T(v)
	return x, int32(x) == v
}

// repeated makes n values of those that are there. None at all where some are asked for is refused: they may stand in the field of
// another type, and zeros would be an answer to another question.
func repeated[T, S any](from []S, n int, convert func(S) (T, bool)) ([]T, error) {
	if len(from) > n {
		return nil, fault.New(fault.Invalid, "the tensor has %d values; its shape asks for %d", len(from), n)
	}
	if len(from) == 0 && n > 0 {
		return nil, fault.New(fault.Invalid, "the field of the tensor's dtype is empty; its shape asks for %d values", n)
	}
	out := make([]T, n)
	for i := range out {
		if i >= len(from) {
			out[i] = out[len(from)-1]
			continue
		}
		v, ok := convert(from[i])
		if !ok {
			return nil, fault.New(fault.Invalid, "value %d does not fit its dtype", i).With("row", i)
		}
		out[i] = v
	}
	return out, nil
}

package grpcdoor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	pb "github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	tf "github.com/trimtab-ml/trimtab/api/inference/grpcdoor/tensorflowpb"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// flights is a service with one deployment: the positive's probability of a row is its column "distance" divided by a thousand.
type flights struct {
	fail    error
	panics  bool
	last    atomic.Pointer[serve.Batch]
	choice  serve.Choice
	wait    time.Duration
	unready bool
}

var signature = &registry.Signature{Task: "binary", Classes: []string{"no", "yes"}, Positive: "yes", Features: []string{"distance", "carrier"},
	Inputs: []registry.Input{{Name: "distance", Kind: table.Double}, {Name: "carrier", Kind: table.String, Nullable: true}, {Name: "leaves", Kind: table.Datetime}}}

func (f *flights) Infer(ctx context.Context, deployment string, c serve.Choice, b *serve.Batch) (*serve.Answer, error) {
	if f.panics {
		panic("a defect")
	}
	if f.fail != nil {
		return nil, f.fail
	}
	if deployment != "late" {
		return nil, fault.New(fault.NotFound, "there is no deployment %q", deployment)
	}
	if f.wait > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.choice = c
	kept := *b
	kept.Columns, kept.Keys, kept.At, kept.Wanted = slices.Clone(b.Columns), slices.Clone(b.Keys), slices.Clone(b.At), slices.Clone(b.Wanted)
	kept.Request = strings.Clone(b.Request) // texts live as long as the request
	for _, texts := range [][]string{kept.Keys, kept.Wanted} {
		for i := range texts {
			texts[i] = strings.Clone(texts[i])
		}
	}
	for i := range kept.Columns {
		kept.Columns[i].Name, kept.Columns[i].Kind = strings.Clone(kept.Columns[i].Name), strings.Clone(kept.Columns[i].Kind)
	}
	f.last.Store(&kept)
	a := &serve.Answer{Deployment: deployment, Version: 3, Signature: signature}
	for _, col := range b.Columns {
		if col.Name != "distance" {
			continue
		}
		for i := range col.Tensor.Rows() {
			v, ok := col.Tensor.Number(i)
			if !ok {
				return nil, fault.New(fault.Invalid, "row %d, column %q: expected a number", i, col.Name).WithHint("send numbers")
			}
			a.Predictions = append(a.Predictions, serve.Prediction{ID: fmt.Sprintf("id-%d", i), Version: 3, Signature: signature, Scores: []float64{v / 1000}, Label: "yes"})
		}
	}
	if len(a.Predictions) == 0 {
		return nil, fault.New(fault.Invalid, "the request has no rows")
	}
	return a, nil
}

func (f *flights) Get(_ context.Context, name string) (*serve.Deployment, error) {
	if name != "late" {
		return nil, fault.New(fault.NotFound, "there is no deployment %q", name)
	}
	return &serve.Deployment{Name: name, Model: "late", Resident: []int{2, 3}, State: serve.StateReady}, nil
}

func (f *flights) List(ctx context.Context) ([]serve.Deployment, error) {
	d, err := f.Get(ctx, "late")
	return []serve.Deployment{*d}, err
}

func (f *flights) Signature(_ context.Context, deployment string, version int) (*registry.Signature, int, error) {
	switch {
	case deployment != "late" || version != 0 && version != 2 && version != 3:
		return nil, 0, fault.New(fault.NotFound, "%s has no version %d loaded", deployment, version)
	case f.unready:
		return nil, 0, fault.New(fault.Unavailable, "it does not load")
	case version == 0:
		version = 3
	}
	return signature, version, nil
}

func (f *flights) Statistics(name string, version int) (serve.Statistics, error) {
	return serve.Statistics{Name: name, Version: version, InferenceCount: 7, Success: serve.Duration{Count: 5, NS: 50}, Batches: map[int64]serve.Duration{1: {Count: 4, NS: 8}}}, nil
}

func (f *flights) Repository(context.Context) ([]serve.RepositoryModel, error) {
	return []serve.RepositoryModel{{Name: "late", Version: "3", State: serve.RepositoryReady}, {Name: "other", State: serve.RepositoryUnavailable, Reason: "not loaded"}}, nil
}

func (f *flights) LoadModel(_ context.Context, name string) error {
	if name != "late" {
		return fault.New(fault.NotFound, "failed to load %q", name)
	}
	return nil
}

func (f *flights) UnloadModel(context.Context, string) error { return nil }

type running struct {
	*flights
	door    *Door
	metrics *prometheus.Registry
	conn    *grpc.ClientConn
	oip     pb.GRPCInferenceServiceClient
}

func run(t testing.TB, cfg route.Config, options ...grpc.DialOption) *running {
	t.Helper()
	cfg.Metrics = prometheus.NewRegistry()
	f := &flights{}
	d := Register(route.New(cfg), f, codec.Options{Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
	})
	return &running{flights: f, door: d, metrics: cfg.Metrics, conn: conn, oip: pb.NewGRPCInferenceServiceClient(conn)}
}

// outputs reads the raw outputs of a response.
func outputs(t testing.TB, r *pb.ModelInferResponse) map[string]any {
	t.Helper()
	got := map[string]any{}
	if len(r.Outputs) != len(r.RawOutputContents) {
		t.Fatalf("%d outputs, %d raw contents", len(r.Outputs), len(r.RawOutputContents))
	}
	for i, o := range r.Outputs {
		kind, ok := tensor.ParseType(o.Datatype)
		if !ok || o.Contents != nil {
			t.Fatalf("output %s: %s, contents %v", o.Name, o.Datatype, o.Contents)
		}
		var shape []int
		for _, d := range o.Shape {
			shape = append(shape, int(d))
		}
		v, err := tensor.FromRaw(kind, shape, r.RawOutputContents[i])
		if err != nil {
			t.Fatal(err)
		}
		got[o.Name] = v.Data
	}
	return got
}

func row(distance float64) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: "late", Id: "r1", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		{Name: "distance", Datatype: "FP64", Shape: []int64{1}, Contents: &pb.InferTensorContents{Fp64Contents: []float64{distance}}},
		{Name: "carrier", Datatype: "BYTES", Shape: []int64{1, 1}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("UA")}}}}}
}

func TestModelInferAnswersRaw(t *testing.T) {
	s := run(t, route.Config{})
	r, err := s.oip.ModelInfer(t.Context(), row(250))
	if err != nil {
		t.Fatal(err)
	}
	if r.ModelName != "late" || r.ModelVersion != "3" || r.Id != "r1" {
		t.Errorf("%q %q %q", r.ModelName, r.ModelVersion, r.Id)
	}
	want := map[string]any{"probabilities": []float64{0.75, 0.25}, "label": []string{"yes"}, "prediction_id": []string{"id-0"}, "version": []int64{3}}
	if diff := cmp.Diff(want, outputs(t, r)); diff != "" {
		t.Error(diff)
	}
	if b := s.last.Load(); len(b.Columns) != 2 || b.Columns[1].Name != "carrier" || b.Request != "r1" {
		t.Errorf("%+v", b)
	}
}

func TestEveryDatatypeTypedAndRaw(t *testing.T) {
	half := []tensor.Float16{0x3c00, 0x4000} // 1 and 2 in IEEE 754 binary16
	for _, c := range []struct {
		kind     tensor.Type
		data     any
		contents *pb.InferTensorContents // nil = only raw
	}{
		{tensor.Bool, []bool{true, false}, &pb.InferTensorContents{BoolContents: []bool{true, false}}},
		{tensor.Int8, []int8{-128, 127}, &pb.InferTensorContents{IntContents: []int32{-128, 127}}},
		{tensor.Int16, []int16{-1, 300}, &pb.InferTensorContents{IntContents: []int32{-1, 300}}},
		{tensor.Int32, []int32{math.MinInt32, 5}, &pb.InferTensorContents{IntContents: []int32{math.MinInt32, 5}}},
		{tensor.Int64, []int64{math.MinInt64, 5}, &pb.InferTensorContents{Int64Contents: []int64{math.MinInt64, 5}}},
		{tensor.Uint8, []uint8{0, 255}, &pb.InferTensorContents{UintContents: []uint32{0, 255}}},
		{tensor.Uint16, []uint16{0, 65535}, &pb.InferTensorContents{UintContents: []uint32{0, 65535}}},
		{tensor.Uint32, []uint32{0, math.MaxUint32}, &pb.InferTensorContents{UintContents: []uint32{0, math.MaxUint32}}},
		{tensor.Uint64, []uint64{0, math.MaxUint64}, &pb.InferTensorContents{Uint64Contents: []uint64{0, math.MaxUint64}}},
		{tensor.FP16, half, nil},
		{tensor.BF16, []tensor.BFloat16{0x3f80, 0x4000}, nil},
		{tensor.FP32, []float32{1.5, -2}, &pb.InferTensorContents{Fp32Contents: []float32{1.5, -2}}},
		{tensor.FP64, []float64{1.5, -2}, &pb.InferTensorContents{Fp64Contents: []float64{1.5, -2}}},
		{tensor.String, []string{"", "é\x00"}, &pb.InferTensorContents{BytesContents: [][]byte{nil, []byte("é\x00")}}},
	} {
		in := &tensor.Tensor{Shape: []int{2, 1}, Data: c.data}
		forms := map[string]*pb.ModelInferRequest{"raw": {Inputs: []*pb.ModelInferRequest_InferInputTensor{{}}, RawInputContents: [][]byte{in.AppendRaw(nil)}}}
		if c.contents != nil {
			forms["typed"] = &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Contents: c.contents}}}
		}
		for form, m := range forms {
			m.Inputs[0].Name, m.Inputs[0].Datatype, m.Inputs[0].Shape = "x", c.kind.String(), []int64{2, 1}
			q := readMessage(t, m)
			if err := q.prepare(); err != nil {
				t.Errorf("%s %s: %v", c.kind, form, err)
				continue
			}
			if diff := cmp.Diff(in, q.batch.Columns[0].Tensor); diff != "" {
				t.Errorf("%s %s: %s", c.kind, form, diff)
			}
		}
	}
}

func readMessage(t testing.TB, m proto.Message) *inferRequest {
	t.Helper()
	q := new(inferRequest)
	q.err = q.read(marshal(t, m))
	return q
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParametersAndRowTensors(t *testing.T) {
	s := run(t, route.Config{})
	text := func(v string) *pb.InferParameter {
		return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: v}}
	}
	number := func(v int64) *pb.InferParameter {
		return &pb.InferParameter{ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: v}}
	}
	q := row(250)
	q.ModelVersion = "2"
	q.Parameters = map[string]*pb.InferParameter{"key": text("UA|1"), "at": text("2013-04-01T10:00:00Z"), "priority": number(1), "temperature": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 0.5}},
		"seed": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 9}}, "explain": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}, "sequence_id": number(4), "timeout": number(5_000_000)}
	q.Inputs[1].Parameters = map[string]*pb.InferParameter{"content_type": text("str")}
	q.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "arm"}, {Name: "version"}}
	r, err := s.oip.ModelInfer(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"arm": []string{"champion"}, "version": []int64{3}}, outputs(t, r)); diff != "" {
		t.Error(diff)
	}
	if r.Outputs[0].Name != "arm" {
		t.Error("outputs do not come in the order of the request")
	}
	b := s.last.Load()
	want := &serve.Batch{Request: "r1", Keys: []string{"UA|1"}, At: []int64{1364810400000000}, Explain: true, Priority: 1, Params: map[string]any{"temperature": 0.5, "seed": uint64(9)}}
	got := *b
	got.Columns = nil
	if diff := cmp.Diff(want, &got, cmpopts.IgnoreFields(serve.Batch{}, "Header")); diff != "" {
		t.Error(diff)
	}
	if s.choice.Version != 2 || b.Columns[1].Kind != "str" {
		t.Errorf("%+v %+v", s.choice, b.Columns[1])
	}

	q = row(1)
	q.Inputs = append(q.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: "trimtab_key", Datatype: "BYTES", Shape: []int64{1}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("k")}}},
		&pb.ModelInferRequest_InferInputTensor{Name: "trimtab_at", Datatype: "INT64", Shape: []int64{1}, Contents: &pb.InferTensorContents{Int64Contents: []int64{7}}})
	if _, err := s.oip.ModelInfer(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if b := s.last.Load(); len(b.Columns) != 2 || b.Keys[0] != "k" || b.At[0] != 7 {
		t.Errorf("%+v", b)
	}
}

// TestClassification asks for the greatest classes of an output, as Triton's extension has it.
func TestClassification(t *testing.T) {
	s := run(t, route.Config{})
	q := row(250)
	q.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "version"}, {Name: "probabilities", Parameters: map[string]*pb.InferParameter{"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}}}}}
	r, err := s.oip.ModelInfer(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"version": []int64{3}, "probabilities": []string{"0.750000:0:no"}}, outputs(t, r)); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesAreTheCallers(t *testing.T) {
	s := run(t, route.Config{})
	change := func(f func(*pb.ModelInferRequest)) *pb.ModelInferRequest {
		q := row(1)
		f(q)
		return q
	}
	for name, c := range map[string]struct {
		q    *pb.ModelInferRequest
		code codes.Code
		text string
	}{
		"unknown model":     {change(func(q *pb.ModelInferRequest) { q.ModelName = "nobody" }), codes.NotFound, "nobody"},
		"no model":          {change(func(q *pb.ModelInferRequest) { q.ModelName = "" }), codes.InvalidArgument, "names no model"},
		"version no number": {change(func(q *pb.ModelInferRequest) { q.ModelVersion = "x" }), codes.NotFound, "versions are 1, 2, 3"},
		"no inputs":         {change(func(q *pb.ModelInferRequest) { q.Inputs = nil }), codes.InvalidArgument, "no inputs"},
		"unknown datatype":  {change(func(q *pb.ModelInferRequest) { q.Inputs[0].Datatype = "FP65" }), codes.InvalidArgument, `"FP65"`},
		"negative size":     {change(func(q *pb.ModelInferRequest) { q.Inputs[0].Shape = []int64{-1} }), codes.InvalidArgument, "-1"},
		"too many values":   {change(func(q *pb.ModelInferRequest) { q.Inputs[0].Contents.Fp64Contents = []float64{1, 2} }), codes.InvalidArgument, "more values than"},
		"too few values":    {change(func(q *pb.ModelInferRequest) { q.Inputs[0].Shape = []int64{2} }), codes.InvalidArgument, "asks for 2 values"},
		"huge shape":        {change(func(q *pb.ModelInferRequest) { q.Inputs[0].Shape = []int64{1 << 30, 1 << 30, 1 << 30} }), codes.InvalidArgument, "shape"},
		"wrong field": {change(func(q *pb.ModelInferRequest) {
			q.Inputs[0].Contents = &pb.InferTensorContents{Fp32Contents: []float32{1, 2}}
		}), codes.InvalidArgument, "fp32_contents"},
		"narrow type": {change(func(q *pb.ModelInferRequest) {
			q.Inputs[0].Datatype, q.Inputs[0].Contents = "INT8", &pb.InferTensorContents{IntContents: []int32{200}}
		}), codes.InvalidArgument, "200"},
		"half typed":  {change(func(q *pb.ModelInferRequest) { q.Inputs[0].Datatype = "FP16" }), codes.InvalidArgument, "raw_input_contents"},
		"raw of some": {change(func(q *pb.ModelInferRequest) { q.RawInputContents = [][]byte{{1}} }), codes.InvalidArgument, "2 inputs and 1 raw"},
		"unknown output": {change(func(q *pb.ModelInferRequest) {
			q.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "nope"}}
		}), codes.InvalidArgument, "outputs are probabilities"},
		"parameter": {change(func(q *pb.ModelInferRequest) {
			q.Parameters = map[string]*pb.InferParameter{"explain": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}}}
		}), codes.InvalidArgument, "true or false"},
		"text for a number": {change(func(q *pb.ModelInferRequest) {
			q.Inputs[0].Datatype, q.Inputs[0].Contents = "BYTES", &pb.InferTensorContents{BytesContents: [][]byte{[]byte("x")}}
		}), codes.InvalidArgument, `row 0, column "distance"`},
	} {
		_, err := s.oip.ModelInfer(t.Context(), c.q)
		if st := status.Convert(err); st.Code() != c.code || !strings.Contains(st.Message(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGarbage sends what is no message: the caller hears InvalidArgument, compressed or not, to methods read by hand and by protobuf.
func TestGarbage(t *testing.T) {
	s := run(t, route.Config{}, grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	for _, method := range []string{"/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelMetadata", "/tensorflow.serving.PredictionService/Predict", "/grpc.health.v1.Health/Check"} {
		for _, m := range []string{"\xff", "\x0a\xff\xff\xff\xff\x0f", "\x0a\x05ab", "\x2a\x03\x0a\xff\xff", "\x0a\x01\xff"} {
			if m[0] == '\x2a' && !strings.HasSuffix(method, "/ModelInfer") {
				continue // a field that other messages do not have
			}
			for _, compressed := range []bool{false, true} {
				var options []grpc.CallOption
				if compressed {
					options = append(options, grpc.UseCompressor("gzip"))
				}
				in, out := []byte(m), []byte(nil)
				if code := status.Code(s.conn.Invoke(t.Context(), method, &in, &out, options...)); code != codes.InvalidArgument {
					t.Errorf("%s %q compressed %v: %s", method, m, compressed, code)
				}
			}
		}
	}
	big := make([]byte, codec.DefaultMaxBody+1)
	out := []byte(nil)
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		if code := status.Code(s.conn.Invoke(t.Context(), "/inference.GRPCInferenceService/ModelInfer", &big, &out, options...)); code != codes.ResourceExhausted {
			t.Errorf("too large: %s", code)
		}
	}
	if code := status.Code(s.conn.Invoke(t.Context(), "/inference.GRPCInferenceService/Nothing", &out, &out)); code != codes.Unimplemented {
		t.Errorf("unknown method: %s", code)
	}
}

// TestGzipThatDoesNotInflate: grpc-go's compressor would make it the server's failure.
func TestGzipThatDoesNotInflate(t *testing.T) {
	for _, m := range []string{"", "no gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xffgarbage"} {
		r, err := compressor.Decompress(strings.NewReader(m))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || new(inferRequest).read(b) == nil || proto.Unmarshal(b, &pb.ModelReadyRequest{}) == nil {
			t.Errorf("%q: %q %v", m, b, err)
		}
	}
}

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = slices.Clone(b)
	return nil
}
func (rawCodec) Name() string { return "proto" }

var _ encoding.Codec = rawCodec{}

func TestCompressionBothWays(t *testing.T) {
	s := run(t, route.Config{}, grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	for range 3 { // readers and writers are used again
		r, err := s.oip.ModelInfer(t.Context(), row(500))
		if err != nil {
			t.Fatal(err)
		}
		if got := outputs(t, r)["probabilities"]; !cmp.Equal(got, []float64{0.5, 0.5}) {
			t.Error(got)
		}
	}
}

func TestStatusOfFaults(t *testing.T) {
	s := run(t, route.Config{})
	for code, want := range statuses {
		s.fail = fault.New(code, "so it is").WithHint("do that")
		_, err := s.oip.ModelInfer(t.Context(), row(1))
		if status.Code(err) != want {
			t.Errorf("%s: %v", code, err)
		}
		if told := strings.Contains(err.Error(), "so it is; do that"); told == (code == fault.Internal) {
			t.Errorf("%s: %v", code, err)
		}
	}
	s.fail = errors.New("secret path /etc")
	if _, err := s.oip.ModelInfer(t.Context(), row(1)); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	s.fail = context.DeadlineExceeded
	if _, err := s.oip.ModelInfer(t.Context(), row(1)); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	s.fail, s.panics = nil, true
	if _, err := s.oip.ModelInfer(t.Context(), row(1)); status.Code(err) != codes.Internal {
		t.Error(err)
	}
	s.panics, s.wait = false, time.Hour
	q := row(1)
	q.Parameters = map[string]*pb.InferParameter{"timeout": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1000}}}
	if _, err := s.oip.ModelInfer(t.Context(), q); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

func TestStream(t *testing.T) {
	s := run(t, route.Config{})
	stream, err := s.oip.ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := row(2)
	bad.ModelName = "nobody"
	for i, q := range []*pb.ModelInferRequest{row(250), bad, row(750)} {
		if err := stream.Send(q); err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if !strings.Contains(r.ErrorMessage, "nobody") || r.InferResponse.Id != "r1" {
				t.Errorf("%v", r)
			}
			continue
		}
		if r.ErrorMessage != "" || !r.InferResponse.Parameters["triton_final_response"].GetBoolParam() {
			t.Errorf("%v", r)
		}
		if got := outputs(t, r.InferResponse)["label"]; !cmp.Equal(got, []string{"yes"}) {
			t.Error(got)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestControl(t *testing.T) {
	s := run(t, route.Config{})
	ctx := t.Context()
	meta, err := s.oip.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "late"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(meta.Versions, []string{"2", "3"}) || meta.Inputs[0].Datatype != "FP64" || meta.Inputs[2].Datatype != "BYTES" || meta.Outputs[0].Name != "probabilities" || !slices.Equal(meta.Outputs[0].Shape, []int64{-1, 2}) {
		t.Errorf("%v", meta)
	}
	config, err := s.oip.ModelConfig(ctx, &pb.ModelConfigRequest{Name: "late"})
	if err != nil || config.Config.MaxBatchSize != serve.MaxRows || config.Config.Input[0].DataType != pb.DataType_TYPE_FP64 || !slices.Equal(config.Config.Input[0].Dims, []int64{1}) {
		t.Errorf("%v %v", config, err)
	}
	stats, err := s.oip.ModelStatistics(ctx, &pb.ModelStatisticsRequest{})
	if err != nil || len(stats.ModelStats) != 2 || stats.ModelStats[0].InferenceStats.Success.Count != 5 || stats.ModelStats[1].BatchStats[0].BatchSize != 1 {
		t.Errorf("%v %v", stats, err)
	}
	for name, want := range map[string]bool{"late": true, "nobody": false} {
		if r, err := s.oip.ModelReady(ctx, &pb.ModelReadyRequest{Name: name}); err != nil || r.Ready != want {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
	all, err := s.oip.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{})
	if err != nil || len(all.Models) != 2 || all.Models[1].State != "UNAVAILABLE" {
		t.Errorf("%v %v", all, err)
	}
	if ready, err := s.oip.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{Ready: true}); err != nil || len(ready.Models) != 1 {
		t.Errorf("%v %v", ready, err)
	}
	if _, err := s.oip.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "nobody"}); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "failed to load") {
		t.Error(err)
	}
	for name, load := range map[string]*pb.ModelRepositoryParameter{"config": {}, "file:1/model.onnx": {}} {
		_, err := s.oip.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "late", Parameters: map[string]*pb.ModelRepositoryParameter{name: load}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.oip.SystemSharedMemoryRegister(ctx, &pb.SystemSharedMemoryRegisterRequest{Name: "x", Key: "/x"}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	if r, err := s.oip.TraceSetting(ctx, &pb.TraceSettingRequest{}); err != nil || r.Settings["trace_level"].Value[0] != "OFF" {
		t.Errorf("%v %v", r, err)
	}
}

func TestHealth(t *testing.T) {
	s := run(t, route.Config{})
	c := healthpb.NewHealthClient(s.conn)
	for name, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{"": healthpb.HealthCheckResponse_SERVING, "late": healthpb.HealthCheckResponse_SERVING, "inference.GRPCInferenceService": healthpb.HealthCheckResponse_SERVING} {
		if r, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name}); err != nil || r.Status != want {
			t.Errorf("%q: %v %v", name, r, err)
		}
	}
	if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if r, err := c.List(t.Context(), &healthpb.HealthListRequest{}); err != nil || len(r.Statuses) != 2 {
		t.Errorf("%v %v", r, err)
	}
	w, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "late"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.Recv(); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v %v", r, err)
	}
}

func TestTensorFlowServing(t *testing.T) {
	s := run(t, route.Config{})
	c := tf.NewPredictionServiceClient(s.conn)
	shape := func(sizes ...int64) *tf.TensorShapeProto {
		p := &tf.TensorShapeProto{}
		for _, d := range sizes {
			p.Dim = append(p.Dim, &tf.TensorShapeProto_Dim{Size: d})
		}
		return p
	}
	content := tensor.New([]float32{250, 750}, 2).AppendRaw(nil)
	for name, in := range map[string]*tf.TensorProto{
		"content": {Dtype: tf.DataType_DT_FLOAT, TensorShape: shape(2), TensorContent: content},
		"values":  {Dtype: tf.DataType_DT_DOUBLE, TensorShape: shape(2, 1), DoubleVal: []float64{250, 750}},
		"half":    {Dtype: tf.DataType_DT_HALF, TensorShape: shape(2), HalfVal: []int32{0x5bd0, 0x61dc}}, // 250 and 750 in binary16
		"int8":    {Dtype: tf.DataType_DT_INT16, TensorShape: shape(2), IntVal: []int32{250, 750}},
	} {
		r, err := c.Predict(t.Context(), &tf.PredictRequest{ModelSpec: &tf.ModelSpec{Name: "late", SignatureName: "serving_default", VersionChoice: &tf.ModelSpec_Version{Version: wrapperspb.Int64(2)}},
			Inputs: map[string]*tf.TensorProto{"distance": in}, OutputFilter: []string{"probabilities", "label"}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := r.Outputs["probabilities"]
		got, err := tensor.FromRaw(tensor.FP64, []int{2, 2}, p.TensorContent)
		if err != nil || p.Dtype != tf.DataType_DT_DOUBLE || !cmp.Equal(got.Data, []float64{0.75, 0.25, 0.25, 0.75}) || string(r.Outputs["label"].StringVal[1]) != "yes" || len(r.Outputs) != 2 {
			t.Errorf("%s: %v %v", name, r, err)
		}
		if r.ModelSpec.GetVersion().GetValue() != 3 || s.choice.Version != 2 {
			t.Errorf("%s: %v", name, r.ModelSpec)
		}
	}
	// One value stands for all, and texts travel in string_val.
	_, err := c.Predict(t.Context(), &tf.PredictRequest{ModelSpec: &tf.ModelSpec{Name: "late", VersionChoice: &tf.ModelSpec_VersionLabel{VersionLabel: "stable"}}, Inputs: map[string]*tf.TensorProto{
		"distance": {Dtype: tf.DataType_DT_DOUBLE, TensorShape: shape(3), DoubleVal: []float64{7}}, "carrier": {Dtype: tf.DataType_DT_STRING, TensorShape: shape(3), StringVal: [][]byte{[]byte("UA"), []byte("B6")}}}})
	if err != nil || s.choice.Label != "stable" {
		t.Fatal(err, s.choice)
	}
	if b := s.last.Load(); !cmp.Equal(b.Columns[0].Tensor.Data, []string{"UA", "B6", "B6"}) || !cmp.Equal(b.Columns[1].Tensor.Data, []float64{7, 7, 7}) {
		t.Errorf("%v %v", b.Columns[0].Tensor, b.Columns[1].Tensor)
	}
	for name, in := range map[string]*tf.TensorProto{
		"bytes of another shape": {Dtype: tf.DataType_DT_FLOAT, TensorShape: shape(3), TensorContent: content},
		"another field":          {Dtype: tf.DataType_DT_FLOAT, TensorShape: shape(1), DoubleVal: []float64{1}},
		"too wide":               {Dtype: tf.DataType_DT_INT8, TensorShape: shape(1), IntVal: []int32{300}},
		"complex":                {Dtype: 8, TensorShape: shape(1)},
		"negative":               {Dtype: tf.DataType_DT_FLOAT, TensorShape: shape(-1), FloatVal: []float32{1}},
		"repeated too often":     {Dtype: tf.DataType_DT_FLOAT, TensorShape: shape(1 << 30), FloatVal: []float32{1}},
		"nothing":                nil,
	} {
		_, err := c.Predict(t.Context(), &tf.PredictRequest{ModelSpec: &tf.ModelSpec{Name: "late"}, Inputs: map[string]*tf.TensorProto{"distance": in}})
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.ResourceExhausted {
			t.Errorf("%s: %v", name, err)
		}
	}
	meta, err := c.GetModelMetadata(t.Context(), &tf.GetModelMetadataRequest{ModelSpec: &tf.ModelSpec{Name: "late"}, MetadataField: []string{"signature_def"}})
	if err != nil {
		t.Fatal(err)
	}
	var defs tf.SignatureDefMap
	if err := meta.Metadata["signature_def"].UnmarshalTo(&defs); err != nil || defs.SignatureDef["serving_default"].Inputs["distance"].Dtype != tf.DataType_DT_DOUBLE {
		t.Errorf("%v %v", &defs, err)
	}
	st, err := tf.NewModelServiceClient(s.conn).GetModelStatus(t.Context(), &tf.GetModelStatusRequest{ModelSpec: &tf.ModelSpec{Name: "late"}})
	if err != nil || len(st.ModelVersionStatus) != 2 || st.ModelVersionStatus[0].Version != 3 || st.ModelVersionStatus[0].State != tf.ModelVersionStatus_AVAILABLE {
		t.Errorf("%v %v", st, err)
	}
}

func TestGuardAndCounts(t *testing.T) {
	s := run(t, route.Config{Token: "sesame-sesame-sesame"})
	health := healthpb.NewHealthClient(s.conn)
	with := func(md ...string) context.Context { return metadata.AppendToOutgoingContext(t.Context(), md...) }
	for name, ctx := range map[string]context.Context{"none": t.Context(), "wrong": with("authorization", "Bearer wrong"), "empty": with("authorization", "Bearer ")} {
		if _, err := s.oip.ModelInfer(ctx, row(1)); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.oip.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.conn.Invoke(ctx, "/no.Service/Method", &pb.ServerLiveRequest{}, &pb.ServerLiveResponse{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: an unknown method answers %v", name, err)
		}
		if _, err := health.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
			t.Errorf("%s: the server's health: %v", name, err)
		}
		if _, err := s.oip.ServerLive(ctx, &pb.ServerLiveRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := health.Check(ctx, &healthpb.HealthCheckRequest{Service: "late"}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: a deployment's health: %v", name, err)
		}
	}
	good := with("authorization", "Bearer sesame-sesame-sesame")
	if _, err := s.oip.ModelInfer(good, row(1)); err != nil {
		t.Error(err)
	}
	if _, err := health.Check(good, &healthpb.HealthCheckRequest{Service: "late"}); err != nil {
		t.Error(err)
	}
	all, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range all {
		if family.GetName() != "trimtab_http_requests_total" {
			continue
		}
		for _, m := range family.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			if strings.HasSuffix(labels["route"], "/ModelInfer") && m.Counter.GetValue() > 0 {
				counted[labels["status"]] = m.Counter.GetValue()
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"2xx": 1, "4xx": 3}, counted); diff != "" {
		t.Error(diff)
	}

	local := run(t, route.Config{}, grpc.WithAuthority("evil.example"))
	if _, err := local.oip.ServerLive(t.Context(), &pb.ServerLiveRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a rebound name: %v", err)
	}
	own := run(t, route.Config{})
	if _, err := own.oip.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "origin", "https://evil.example"), row(1)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a foreign page: %v", err)
	}
}

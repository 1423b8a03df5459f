package inference_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/api/inference"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// engine is a predictor of a few lines.
type engine struct {
	in, out []predictor.Field
	answer  func(ctx context.Context, q *predictor.Request) ([]tensor.Named, error)
}

func (e *engine) Inputs() []predictor.Field  { return e.in }
func (e *engine) Outputs() []predictor.Field { return e.out }
func (e *engine) Close() error               { return nil }
func (e *engine) Predict(ctx context.Context, q *predictor.Request) ([]tensor.Named, error) {
	out, err := e.answer(ctx, q)
	if err != nil || len(q.Wanted) == 0 {
		return out, err
	}
	var wanted []tensor.Named
	for _, name := range q.Wanted {
		for _, t := range out {
			if t.Name == name {
				wanted = append(wanted, t)
			}
		}
	}
	return wanted, nil
}

// engines: 1 adds and subtracts (Triton's model "simple"), 2 gives back what it gets, in every type, 3 waits for the deadline.
type engines struct{}

var everyType = []tensor.Type{tensor.Bool, tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.FP16, tensor.BF16, tensor.FP32, tensor.FP64, tensor.String}

func (engines) LoadPackage(_ context.Context, name string, version int) (*serve.Package, error) {
	e := &engine{}
	switch version {
	case 1:
		shape := []int{-1, 16}
		e.in = []predictor.Field{{Name: "INPUT0", Type: tensor.Int32, Shape: shape}, {Name: "INPUT1", Type: tensor.Int32, Shape: shape}}
		e.out = []predictor.Field{{Name: "OUTPUT0", Type: tensor.Int32, Shape: shape}, {Name: "OUTPUT1", Type: tensor.Int32, Shape: shape}}
		e.answer = func(_ context.Context, q *predictor.Request) ([]tensor.Named, error) {
			a, b := q.Inputs[0].Data.([]int32), q.Inputs[1].Data.([]int32)
			sum, difference := make([]int32, len(a)), make([]int32, len(a))
			for i := range a {
				sum[i], difference[i] = a[i]+b[i], a[i]-b[i]
			}
			return []tensor.Named{{Name: "OUTPUT0", Tensor: tensor.New(sum, q.Inputs[0].Shape...)}, {Name: "OUTPUT1", Tensor: tensor.New(difference, q.Inputs[0].Shape...)}}, nil
		}
	case 2:
		for _, typ := range everyType {
			e.in = append(e.in, predictor.Field{Name: "in_" + typ.String(), Type: typ, Optional: true})
			e.out = append(e.out, predictor.Field{Name: "in_" + typ.String(), Type: typ})
		}
		e.answer = func(_ context.Context, q *predictor.Request) ([]tensor.Named, error) { return q.Inputs, nil }
	case 3:
		e.in, e.out = []predictor.Field{{Name: "x", Type: tensor.FP32, Shape: []int{-1}}}, []predictor.Field{{Name: "y", Type: tensor.FP32, Shape: []int{-1}}}
		e.answer = func(ctx context.Context, _ *predictor.Request) ([]tensor.Named, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	default:
		return nil, fault.New(fault.NotFound, "no version %d", version)
	}
	sig := registry.Signature{Task: registry.TaskTensors, TensorInputs: e.in, TensorOutputs: e.out}
	for _, f := range e.in {
		sig.Inputs = append(sig.Inputs, registry.Input{Name: f.Name, Kind: table.String, Role: registry.RoleFeature})
	}
	return &serve.Package{Model: name, Version: version, Signature: sig, Predictor: e, Engine: "onnx"}, nil
}

// shelf is a registry with the models spare and broken.
type shelf struct{}

func (shelf) ModelNames(context.Context) ([]string, error) { return []string{"simple", "spare"}, nil }
func (shelf) Servable(_ context.Context, model string) (int, string, error) {
	if model == "spare" {
		return 1, "p", nil
	}
	return 0, "", fault.New(fault.NotFound, "there is no model %q", model)
}

func tensorDoor(t testing.TB, log serve.Recorder) http.Handler {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), serve.Schema)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s := serve.New(serve.Config{DB: db, Loader: engines{}, Catalog: shelf{}, Recorder: log, Clock: func(string) clock.Clock { return clock.Wall{} }, Log: slog.New(slog.DiscardHandler)})
	must(t, s.Start(t.Context()))
	for i, name := range []string{"simple", "echo", "slow"} {
		_, err := s.Ensure(t.Context(), serve.Deployment{Project: "p", Name: name, Model: name})
		must(t, err)
		must(t, s.SetRoute(t.Context(), nil, name, serve.Route{Champion: i + 1}))
	}
	r := route.New(route.Config{})
	inference.Register(r, s, inference.Options{Version: "1.2.3"})
	return r
}

// send posts a body with headers given as name, value.
func send(h http.Handler, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", "http://localhost"+path, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

const headerLength = "Inference-Header-Content-Length"

func sixteen(from int32) (text string, raw []byte) {
	var parts []string
	for i := range int32(16) {
		parts = append(parts, strconv.Itoa(int(from+i)))
		raw = binary.LittleEndian.AppendUint32(raw, uint32(from+i))
	}
	return "[" + strings.Join(parts, ",") + "]", raw
}

// The requests are those that tritonclient.http 2.59 writes.
func TestBinaryTensors(t *testing.T) {
	h := tensorDoor(t, &recorder{})
	_, a := sixteen(0)
	text, _ := sixteen(100)
	head := []byte(`{"id":"1","inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}},{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":` + text + `}],"parameters":{"binary_data_output":true},"outputs":[{"name":"OUTPUT1"},{"name":"OUTPUT0","parameters":{"binary_data":false}}]}`)
	w := send(h, "/v2/models/simple/infer", append(append([]byte(nil), head...), a...), headerLength, strconv.Itoa(len(head)))
	sums := make([]string, 16)
	for i := range sums {
		sums[i] = strconv.Itoa(100 + 2*i)
	}
	want := `{"model_name":"simple","model_version":"1","id":"1","outputs":[{"name":"OUTPUT1","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}},{"name":"OUTPUT0","shape":[1,16],"datatype":"INT32","data":[` + strings.Join(sums, ",") + `]}]}`
	n, _ := strconv.Atoi(w.Header().Get(headerLength))
	if w.Code != 200 || n != len(want) || w.Body.String()[:min(n, w.Body.Len())] != want || w.Body.Len() != n+64 || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Fatalf("%d %v %s\nwant %s", w.Code, w.Header(), w.Body, want)
	}
	for i := range 16 {
		if v := int32(binary.LittleEndian.Uint32(w.Body.Bytes()[n+4*i:])); v != -100 {
			t.Errorf("element %d of OUTPUT1 is %d", i, v)
		}
	}
	for name, tc := range map[string]struct {
		head, want string
		tail       int
		length     string
	}{
		"too few bytes":        {`{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}}]}`, `\"INPUT0\" has 64 bytes of data, and 60 follow`, 60, ""},
		"too many bytes":       {`{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}}]}`, `1 bytes follow the data of the last input`, 65, ""},
		"a size of its own":    {`{"inputs":[{"name":"INPUT0","shape":[1,15],"datatype":"INT32","parameters":{"binary_data_size":64}}]}`, `64 bytes do not hold 15 elements of INT32`, 64, ""},
		"a header beyond":      {`{}`, `says 99, and the request has 2 bytes`, 0, "99"},
		"a header of garbage":  {`{}`, `is \"-1\"; it is the bytes of the JSON`, 0, "-1"},
		"data twice":           {`{"inputs":[{"name":"INPUT0","shape":[1],"datatype":"INT32","data":[1],"parameters":{"binary_data_size":4}}]}`, `has data in the JSON and after it`, 4, ""},
		"an unknown type":      {`{"inputs":[{"name":"INPUT0","shape":[1],"datatype":"INT12","parameters":{"binary_data_size":4}}]}`, `none of the protocol's`, 4, ""},
		"shared memory":        {`{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"shared_memory_region":"r","shared_memory_byte_size":64}}]}`, `shared memory is not served`, 0, ""},
		"raw for two inputs":   {``, `for models with one input; this one has 2`, 64, "0"},
		"an input is missing":  {`{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}}]}`, `\"INPUT1\" is missing`, 64, ""},
		"a shape of its own":   {`{"inputs":[{"name":"INPUT0","shape":[4,4],"datatype":"INT32","parameters":{"binary_data_size":64}},{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":` + text + `}]}`, `has the shape [4, 4]; the model takes [-1, 16]`, 64, ""},
		"an output of nothing": {`{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}}],"outputs":[{"name":"OUTPUT7"}]}`, `there is no output \"OUTPUT7\"; outputs are OUTPUT0, OUTPUT1, prediction_id`, 64, ""},
	} {
		t.Run(name, func(t *testing.T) {
			length := tc.length
			if length == "" {
				length = strconv.Itoa(len(tc.head))
			}
			w := send(h, "/v2/models/simple/infer", append([]byte(tc.head), make([]byte, tc.tail)...), headerLength, length)
			if w.Code != 400 || !strings.Contains(w.Body.String(), tc.want) || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%d %s\nwant %s", w.Code, w.Body, tc.want)
			}
		})
	}
}

// Every type comes back as it went, as bytes and as JSON, nested and flat.
func TestEveryTypeComesBack(t *testing.T) {
	h := tensorDoor(t, &recorder{})
	data := map[tensor.Type][2]string{ // as sent, as answered
		tensor.Bool: {`[[true,false]]`, `[true,false]`}, tensor.Uint8: {`[0,255]`, ``}, tensor.Uint16: {`[0,65535]`, ``}, tensor.Uint32: {`[0,4294967295]`, ``},
		tensor.Uint64: {`[9007199254740993,18446744073709551615]`, ``}, tensor.Int8: {`[-128,127]`, ``}, tensor.Int16: {`[-32768,32767]`, ``},
		tensor.Int32: {`[[-2147483648],[2147483647]]`, `[-2147483648,2147483647]`}, tensor.Int64: {`[-9223372036854775808,9223372036854775807]`, ``},
		tensor.FP16: {`[0.5,65504]`, ``}, tensor.BF16: {`[0.5,-2]`, ``}, tensor.FP32: {`[0.1,NaN]`, `[0.1,"NaN"]`}, tensor.FP64: {`["-Infinity",0.1]`, ``}, tensor.String: {`["é\n",""]`, ``},
	}
	for _, typ := range everyType {
		sent, want := data[typ][0], data[typ][1]
		if want == "" {
			want = sent
		}
		name := "in_" + typ.String()
		body := fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":%q,"shape":[2],"data":%s}],"outputs":[{"name":%q}]}`, name, typ, sent, name)
		w := send(h, "/v2/models/echo/infer", []byte(body))
		if w.Code != 200 || !strings.HasSuffix(w.Body.String(), `"data":`+want+"}]}\n") {
			t.Errorf("%s: %d %s", typ, w.Code, w.Body)
			continue
		}
		asked := strings.Replace(body, `"outputs"`, `"parameters":{"binary_data_output":true},"outputs"`, 1)
		w = send(h, "/v2/models/echo/infer", []byte(asked))
		n, _ := strconv.Atoi(w.Header().Get(headerLength))
		raw := append([]byte(nil), w.Body.Bytes()[n:]...)
		head := []byte(fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":%q,"shape":[2],"parameters":{"binary_data_size":%d}}],"outputs":[{"name":%q,"parameters":{"binary_data":true}}]}`, name, typ, len(raw), name))
		w = send(h, "/v2/models/echo/infer", append(head, raw...), headerLength, strconv.Itoa(len(head)))
		n, _ = strconv.Atoi(w.Header().Get(headerLength))
		if w.Code != 200 || !bytes.Equal(w.Body.Bytes()[n:], raw) {
			t.Errorf("%s as bytes: %d %q, want %q", typ, w.Code, w.Body, raw)
		}
	}
	// Bytes that are no text come back as bytes alone.
	raw := []byte{2, 0, 0, 0, 0xff, 0}
	head := []byte(`{"inputs":[{"name":"in_BYTES","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}],"outputs":[{"name":"in_BYTES"}]}`)
	if w := send(h, "/v2/models/echo/infer", append(head, raw...), headerLength, strconv.Itoa(len(head))); w.Code != 400 || !strings.Contains(w.Body.String(), "ask for it as bytes") {
		t.Errorf("bytes as JSON: %d %s", w.Code, w.Body)
	}
	for name, tc := range map[string][2]string{
		"in_INT8":   {`128`, `is no INT8: row 0 has the number 128`},
		"in_UINT8":  {`-1`, `is no UINT8: row 0 has the number -1`},
		"in_INT64":  {`9223372036854775808`, `is no INT64`},
		"in_UINT64": {`1.5`, `is no UINT64: row 0 has the number 1.5`},
		"in_FP16":   {`70000`, `is no FP16`},
		"in_FP32":   {`1e39`, `is no FP32`},
		"in_BOOL":   {`1`, `is no BOOL: row 0 has the number 1`},
		"in_BYTES":  {`{}`, `is no BYTES: row 0 has an array or an object`},
		"in_INT32":  {`null`, `expected INT32, got null`},
		"in_INT16":  {`"7"`, `is no INT16: row 0 has the text \"7\"`},
	} {
		w := send(h, "/v2/models/echo/infer", []byte(fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":%q,"shape":[1],"data":[%s]}]}`, name, name[3:], tc[0])))
		if w.Code != 400 || !strings.Contains(w.Body.String(), tc[1]) {
			t.Errorf("%s: %d %s, want %s", name, w.Code, w.Body, tc[1])
		}
	}
}

// A request of raw bytes, as tritonclient's generate_request_body is not needed for: header 0, the data of the one input.
func TestRawRequest(t *testing.T) {
	h := door(t, &recorder{})
	w := send(h, "/v2/models/binary/infer", []byte("x"), headerLength, "0")
	if w.Code != 400 || !strings.Contains(w.Body.String(), "with one input; this one has 4") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	slow := tensorDoor(t, &recorder{})
	raw := binary.LittleEndian.AppendUint32(nil, math.Float32bits(1))
	if w := send(slow, "/v2/models/slow/infer", append(raw, 1), headerLength, "0"); w.Code != 400 || !strings.Contains(w.Body.String(), "5 bytes do not hold 1 elements of FP32") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The caller's own deadline is the caller's affair.
func TestTimeout(t *testing.T) {
	h := tensorDoor(t, &recorder{})
	w := send(h, "/v2/models/slow/infer", []byte(`{"parameters":{"timeout":1000,"priority":1,"sequence_id":7,"for_the_model":"x"},"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}`))
	if w.Code != 408 || !strings.Contains(w.Body.String(), "within its timeout of 1ms") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A model of rows takes its features as one matrix, in any numeric type, with nulls, and few rows as many.
func TestMatrixAndColumns(t *testing.T) {
	h := door(t, &recorder{})
	// 20 rows are read as tensors, 2 as cells: the answers are the same.
	for _, n := range []int{2, 20} {
		for _, typ := range []string{"FP16", "BF16", "FP32", "FP64", "INT8", "UINT64"} {
			value := strings.TrimSuffix(strings.Repeat("7,", n), ",")
			dest := strings.TrimSuffix(strings.Repeat(`"LAX",`, n-1)+`null`, ",")
			body := fmt.Sprintf(`{"inputs":[{"name":"temp","datatype":%q,"shape":[%d,1],"data":[%s]},{"name":"dest","datatype":"BYTES","shape":[%d],"data":[%s]}],"outputs":[{"name":"probabilities"}]}`, typ, n, value, n, dest)
			w := send(h, "/v2/models/binary/infer", []byte(body))
			want := fmt.Sprintf(`"shape":[%d,2],"datatype":"FP64","data":[%s]}]}`+"\n", n, strings.TrimSuffix(strings.Repeat("0.30000000000000004,0.7,", n), ","))
			if w.Code != 200 || !strings.HasSuffix(w.Body.String(), want) {
				t.Errorf("%d rows of %s: %d %s\nwant %s", n, typ, w.Code, w.Body, want)
			}
		}
		long := fmt.Sprintf(`{"inputs":[{"name":"temp","datatype":"FP64","shape":[%d],"data":[%s"x"]}]}`, n, strings.Repeat("1,", n-1))
		if w := send(h, "/v2/models/binary/infer", []byte(long)); w.Code != 400 || !strings.Contains(w.Body.String(), fmt.Sprintf(`element %d of \"temp\" is no FP64: row %d has the text \"x\"`, n-1, n-1)) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		null := fmt.Sprintf(`{"inputs":[{"name":"temp","datatype":"INT32","shape":[%d],"data":[%s1]},{"name":"night","datatype":"BOOL","shape":[%d],"data":[%snull]}]}`, n, strings.Repeat("1,", n-1), n, strings.Repeat("true,", n-1))
		if w := send(h, "/v2/models/binary/infer", []byte(null)); w.Code != 200 {
			t.Errorf("%d rows with null: %d %s", n, w.Code, w.Body)
		}
		null = fmt.Sprintf(`{"inputs":[{"name":"temp","datatype":"INT32","shape":[%d],"data":[%snull]}]}`, n, strings.Repeat("1,", n-1))
		if w := send(h, "/v2/models/binary/infer", []byte(null)); w.Code != 400 || !strings.Contains(w.Body.String(), fmt.Sprintf("row %d lacks dest, temp", n-1)) {
			t.Errorf("%d rows with null: %d %s", n, w.Code, w.Body)
		}
	}
	// A float32 is a float32, however few rows come with it.
	for _, n := range []int{1, 17} {
		body := fmt.Sprintf(`{"inputs":[{"name":"temp","datatype":"FP32","shape":[%d],"data":[%s]}],"outputs":[{"name":"variable"}]}`, n, strings.TrimSuffix(strings.Repeat("0.3,", n), ","))
		if w := send(h, "/v2/models/value/infer", []byte(body)); w.Code != 200 || !strings.Contains(w.Body.String(), "0.030000001192092896") { // float64(float32(0.3))/10
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

func TestContentTypes(t *testing.T) {
	h := door(t, &recorder{})
	for name, tc := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"pd":                   {`{"parameters":{"content_type":"pd"},"inputs":[{"name":"temp","datatype":"FP64","shape":[1,1],"data":[7]},{"name":"dest","datatype":"BYTES","shape":[1,1],"parameters":{"content_type":"str"},"data":["LAX"]},{"name":"when","datatype":"BYTES","shape":[1,1],"parameters":{"content_type":"datetime"},"data":["2013-04-01T10:00:00"]}]}`, 200, `0.7`},
		"np":                   {`{"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"data":[7],"parameters":{"content_type":"np"}}]}`, 200, `0.7`},
		"str of the request":   {`{"parameters":{"content_type":"str"},"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"data":[7]},{"name":"dest","datatype":"BYTES","shape":[1],"data":"LAX"}]}`, 200, `0.7`},
		"base64":               {`{"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"data":[7]},{"name":"dest","datatype":"BYTES","shape":[1],"parameters":{"content_type":"base64"},"data":["TEFY"]}]}`, 200, `0.7`},
		"base64 of garbage":    {`{"inputs":[{"name":"dest","datatype":"BYTES","shape":[1],"parameters":{"content_type":"base64"},"data":["@"]}]}`, 400, `row 0, column \"dest\": expected base64`},
		"base64 of bytes":      {`{"inputs":[{"name":"dest","datatype":"BYTES","shape":[1],"parameters":{"content_type":"base64"},"data":["/w=="]}]}`, 400, `row 0, column \"dest\": expected a text in UTF-8`},
		"datetime of garbage":  {`{"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"data":[7]},{"name":"when","datatype":"BYTES","shape":[1],"parameters":{"content_type":"datetime"},"data":["soon"]}]}`, 400, `row 0, column \"when\": expected a time`},
		"datetime of a number": {`{"inputs":[{"name":"when","datatype":"INT64","shape":[1],"parameters":{"content_type":"datetime"},"data":[1]}]}`, 400, `it needs BYTES`},
		"another":              {`{"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"parameters":{"content_type":"image"},"data":[7]}]}`, 400, `content types are np, pd, str, base64 and datetime`},
	} {
		if w := send(h, "/v2/models/binary/infer", []byte(tc.body)); w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s: %d %s\nwant %d %s", name, w.Code, w.Body, tc.status, tc.want)
		}
	}
}

func TestClassification(t *testing.T) {
	h := door(t, &recorder{})
	for model, want := range map[string]string{
		"classes": `{"name":"probabilities","shape":[1,2],"datatype":"BYTES","data":["0.600000:0:a","0.300000:1:b"]}`,
		"binary":  `{"name":"probabilities","shape":[1,2],"datatype":"BYTES","data":["0.600000:1:true","0.400000:0:false"]}`,
	} {
		w := send(h, "/v2/models/"+model+"/infer", []byte(`{"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"data":[6]}],"outputs":[{"name":"probabilities","parameters":{"classification":2}}]}`))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s\nwant %s", w.Code, w.Body, want)
		}
	}
}

// packed compresses a body in the ways of Content-Encoding.
var packed = map[string]func([]byte) []byte{
	"gzip": func(b []byte) []byte {
		return through(b, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	},
	"deflate": func(b []byte) []byte {
		return through(b, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	},
	"zstd": func(b []byte) []byte {
		return through(b, func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z })
	},
}

func through(b []byte, writer func(io.Writer) io.WriteCloser) []byte {
	var out bytes.Buffer
	w := writer(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func unpack(t *testing.T, encoding string, b []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(b))
	case "zstd":
		r, err = zstd.NewReader(bytes.NewReader(b))
	default:
		return b
	}
	must(t, err)
	out, err := io.ReadAll(r)
	must(t, err)
	return out
}

// Bodies are inflated, with the header counting the inflated JSON, and answers of some size are compressed where that is accepted.
func TestCompression(t *testing.T) {
	h := tensorDoor(t, &recorder{})
	d := make([]byte, 0, 4096)
	for i := range 1024 {
		d = binary.LittleEndian.AppendUint32(d, uint32(i%7))
	}
	head := []byte(`{"inputs":[{"name":"INPUT0","shape":[64,16],"datatype":"INT32","parameters":{"binary_data_size":4096}},{"name":"INPUT1","shape":[64,16],"datatype":"INT32","parameters":{"binary_data_size":4096}}],"parameters":{"binary_data_output":true}}`)
	body := append(append(append([]byte(nil), head...), d...), d...)
	for encoding, pack := range packed {
		w := send(h, "/v2/models/simple/infer", pack(body), "Content-Encoding", encoding, "Accept-Encoding", encoding, headerLength, strconv.Itoa(len(head)))
		if w.Code != 200 || w.Header().Get("Content-Encoding") != encoding || w.Body.Len() >= 8192 {
			t.Errorf("%s: %d %v %d bytes", encoding, w.Code, w.Header(), w.Body.Len())
			continue
		}
		n, _ := strconv.Atoi(w.Header().Get(headerLength))
		plain := unpack(t, encoding, w.Body.Bytes())
		if len(plain) != n+8192 || !json.Valid(plain[:n]) {
			t.Errorf("%s: %d bytes inflate to %d, JSON %d", encoding, w.Body.Len(), len(plain), n)
		}
		// A bomb: 64 MB of spaces.
		bomb := pack(bytes.Repeat([]byte(" "), 64<<20))
		if w := send(h, "/v2/models/simple/infer", bomb, "Content-Encoding", encoding); w.Code != 413 {
			t.Errorf("%s bomb: %d %s", encoding, w.Code, w.Body)
		}
		for _, cut := range [][]byte{pack(body)[:20], []byte("garbage"), {}} {
			if w := send(h, "/v2/models/simple/infer", cut, "Content-Encoding", encoding); w.Code != 400 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s of garbage: %d %s", encoding, w.Code, w.Body)
			}
		}
	}
	bare := through(body, func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 1); return z })
	if w := send(h, "/v2/models/simple/infer", bare, "Content-Encoding", "deflate", headerLength, strconv.Itoa(len(head))); w.Code != 200 {
		t.Errorf("deflate without zlib: %d %s", w.Code, w.Body)
	}
	if w := send(h, "/v2/models/simple/infer", body, "Content-Encoding", "br"); w.Code != 400 || !strings.Contains(w.Body.String(), "gzip, deflate, zstd") {
		t.Errorf("br: %d %s", w.Code, w.Body)
	}
	if w := send(h, "/v2/models/simple/infer", body, headerLength, strconv.Itoa(len(head)), "Accept-Encoding", "gzip;q=0, deflate;q=0.0"); w.Header().Get("Content-Encoding") != "" {
		t.Errorf("compressed against the caller's will: %v", w.Header())
	}
}

// ask gives status and body of a request to the tensor door.
func TestManagement(t *testing.T) {
	h := tensorDoor(t, &recorder{})
	text, _ := sixteen(0)
	send(h, "/v2/models/simple/infer", []byte(`{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","data":`+text+`},{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":`+text+`}]}`))
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v2/models/simple", "", 200, `{"name":"simple","versions":["1"],"platform":"onnx_onnxv1","inputs":[{"name":"INPUT0","datatype":"INT32","shape":[-1,16]},{"name":"INPUT1","datatype":"INT32","shape":[-1,16]}],"outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[-1,16]},{"name":"OUTPUT1","datatype":"INT32","shape":[-1,16]}]}`},
		{"GET", "/v2/models/simple/config", "", 200, `{"name":"simple","platform":"onnx_onnxv1","backend":"onnx","version_policy":{"specific":{"versions":[1]}},"max_batch_size":10000,"input":[{"name":"INPUT0","data_type":"TYPE_INT32","dims":[16]},{"name":"INPUT1","data_type":"TYPE_INT32","dims":[16]}],"output":[{"name":"OUTPUT0","data_type":"TYPE_INT32","dims":[16]},{"name":"OUTPUT1","data_type":"TYPE_INT32","dims":[16]}]}`},
		{"GET", "/v2/models/simple/stats", "", 200, `{"model_stats":[{"name":"simple","version":"1","last_inference":`},
		{"GET", "/v2/models/simple/versions/1/stats", "", 200, `"inference_count":1,"execution_count":1,"inference_stats":{"cache_hit":{"count":0,"ns":0}`},
		{"GET", "/v2/models/simple/versions/2/stats", "", 404, `no version 2 loaded`},
		{"GET", "/v2/models/stats", "", 200, `{"name":"echo","version":"2"`},
		{"GET", "/v2/models/nobody/stats", "", 404, `no deployment`},
		{"POST", "/v2/repository/index", "", 200, `[{"name":"echo","version":"2","state":"READY","reason":""},{"name":"simple","version":"1","state":"READY","reason":""},{"name":"slow","version":"3","state":"READY","reason":""},{"name":"spare","state":"UNAVAILABLE","reason":"not loaded"}]`},
		{"POST", "/v2/repository/index", `{"ready":true}`, 200, `{"name":"slow","version":"3","state":"READY","reason":""}]`},
		{"POST", "/v2/repository/index", `{`, 400, `no valid request`},
		{"POST", "/v2/repository/models/spare/load", "", 200, `{"name":"spare","load":true}`},
		{"GET", "/v2/models/spare/ready", "", 200, `{"name":"spare","ready":true}`},
		{"POST", "/v2/repository/models/nobody/load", "", 400, `failed to load 'nobody'`},
		{"POST", "/v2/repository/models/spare/load", `{"parameters":{"config":"{}"}}`, 400, `failed to load 'spare': the parameter \"config\" is not taken`},
		{"POST", "/v2/repository/models/spare/unload", `{"parameters":{"unload_dependents":false}}`, 200, `{"name":"spare","unload":true}`},
		{"GET", "/v2/models/spare/ready", "", 400, `spare is not ready`},
		{"GET", "/v2/models/spare", "", 400, `spare is not ready`},
		{"POST", "/v2/repository/models/nobody/unload", "", 400, `failed to unload 'nobody'`},
		{"GET", "/v2/logging", "", 200, `"log_info":true`},
		{"POST", "/v2/logging", `{"log_info":false}`, 400, `settings`},
		{"GET", "/v2/trace/setting", "", 200, `"trace_level":["OFF"]`},
		{"GET", "/v2/models/simple/trace/setting", "", 200, `"trace_level":["OFF"]`},
		{"POST", "/v2/trace/setting", `{}`, 400, `settings`},
		{"GET", "/v2/systemsharedmemory/status", "", 200, `[]`},
		{"POST", "/v2/systemsharedmemory/region/r/register", `{}`, 400, `shared memory is not served`},
		{"POST", "/v2/cudasharedmemory/unregister", ``, 400, `shared memory is not served`},
		{"POST", "/v2/models/simple/generate", `{}`, 400, `generate`},
		{"GET", "/d/simple/oip/v2/models/simple/ready", "", 200, `{"name":"simple","ready":true}`},
		{"GET", "/d/simple/oip/v2/models/what-the-client-calls-it/ready", "", 200, `{"name":"simple","ready":true}`},
		{"GET", "/d/nobody/oip/v2/models/simple/ready", "", 404, `{"error":"there is no deployment \"nobody\"`},
		{"GET", "/d/simple/oip/v2/models/stats", "", 200, `{"model_stats":[{"name":"simple"`},
		{"POST", "/d/simple/oip/v2/repository/index", "", 200, `[{"name":"simple","version":"1","state":"READY","reason":""}]`},
		{"GET", "/v2/nothing", "", 404, `{"error":"there is nothing at /v2/nothing`},
		{"DELETE", "/v2/models/simple", "", 405, `{"error":"DELETE is not possible`},
		{"GET", "/d/simple/oip/v2/nothing", "", 404, `{"error":"there is nothing`},
	} {
		status, body := call(h, tc.method, tc.path, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) || !json.Valid([]byte(body)) {
			t.Errorf("%s %s %s: %d %s\nwant %d %s", tc.method, tc.path, tc.body, status, body, tc.status, tc.want)
		}
	}
}

// A stream of events has one event with the answer; what goes wrong before is a plain error.
func TestStream(t *testing.T) {
	h := door(t, &recorder{})
	const body = `{"inputs":[{"name":"temp","datatype":"FP64","shape":[1],"data":[7]}],"outputs":[{"name":"label"}]}`
	w := send(h, "/v2/models/binary/infer_stream", []byte(body))
	want := `data: {"model_name":"binary","model_version":"1","outputs":[{"name":"label","shape":[1],"datatype":"BYTES","data":["true"]}]}` + "\n\n"
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := send(h, "/v2/models/binary/infer_stream", []byte(`{`)); w.Code != 400 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := send(h, "/v2/models/binary/infer", []byte(body)); w.Body.String() != want[6:len(want)-1] {
		t.Errorf("after a stream: %q", w.Body)
	}
}

func FuzzBinaryInfer(f *testing.F) {
	h := tensorDoor(f, discard{})
	_, raw := sixteen(0)
	head := `{"id":"1","inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}},{"name":"INPUT1","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]}`
	f.Add(true, len(head), append(append([]byte(head), raw...), raw...))
	head = `{"inputs":[{"name":"in_BYTES","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},{"name":"in_FP32","shape":[1],"datatype":"FP32","data":[NaN]}]}`
	f.Add(false, len(head), append([]byte(head), 1, 0, 0, 0, 'a', 2, 0, 0, 0, 'b', 'c'))
	f.Add(false, 0, []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, simple bool, length int, body []byte) {
		path := "/v2/models/echo/infer"
		if simple {
			path = "/v2/models/simple/infer"
		}
		w := send(h, path, body, headerLength, strconv.Itoa(length))
		answer := w.Body.Bytes()
		if n, err := strconv.Atoi(w.Header().Get(headerLength)); err == nil {
			answer = answer[:n]
		}
		if w.Code >= 500 || !json.Valid(answer) {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	})
}

func FuzzInflate(f *testing.F) {
	h := tensorDoor(f, discard{})
	for encoding, pack := range packed {
		f.Add(encoding, pack([]byte(`{"inputs":[{"name":"in_FP32","shape":[1],"datatype":"FP32","data":[1]}]}`)))
	}
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		if w := send(h, "/v2/models/echo/infer", body, "Content-Encoding", encoding); w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	})
}

func benchmarkInfer(b *testing.B, body string) {
	h := door(b, discard{})
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("POST", "http://localhost/v2/models/binary/infer", strings.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkInferOneRow(b *testing.B) {
	benchmarkInfer(b, `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[7.5]},{"name":"dest","shape":[1],"datatype":"BYTES","data":["LAX"]},{"name":"night","shape":[1],"datatype":"BOOL","data":[true]},{"name":"when","shape":[1],"datatype":"BYTES","data":["2013-04-01T10:00:00Z"]}]}`)
}

func BenchmarkInferThousandRows(b *testing.B) {
	numbers := strings.TrimSuffix(strings.Repeat("7.512345,", 1000), ",")
	texts := strings.TrimSuffix(strings.Repeat(`"LAX",`, 1000), ",")
	benchmarkInfer(b, `{"inputs":[{"name":"temp","shape":[1000],"datatype":"FP64","data":[`+numbers+`]},{"name":"dest","shape":[1000],"datatype":"BYTES","data":[`+texts+`]}],"outputs":[{"name":"probabilities"}]}`)
}

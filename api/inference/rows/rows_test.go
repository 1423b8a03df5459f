package rows_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	. "github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/inference/rows"
)

const (
	isCSV     = "Content-Type: text/csv"
	isLines   = "Content-Type: application/x-ndjson"
	isStream  = "Content-Type: application/vnd.apache.arrow.stream"
	isFile    = "Content-Type: application/vnd.apache.arrow.file"
	isParquet = "Content-Type: application/vnd.apache.parquet"
)

func path(deployment string) string { return "/api/v1/deployments/" + deployment + "/predict" }

// fields reads a CSV as rows by name.
func fields(t *testing.T, body string) []map[string]string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, record := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = record[i]
		}
		out = append(out, row)
	}
	return out
}

func TestCSV(t *testing.T) {
	log := &Log{}
	h := Logged(t, rows.Register, log)
	status, body := Call(h, "POST", path("binary")+"?id=r1&version=1", "dest,temp,trimtab_key,trimtab_at,more\nLAX,7.5,\"k,1\",2013-04-01T10:00:00Z,x\n,2.5,k2,2013-04-01 11:00:00,\n", isCSV)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	got, recs := fields(t, body), log.Take()
	if len(got) != 2 || len(recs) != 2 || got[0]["score"] != "0.75" || got[0]["label"] != "true" || got[0]["key"] != "k,1" || got[0]["at"] != "2013-04-01T10:00:00Z" || got[0]["version"] != "1" || got[0]["arm"] != "champion" || got[0]["id"] != recs[0].ID {
		t.Errorf("%s %+v", body, recs)
	}
	if got[1]["label"] != "false" || got[1]["missing"] != "dest;night;when" || recs[1].Request != "r1" || recs[1].Key != "k2" {
		t.Errorf("%s", body)
	}
	if _, body := Call(h, "POST", path("classes"), "dest,temp\nLAX,6\n", isCSV); !strings.HasPrefix(body, "id,version,arm,key,at,score_a,score_b,score_c,label,missing,unseen,out_of_range\n") {
		t.Error(body)
	}
	if _, body := Call(h, "POST", path("trees")+"?explain=true", "dest,temp\nLAX,7\n", isCSV); !strings.Contains(body, ",expected_value,contribution_temp,contribution_dest\n") {
		t.Error(body)
	}
	status, body = Call(h, "POST", path("value"), `{"rows":[{"temp":5,"dest":"LAX"}]}`, "Accept: text/csv")
	if got := fields(t, body); status != 200 || got[0]["score"] != "0.5" || got[0]["label"] != "" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := Call(h, "POST", "/d/value/rows/predict", "dest,temp\nLAX,5\n", isCSV, "Accept: application/json"); status != 200 || !strings.Contains(body, `"score":0.5`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestLines(t *testing.T) {
	h := Door(t, rows.Register)
	w := Answer(h, "POST", path("binary"), "{\"temp\":7.5,\"dest\":\"LAX\",\"trimtab_key\":\"k1\"}\n[2.5,\"BOS\"]\n", isLines)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "row 1 is no object") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = Answer(h, "POST", path("binary"), "{\"temp\":7.5,\"dest\":\"LAX\",\"trimtab_key\":\"k1\"}\n\n{\"temp\":2.5}\n", "Content-Type: application/jsonlines; charset=utf-8")
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if w.Code != 200 || len(lines) != 2 || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var first struct {
		Key, Label string
		Score      float64
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first.Key != "k1" || first.Label != "true" || first.Score != .75 {
		t.Errorf("%v %s", err, lines[0])
	}
}

func TestTensorsAsRows(t *testing.T) {
	h := Door(t, rows.Register)
	status, body := Call(h, "POST", path("mean"), `{"rows":[{"image":[1,2,3]},{"image":[4,5,6]}],"keys":["a",null]}`)
	if status != 200 || !strings.Contains(body, `"outputs":{"mean":2}`) || !strings.Contains(body, `"outputs":{"mean":5}`) {
		t.Errorf("%d %s", status, body)
	}
	status, body = Call(h, "POST", path("simple"), `{"rows":[{"INPUT0":`+Rows("2", 16)+`,"INPUT1":`+Rows("1", 16)+`}]}`, "Accept: text/csv")
	if got := fields(t, body); status != 200 || got[0]["OUTPUT0_15"] != "3" || got[0]["OUTPUT1_0"] != "1" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := Call(h, "POST", path("value"), `{"rows":[{"temp":[1],"dest":"LAX"}]}`); status != 400 || !strings.Contains(body, "an array or an object") {
		t.Errorf("%d %s", status, body)
	}
}

// record is two rows with the columns of the model and more.
func record(t testing.TB) arrow.RecordBatch {
	t.Helper()
	s := arrow.NewSchema([]arrow.Field{
		{Name: "dest", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true},
		{Name: "temp", Type: arrow.PrimitiveTypes.Float32},
		{Name: "when", Type: &arrow.TimestampType{Unit: arrow.Nanosecond}},
		{Name: "night", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "more", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: "trimtab_key", Type: arrow.PrimitiveTypes.Int64},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	_ = b.Field(0).(*array.BinaryDictionaryBuilder).AppendString("LAX")
	b.Field(0).AppendNull()
	b.Field(1).(*array.Float32Builder).AppendValues([]float32{7.5, 2.5}, nil)
	b.Field(2).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{1364810400e9, 1364814000e9}, nil)
	b.Field(3).(*array.BooleanBuilder).AppendValues([]bool{true, false}, []bool{true, false})
	b.Field(4).AppendNull()
	b.Field(4).AppendNull()
	b.Field(5).(*array.Int64Builder).AppendValues([]int64{11, 1<<62 + 1}, nil)
	return b.NewRecordBatch()
}

func stream(t testing.TB, rec arrow.RecordBatch, asFile bool, opts ...ipc.Option) string {
	t.Helper()
	var b bytes.Buffer
	opts = append(opts, ipc.WithSchema(rec.Schema()), ipc.WithDictionaryDeltas(false))
	type writer interface {
		Write(arrow.RecordBatch) error
		Close() error
	}
	var w writer = ipc.NewWriter(&b, opts...)
	if asFile {
		f, err := ipc.NewFileWriter(&b, opts...)
		if err != nil {
			t.Fatal(err)
		}
		w = f
	}
	if err := w.Write(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestArrow(t *testing.T) {
	log := &Log{}
	h := Logged(t, rows.Register, log)
	rec := record(t)
	for name, tc := range map[string]struct {
		header string
		body   string
	}{"stream": {isStream, stream(t, rec, false)}, "file": {isFile, stream(t, rec, true)}, "compressed": {isStream, stream(t, rec, false, ipc.WithZstd())}} {
		w := Answer(h, "POST", path("binary"), tc.body, tc.header)
		if w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		recs := log.Take()
		if len(recs) != 2 || recs[0].Inputs[3].F != 1364810400e6 || recs[0].Inputs[2].F != 1 || recs[0].Key != "11" || recs[1].Key != "4611686018427387905" || !recs[1].Inputs[2].Null {
			t.Errorf("%s: %+v", name, recs)
		}
		var r interface{ Schema() *arrow.Schema }
		var got arrow.RecordBatch
		if name == "file" {
			f, err := ipc.NewFileReader(bytes.NewReader(w.Body.Bytes()))
			if err != nil {
				t.Fatal(name, err)
			}
			if got, err = f.RecordBatchAt(0); err != nil {
				t.Fatal(name, err)
			}
			r = f
		} else {
			s, err := ipc.NewReader(w.Body)
			if err != nil || !s.Next() {
				t.Fatal(name, err)
			}
			got, r = s.RecordBatch(), s
		}
		score := got.Column(r.Schema().FieldIndices("score")[0]).(*array.Float64)
		label := got.Column(r.Schema().FieldIndices("label")[0]).(*array.String)
		if score.Value(0) != .75 || label.Value(1) != "false" || got.Column(r.Schema().FieldIndices("key")[0]).(*array.String).Value(0) != "11" {
			t.Errorf("%s: %v", name, got)
		}
	}
	// A tensor comes as lists of one length.
	s := arrow.NewSchema([]arrow.Field{{Name: "image", Type: arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32)}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	list := b.Field(0).(*array.FixedSizeListBuilder)
	for i := range 2 {
		list.Append(true)
		list.ValueBuilder().(*array.Float32Builder).AppendValues([]float32{float32(i), 2, 3}, nil)
	}
	status, body := Call(h, "POST", path("mean"), stream(t, b.NewRecordBatch(), false), isStream, "Accept: text/csv")
	if got := fields(t, body); status != 200 || got[1]["mean"] != "2" {
		t.Errorf("%d %s", status, body)
	}
}

// parquetFile is the same rows as Parquet: a text that may be missing, a number, a date and a time.
func parquetFile(t testing.TB) string {
	t.Helper()
	node := func(name string, repetition parquet.Repetition, logical schema.LogicalType, physical parquet.Type) schema.Node {
		n, err := schema.NewPrimitiveNodeLogical(name, repetition, logical, physical, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{
		node("dest", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray),
		node("temp", parquet.Repetitions.Required, schema.NoLogicalType{}, parquet.Types.Double),
		node("when", parquet.Repetitions.Required, schema.NewTimestampLogicalType(true, schema.TimeUnitMillis), parquet.Types.Int64),
		node("more", parquet.Repetitions.Repeated, schema.NoLogicalType{}, parquet.Types.Int32),
	}, -1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	f := file.NewParquetWriter(&b, root)
	g := f.AppendRowGroup()
	for i, write := range []func(file.ColumnChunkWriter) error{
		func(w file.ColumnChunkWriter) error {
			_, err := w.(*file.ByteArrayColumnChunkWriter).WriteBatch([]parquet.ByteArray{[]byte("LAX")}, []int16{1, 0}, nil)
			return err
		},
		func(w file.ColumnChunkWriter) error {
			_, err := w.(*file.Float64ColumnChunkWriter).WriteBatch([]float64{7.5, 2.5}, nil, nil)
			return err
		},
		func(w file.ColumnChunkWriter) error {
			_, err := w.(*file.Int64ColumnChunkWriter).WriteBatch([]int64{1364810400e3, 1364814000e3}, nil, nil)
			return err
		},
		func(w file.ColumnChunkWriter) error {
			_, err := w.(*file.Int32ColumnChunkWriter).WriteBatch([]int32{1, 2, 3}, []int16{1, 1, 1}, []int16{0, 1, 0})
			return err
		},
	} {
		w, err := g.NextColumn()
		if err != nil {
			t.Fatal(i, err)
		}
		if err := write(w); err != nil {
			t.Fatal(i, err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParquet(t *testing.T) {
	log := &Log{}
	h := Logged(t, rows.Register, log)
	w := Answer(h, "POST", path("binary"), parquetFile(t), isParquet)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/vnd.apache.parquet" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if recs := log.Take(); len(recs) != 2 || recs[0].Inputs[3].F != 1364810400e6 || recs[0].Inputs[1].S != "LAX" || !recs[1].Inputs[1].Null {
		t.Errorf("%+v", recs)
	}
	r, err := file.NewParquetReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range r.MetaData().Schema.NumColumns() {
		names = append(names, r.MetaData().Schema.Column(i).Name())
	}
	if want := []string{"id", "version", "arm", "key", "at", "score", "label", "missing", "unseen", "out_of_range"}; !reflect.DeepEqual(names, want) {
		t.Error(names)
	}
	c, err := r.RowGroup(0).Column(5)
	if err != nil {
		t.Fatal(err)
	}
	values, levels := make([]float64, 2), make([]int16, 2)
	if n, _, err := c.(*file.Float64ColumnChunkReader).ReadBatch(2, values, levels, nil); n != 2 || err != nil || values[0] != .75 || values[1] != .25 {
		t.Error(n, err, values)
	}
}

func TestFaultsNameWhatIsWrong(t *testing.T) {
	h := Door(t, rows.Register)
	whole, parq := stream(t, record(t), false), parquetFile(t)
	for _, tc := range []struct {
		path, header, body string
		status             int
		want               string
	}{
		{path("binary"), isCSV, "", 400, "no rows"},
		{path("binary"), isCSV, "temp,dest\n", 400, "no rows"},
		{path("binary"), isCSV, "temp,dest\nx,LAX\n", 400, `row 0, column \"temp\": expected a number, got the text \"x\"`},
		{path("binary"), isCSV, "temp\n" + strings.Repeat("1\n", 10001), 413, "more than 10000 rows"},
		{path("binary") + "?version=x", isCSV, "temp\n1\n", 400, "version is a whole number"},
		{path("binary") + "?version=9", isCSV, "temp\n1\n", 404, "no version 9"},
		{path("binary") + "?verison=1", isCSV, "temp\n1\n", 400, "no option"},
		{path("binary") + "?at=soon", isCSV, "temp\n1\n", 400, "at is a time"},
		{path("binary"), isLines, "{\"temp\":1}\nx", 400, "row 1 is no object"},
		{path("binary"), isStream, "", 400, "Arrow"},
		{path("binary"), isStream, "hello, world: this is no Arrow stream", 400, "Arrow"},
		{path("binary"), isStream, whole[:len(whole)/2], 400, "Arrow"},
		{path("value"), isStream, strings.Replace(whole, "temp", "kelv", 1), 400, ""},
		{path("binary"), isParquet, "", 400, "Parquet"},
		{path("binary"), isParquet, "PAR1", 400, "Parquet"},
		{path("binary"), isParquet, parq[:len(parq)-20], 400, "Parquet"},
		{path("binary"), isParquet, parq[:200] + strings.Repeat("\xff", 40) + parq[240:], 400, ""},
		{path("nobody"), isCSV, "temp\n1\n", 404, "no deployment"},
	} {
		status, body := Call(h, "POST", tc.path, tc.body, tc.header)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s %.40q: %d %.300s, want %d %s", tc.path, tc.header, tc.body, status, body, tc.status, tc.want)
		}
	}
	if status, body := Call(h, "POST", path("value"), "temp,dest\n5,LAX\n", isCSV, "Accept: image/png"); status != 406 {
		t.Errorf("%d %s", status, body)
	}
}

// TestDamagedFiles flips bits of every third byte of small files: the answer is never the server's fault, and no size in them is believed.
func TestDamagedFiles(t *testing.T) {
	h := Door(t, rows.Register)
	for header, whole := range map[string]string{isStream: stream(t, record(t), false), isFile: stream(t, record(t), true, ipc.WithLZ4()), isParquet: parquetFile(t)} {
		for i := 0; i < len(whole); i += 3 {
			for _, mask := range []byte{0xff, 0x40} {
				body := []byte(whole)
				body[i] ^= mask
				if status, answer := Call(h, "POST", path("binary"), string(body), header); status >= 500 {
					t.Fatalf("%s: byte %d ^ %#x: %d %s", header, i, mask, status, answer)
				}
			}
		}
	}
}

func FuzzTables(f *testing.F) {
	h := Door(f, rows.Register)
	for header, body := range map[string]string{isStream: stream(f, record(f), false), isFile: stream(f, record(f), true), isParquet: parquetFile(f), isCSV: "temp,dest\n1,LAX\n", isLines: "{\"temp\":1}\n", "Content-Type: application/json": `{"rows":[{"temp":[1]}]}`} {
		f.Add(header, "binary", body)
		f.Add(header, "mean", body)
	}
	f.Fuzz(func(t *testing.T, header, model, body string) {
		if model != "binary" && model != "mean" && model != "classes" {
			return
		}
		if status, answer := Call(h, "POST", path(model), body, header); status >= 500 {
			t.Errorf("%d %s", status, answer)
		}
	})
}

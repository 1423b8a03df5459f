package mlflow

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// TestFloats: numbers are written as Python writes them (repr), and read back as they were.
func TestFloats(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0.0", 1: "1.0", -2: "-2.0", 0.5: "0.5", 1e15: "1000000000000000.0", 1e16: "1e+16", 1e-4: "0.0001", 1e-5: "1e-05", math.MaxFloat64: "1.7976931348623157e+308",
		5e-324: "5e-324", math.Inf(1): `"Infinity"`, math.Inf(-1): `"-Infinity"`, math.Nextafter(0.3, 1): "0.30000000000000004",
	} {
		if got := string(appendFloat(nil, value)); got != want {
			t.Errorf("%v: %s, want %s", value, got, want)
		}
	}
	if got := string(appendFloat(nil, math.NaN())); got != `"NaN"` {
		t.Error(got)
	}
}

func TestTexts(t *testing.T) {
	for _, text := range []string{"", "plain", `quo"te\back`, "line\nend\r\ttab\b\x01\x1f", "ä日本🐎", "\u2028", "a\xffb", "\xed\xa0\x80"} {
		var back string
		got := appendText(nil, text)
		if err := json.Unmarshal(got, &back); err != nil || back != strings.Map(func(r rune) rune { return r }, text) { // bytes that are no UTF-8 become U+FFFD
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// TestLongAnswersAreSentInPieces: what is flushed in between reads as one answer.
func TestLongAnswersAreSentInPieces(t *testing.T) {
	w := httptest.NewRecorder()
	o := &out{w: w}
	o.open('{')
	o.list("items")
	const n = 5000
	for i := range n {
		o.open('{')
		o.text("name", strings.Repeat("x", 50))
		o.int("number", int64(i))
		o.close('}')
		o.flush()
	}
	o.close(']')
	o.bool("done", true)
	o.close('}')
	if !o.sent || cap(o.b) > 4*flushAt {
		t.Errorf("sent %v, %d bytes are held", o.sent, cap(o.b))
	}
	var got struct {
		Items []struct {
			Name   string
			Number int
		}
		Done bool
	}
	if err := json.Unmarshal(append(w.Body.Bytes(), o.b...), &got); err != nil || len(got.Items) != n || got.Items[n-1].Number != n-1 || !got.Done {
		t.Errorf("%d items, %v", len(got.Items), err)
	}
}

// page is a page of runs as a search gives it: 10 parameters, 5 metrics, 3 tags each.
func page(n int) []*track.Run {
	runs := make([]*track.Run, n)
	for i := range runs {
		r := &track.Run{ID: fmt.Sprintf("%032x", i), ExperimentID: "1", Name: "kind-ibis-99", State: track.Finished, Stage: track.StageActive, StartedAt: time.UnixMilli(1795255032614),
			ArtifactURI: fmt.Sprintf("mlflow-artifacts:/1/%032x/artifacts", i), Params: map[string]string{}, Metrics: track.Values{}, Latest: map[string]track.Metric{}, Tags: map[string]string{}}
		for k := range 10 {
			r.Params["param_"+strconv.Itoa(k)] = strconv.Itoa(i * k)
		}
		for k := range 5 {
			key := "metric_" + strconv.Itoa(k)
			r.Metrics[key] = math.Sqrt(float64(i + k))
			r.Latest[key] = track.Metric{Key: key, Value: math.Sqrt(float64(i + k)), At: 1795255032614, Step: 10}
		}
		for k := range 3 {
			r.Tags["tag_"+strconv.Itoa(k)] = "value"
		}
		runs[i] = r
	}
	return runs
}

func TestRunsAreValidJSON(t *testing.T) {
	o := &out{}
	o.open('{')
	o.run(page(1)[0], true)
	o.close('}')
	var got struct {
		Info map[string]any
		Data struct{ Metrics, Params, Tags []map[string]any }
	}
	if err := json.Unmarshal(o.b, &got); err != nil {
		t.Fatalf("%v: %s", err, o.b)
	}
	if diff := cmp.Diff([]int{5, 10, 3}, []int{len(got.Data.Metrics), len(got.Data.Params), len(got.Data.Tags)}); diff != "" || got.Info["run_id"] != got.Info["run_uuid"] {
		t.Errorf("%s: %s", diff, o.b)
	}
}

func BenchmarkPage(b *testing.B) {
	runs := page(1000)
	b.ReportAllocs()
	for b.Loop() {
		o := outs.Get().(*out)
		o.w = httptest.NewRecorder()
		o.list("runs")
		for _, r := range runs {
			o.open('{')
			o.run(r, true)
			o.close('}')
			o.flush()
		}
		o.close(']')
		*o = out{b: o.b[:0]}
		outs.Put(o)
	}
}

package feedback_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// A prediction and its outcome by key take about 200 bytes of memory (the bound leaves room for a map that has just grown): a year of
// the flights is 260,000 of them.
func TestMemoryPerPrediction(t *testing.T) {
	const n = 100_000
	w := newWorld(t)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	recs := make([]serve.Prediction, 0, 1000)
	var outcomes []feedback.Outcome
	for i := range n {
		p := prediction(fmt.Sprint("key", i), day.Add(time.Duration(i)*time.Second))
		recs = append(recs, p)
		outcomes = append(outcomes, feedback.Outcome{Key: p.Key, At: time.UnixMicro(p.At).UTC(), Values: delay(float64(i % 30))})
		if len(recs) == cap(recs) {
			w.record(recs...)
			w.add(outcomes...)
			recs, outcomes = recs[:0], outcomes[:0]
		}
	}
	recs, outcomes = nil, nil
	per := float64(heap()-before) / n
	if c := w.service.Counts("flights"); c.Predictions != n || c.Labeled != n {
		t.Fatalf("counts are %+v", c)
	}
	if per > 260 {
		t.Errorf("%.0f bytes per prediction with its outcome", per)
	}
	t.Logf("%.0f bytes per prediction with its outcome by key", per)
	runtime.KeepAlive(outcomes)
	runtime.KeepAlive(recs)
}

func BenchmarkRecord(b *testing.B) {
	w := newWorld(b)
	recs := []serve.Prediction{prediction("k", day)}
	b.ReportAllocs()
	for b.Loop() {
		recs[0].ID = prediction("k", day).ID
		if err := w.service.Record(b.Context(), serve.LogRequired, recs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	w := newWorld(b)
	var recs []serve.Prediction
	for i := range 6400 {
		recs = append(recs, prediction(fmt.Sprint("key", i), day.Add(time.Duration(i)*time.Minute)))
	}
	w.record(recs...)
	b.ReportAllocs()
	for b.Loop() {
		rows, err := w.service.Rows(b.Context(), "flights", day, day.AddDate(0, 1, 0), false)
		if err != nil || len(rows) != 6400 {
			b.Fatal(len(rows), err)
		}
	}
}

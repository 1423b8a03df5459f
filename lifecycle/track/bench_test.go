package track_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// measure reports the processor time of an operation, which other programs on the machine do not change.
func measure(b *testing.B) {
	var before syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	b.Cleanup(func() {
		var after syscall.Rusage
		must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
		spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
	})
}

func benchWorld(b *testing.B) *world {
	dir := b.TempDir()
	return openWorld(b, catalogtest.Open(b, filepath.Join(dir, "catalog.db"), schemas...), dir)
}

// BenchmarkLogBatch logs 1,000 points of 100 metrics at once.
func BenchmarkLogBatch(b *testing.B) {
	w := benchWorld(b)
	measure(b)
	r := w.run(b, "0")
	metrics := make([]track.Metric, track.MaxMetrics)
	for i := range metrics {
		metrics[i].Key = fmt.Sprintf("layer/%d/loss", i%100)
	}
	step := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range metrics {
			if i%100 == 0 {
				step++
			}
			metrics[i].Step, metrics[i].At, metrics[i].Value = step, step*1000, float64(i)*0.1
		}
		must(b, w.LogBatch(b.Context(), r.ID, track.Batch{Metrics: metrics}))
	}
}

func BenchmarkLogMetric(b *testing.B) {
	w := benchWorld(b)
	measure(b)
	r := w.run(b, "0")
	step := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		step++
		must(b, w.LogMetric(b.Context(), r.ID, track.Metric{Key: "loss", Step: step, At: step, Value: 0.5}))
	}
}

// BenchmarkLogParam is ten clients who log a parameter each, again and again; every one is durable when its call returns.
func BenchmarkLogParam(b *testing.B) {
	w := benchWorld(b)
	measure(b)
	runs := make([]string, 10)
	for i := range runs {
		runs[i] = w.run(b, "0").ID
	}
	var n, client atomic.Int64
	b.SetParallelism(5)
	b.RunParallel(func(p *testing.PB) {
		run := runs[int(client.Add(1))%len(runs)]
		for p.Next() {
			i := n.Add(1)
			must(b, w.LogParam(b.Context(), run, track.Param{Key: fmt.Sprint("p", i%97), Value: "v"}))
			if i%900 == 0 {
				run = w.run(b, "0").ID
			}
		}
	})
}

func BenchmarkSetTag(b *testing.B) {
	w := benchWorld(b)
	measure(b)
	runs := make([]string, 10)
	for i := range runs {
		runs[i] = w.run(b, "0").ID
	}
	var n, client atomic.Int64
	b.SetParallelism(5)
	b.RunParallel(func(p *testing.PB) {
		run := runs[int(client.Add(1))%len(runs)]
		for p.Next() {
			must(b, w.SetTag(b.Context(), run, track.Tag{Key: "k", Value: fmt.Sprint(n.Add(1))}))
		}
	})
}

func BenchmarkCreateRun(b *testing.B) {
	w := benchWorld(b)
	measure(b)
	for b.Loop() {
		w.run(b, "0", track.Tag{Key: "mlflow.user", Value: "ada"}, track.Tag{Key: "mlflow.source.name", Value: "train.py"})
	}
}

func BenchmarkGetRun(b *testing.B) {
	w := benchWorld(b)
	measure(b)
	r := w.run(b, "0")
	must(b, w.LogMetric(b.Context(), r.ID, track.Metric{Key: "loss", Value: 0.5}))
	for b.Loop() {
		w.get(b, r.ID)
	}
}

package worker

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// metrics are those of all pools of a manager, by model.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.CounterVec
	restarts *prometheus.CounterVec
	memory   *prometheus.GaugeVec
	workers  *prometheus.GaugeVec
	broken   *prometheus.GaugeVec
	model    *prometheus.GaugeVec
}

// newMetrics registers them; those that are there already are used.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("trimtab_worker_requests_total", "Requests to workers, by how they ended: ok, refused (the caller's mistake), failed.", "model", "result"),
		seconds:  counter("trimtab_worker_seconds_total", "Time that requests spent waiting for a worker and in it.", "model"),
		restarts: counter("trimtab_worker_restarts_total", "Workers that crashed or were killed.", "model"),
		memory:   gauge("trimtab_worker_memory_bytes", "Resident memory of all workers.", "model"),
		workers:  gauge("trimtab_workers", "Workers that run.", "model"),
		broken:   gauge("trimtab_worker_broken", "1 when no worker is started any more, after too many crashes.", "model"),
		model:    gauge("trimtab_worker_model_metric", "Numbers that a model told of itself.", "model", "name"),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.restarts, m.memory, m.workers, m.broken, m.model} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// poolMetrics are those of one model.
type poolMetrics struct {
	all                 *metrics
	name                string
	ok, refused, failed prometheus.Counter
	seconds, restarts   prometheus.Counter
	memory, workers     prometheus.Gauge
	broken              prometheus.Gauge
}

func (m *metrics) of(model string) poolMetrics {
	return poolMetrics{all: m, name: model, ok: m.requests.WithLabelValues(model, "ok"), refused: m.requests.WithLabelValues(model, "refused"), failed: m.requests.WithLabelValues(model, "failed"),
		seconds: m.seconds.WithLabelValues(model), restarts: m.restarts.WithLabelValues(model), memory: m.memory.WithLabelValues(model), workers: m.workers.WithLabelValues(model),
		broken: m.broken.WithLabelValues(model)}
}

func (m *poolMetrics) took(d time.Duration, err error) {
	m.seconds.Add(d.Seconds())
	var f *fault.Error
	switch {
	case err == nil:
		m.ok.Inc()
	case errors.As(err, &f) && f.Code == fault.Invalid:
		m.refused.Inc()
	default:
		m.failed.Inc()
	}
}

// forget takes the gauges of a closed pool away; counters stay.
func (m *poolMetrics) forget() {
	m.all.memory.DeleteLabelValues(m.name)
	m.all.workers.DeleteLabelValues(m.name)
	m.all.broken.DeleteLabelValues(m.name)
	m.all.model.DeletePartialMatch(prometheus.Labels{"model": m.name})
}

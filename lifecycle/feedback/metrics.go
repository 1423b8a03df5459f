package feedback

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

var statuses = []string{Accepted, Pending, Duplicate, Revised, Rejected}

// metrics counts what the logs do and shows it to Prometheus when it asks.
type metrics struct {
	service      *Service
	recorded     atomic.Int64
	failures     atomic.Int64
	syncFailures atomic.Int64
	outcomes     [5]atomic.Int64 // by statuses

	descRecorded, descFailures, descSyncFailures, descOutcomes, descDropped, descPending *prometheus.Desc
}

func newMetrics(s *Service) *metrics {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("trimtab_log_"+name, help, labels, nil)
	}
	return &metrics{
		service:          s,
		descRecorded:     d("predictions_total", "Predictions written to the inference log."),
		descFailures:     d("write_failures_total", "Writes to the inference log that failed; with the levels required and strict their requests were refused."),
		descSyncFailures: d("sync_failures_total", "Background syncs of the inference log that failed."),
		descOutcomes:     d("outcomes_total", "Outcomes received, by what became of them.", "status"),
		descDropped:      d("dropped_total", "Predictions that the level best_effort answered and did not write.", "deployment"),
		descPending:      d("outcomes_pending", "Outcomes whose prediction has not turned up.", "deployment"),
	}
}

func (m *metrics) answered(status string) {
	for i, s := range statuses {
		if s == status {
			m.outcomes[i].Add(1)
		}
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.descRecorded, m.descFailures, m.descSyncFailures, m.descOutcomes, m.descDropped, m.descPending} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	count(m.descRecorded, m.recorded.Load())
	count(m.descFailures, m.failures.Load())
	count(m.descSyncFailures, m.syncFailures.Load())
	for i, status := range statuses {
		count(m.descOutcomes, m.outcomes[i].Load(), status)
	}
	m.service.mu.RLock()
	defer m.service.mu.RUnlock()
	for name, l := range m.service.logs {
		count(m.descDropped, l.dropped.Load(), name)
		l.mu.RLock()
		pending := l.ix.pending
		l.mu.RUnlock()
		ch <- prometheus.MustNewConstMetric(m.descPending, prometheus.GaugeValue, float64(pending), name)
	}
}

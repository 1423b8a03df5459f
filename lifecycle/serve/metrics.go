package serve

import (
	"math"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// collector shows the counters to Prometheus when it asks; requests pay nothing for it.
type collector struct{ s *Service }

var (
	descRows    = prometheus.NewDesc("trimtab_predictions_total", "Rows that a version answered or failed to answer.", []string{"deployment", "version"}, nil)
	descErrors  = prometheus.NewDesc("trimtab_prediction_errors_total", "Rows that a version could not answer. A caller's mistake is not one.", []string{"deployment", "version"}, nil)
	descLatency = prometheus.NewDesc("trimtab_prediction_latency_seconds", "Server time per answered row up to its log record.", []string{"deployment", "version"}, nil)
	descWhy     = prometheus.NewDesc("trimtab_explainer_bytes", "Memory that a version's explainer holds, once it was asked.", []string{"deployment", "version"}, nil)
	descShare   = prometheus.NewDesc("trimtab_canary_share", "Share of the traffic that the canary gets.", []string{"deployment"}, nil)
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRows, descErrors, descLatency, descShare, descWhy} {
		ch <- d
	}
}

// bounds of the exported histogram, in seconds; the counters have finer cells.
var bounds = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for name, e := range *c.s.deployments.Load() {
		l := e.live.Load()
		ch <- prometheus.MustNewConstMetric(descShare, prometheus.GaugeValue, l.deployment.Route.CanaryShare, name)
		for v, r := range l.resident {
			version := strconv.Itoa(v)
			t := r.counters.read()
			ch <- prometheus.MustNewConstMetric(descRows, prometheus.CounterValue, float64(t.rows), name, version)
			ch <- prometheus.MustNewConstMetric(descErrors, prometheus.CounterValue, float64(t.errors), name, version)
			if e := r.why.made.Load(); e != nil {
				ch <- prometheus.MustNewConstMetric(descWhy, prometheus.GaugeValue, float64(e.Bytes()), name, version)
			}
			cumulative := map[float64]uint64{}
			var n uint64
			b := 0
			for i, count := range t.latency {
				for b < len(bounds) && math.Pow(growth, float64(i)) > bounds[b]*1e6 {
					cumulative[bounds[b]] = n
					b++
				}
				n += uint64(count)
			}
			ch <- prometheus.MustNewConstHistogram(descLatency, n, float64(r.counters.microseconds.Load())/1e6, cumulative, name, version)
		}
	}
}

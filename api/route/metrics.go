package route

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the Prometheus series of the HTTP doors.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	active   prometheus.Gauge
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "trimtab_http_requests_total",
			Help: "HTTP requests answered, by route, action and class of status."}, []string{"route", "action", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "trimtab_http_request_duration_seconds",
			Help:    "Time from the first byte of the request's header to the end of the handler, by route and action.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30}}, []string{"route", "action"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "trimtab_http_requests_active",
			Help: "HTTP requests being handled, streams included."}),
	}
	registry.MustRegister(m.requests, m.duration, m.active)
	return m
}

// series are the metrics of one route, looked up once.
type series struct {
	active   prometheus.Gauge
	duration prometheus.Observer
	status   [6]prometheus.Counter // by the first digit
}

func (m *metrics) route(pattern string, a Access) *series {
	s := &series{active: m.active, duration: m.duration.WithLabelValues(pattern, a.Action)}
	for class := 1; class <= 5; class++ {
		s.status[class] = m.requests.WithLabelValues(pattern, a.Action, string(rune('0'+class))+"xx")
	}
	return s
}

func (s *series) begin() { s.active.Inc() }

func (s *series) end(status int, took time.Duration) {
	s.active.Dec()
	s.duration.Observe(took.Seconds())
	if class := status / 100; class >= 1 && class <= 5 {
		s.status[class].Inc()
	}
}

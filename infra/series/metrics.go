package series

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the store does.
type metrics struct {
	registry      prometheus.Registerer
	registered    []prometheus.Collector
	points        prometheus.Counter
	appends       prometheus.Counter
	writes        prometheus.Counter
	bytes         prometheus.Counter
	failures      prometheus.Counter
	syncFailures  prometheus.Counter
	flushes       prometheus.Counter
	flushFailures prometheus.Counter
	merges        prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, s *Store) (*metrics, error) {
	m := &metrics{registry: registry}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "trimtab_series_" + name, Help: help})
		m.registered = append(m.registered, c)
		return c
	}
	m.points = counter("points_total", "Metric points that were stored, repeated ones too.")
	m.appends = counter("appends_total", "Calls that stored metric points.")
	m.writes = counter("log_writes_total", "Writes to the log; several calls share one.")
	m.bytes = counter("log_bytes_total", "Bytes written to the log.")
	m.failures = counter("append_failures_total", "Calls whose metric points could not be stored.")
	m.syncFailures = counter("log_sync_failures_total", "Times that the log could not be synced.")
	m.flushes = counter("flushes_total", "Times that memory became segments.")
	m.flushFailures = counter("flush_failures_total", "Times that memory could not be written as segments.")
	m.merges = counter("merges_total", "Merges of segments.")
	gauge := func(name, help string, value func(Stats) float64) {
		m.registered = append(m.registered, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "trimtab_series_" + name, Help: help},
			func() float64 { return value(s.Stats()) }))
	}
	gauge("memory_bytes", "Bytes of metric points that are not yet in segments.", func(s Stats) float64 { return float64(s.MemoryBytes) })
	gauge("segments", "Segment files.", func(s Stats) float64 { return float64(s.Segments) })
	gauge("segment_bytes", "Bytes of segment files.", func(s Stats) float64 { return float64(s.SegmentBytes) })
	if registry == nil {
		return m, nil
	}
	for _, c := range m.registered {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the store of metric points: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
}

func (m *metrics) wrote(points, calls, bytes int) {
	m.points.Add(float64(points))
	m.appends.Add(float64(calls))
	m.writes.Inc()
	m.bytes.Add(float64(bytes))
}

func (m *metrics) failed(calls int) { m.failures.Add(float64(calls)) }

// Stats is the state of a store.
type Stats struct {
	Segments      int // files, packs included
	Packs         int // files that owners share
	SegmentBytes  int64
	SegmentPoints int64 // hidden ones in packs too
	MemoryPoints  int64 // repeated ones may count twice
	MemoryBytes   int64 // about
	MemoryOwners  int
	Hidden        int // owners of which packs have pieces that do not count
}

// Stats counts without reading files.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Stats{Packs: len(s.set.packs), Hidden: len(s.set.hidden)}
	for _, m := range []*memory{s.mem, s.frozen} {
		if m != nil {
			st.MemoryPoints += m.points
			st.MemoryBytes += m.bytes
			st.MemoryOwners += len(m.owners)
		}
	}
	count := func(seg *segment) {
		st.Segments++
		st.SegmentBytes += seg.size
		st.SegmentPoints += seg.points
	}
	for _, seg := range s.set.packs {
		count(seg)
	}
	for _, own := range s.set.own {
		for _, seg := range own {
			count(seg)
		}
	}
	return st
}

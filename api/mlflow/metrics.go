package mlflow

import (
	"fmt"
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

var historyBulk = form(several(words("run_id")), words("metric_key"), long("max_results"))

func (d *door) registerMetrics() {
	d.registerBatch()
	d.add(endpoint{method: http.MethodPost, path: "/mlflow/runs/log-metric", action: "run.log", resource: "run", class: route.Infer, form: metricNew, do: d.logMetric})
	const path = "/mlflow/metrics/"
	d.add(endpoint{method: http.MethodGet, path: path + "get-history", action: "run.metrics", resource: "run", form: history, do: d.history})
	d.add(endpoint{method: http.MethodGet, path: path + "get-history-bulk", action: "run.metrics", resource: "run", form: historyBulk, do: d.historyBulk})
	d.add(endpoint{method: http.MethodGet, path: path + "get-history-bulk-interval", action: "run.metrics", resource: "run", form: historyInterval, do: d.historyInterval})
}

func (d *door) logMetric(c *call) error {
	return d.track.LogMetric(c.ctx, c.in.text("run_id"), track.Metric{Key: c.in.text("key"), Value: c.in.get("value").float, At: c.in.int("timestamp"),
		Step: c.in.int("step"), ModelID: c.in.text("model_id"), DatasetName: c.in.text("dataset_name"), DatasetDigest: c.in.text("dataset_digest")})
}

func (d *door) history(c *call) error {
	most := 0 // all
	if v := c.in.get("max_results"); v.set {
		if v.int <= 0 {
			return fault.New(fault.Invalid, "Invalid value %d for parameter 'max_results' supplied. It must be a positive integer.", v.int)
		}
		most = int(v.int)
	}
	points, next, err := d.track.History(c.ctx, c.in.text("run_id"), c.in.text("metric_key"), c.in.text("page_token"), most)
	if err != nil {
		return err
	}
	if len(points) > 0 {
		c.list("metrics")
		for i := range points {
			c.open('{')
			c.metric(&points[i])
			c.close('}')
			c.flush()
		}
		c.close(']')
	}
	c.optional("next_page_token", next)
	return nil
}

func (d *door) historyBulk(c *call) error {
	runs := c.in.texts("run_id")
	switch {
	case len(runs) == 0:
		return fault.New(fault.Invalid, "GetMetricHistoryBulk request must specify at least one run_id.")
	case len(runs) > maxBulkRuns:
		return fault.New(fault.Invalid, "GetMetricHistoryBulk request cannot specify more than %d run_ids. Received %d run_ids.", maxBulkRuns, len(runs))
	case !c.in.has("metric_key"):
		return fault.New(fault.Invalid, "GetMetricHistoryBulk request must specify a metric_key.")
	}
	most := int64(maxBulkPoints)
	if v := c.in.get("max_results"); v.set {
		most = min(most, v.int)
	}
	if most <= 0 {
		return fault.New(fault.Invalid, "Invalid value %d for parameter 'max_results' supplied. It must be a positive integer.", most)
	}
	points, err := d.track.HistoryBulk(c.ctx, runs, c.in.text("metric_key"), int(most))
	if err != nil {
		return fmt.Errorf("metric histories: %w", err)
	}
	c.list("metrics")
	c.runMetrics(points)
	c.close(']')
	return nil
}

func (d *door) historyInterval(c *call) error {
	var from, to *int64
	start, end := c.in.get("start_step"), c.in.get("end_step")
	switch {
	case start.set != end.set:
		return fault.New(fault.Invalid, "If either start step or end step are specified, both must be specified.")
	case start.set && start.int > end.int:
		return fault.New(fault.Invalid, "end_step must be greater than start_step. Found start_step=%d and end_step=%d.", start.int, end.int)
	case start.set:
		from, to = &start.int, &end.int
	}
	most := int64(maxIntervalPoints)
	if v := c.in.get("max_results"); v.set {
		most = v.int
	}
	points, err := d.track.HistoryInterval(c.ctx, c.in.texts("run_ids"), c.in.text("metric_key"), from, to, int(most))
	if err != nil {
		return fmt.Errorf("metric histories: %w", err)
	}
	if len(points) > 0 {
		c.list("metrics")
		c.runMetrics(points)
		c.close(']')
	}
	return nil
}

func (o *out) runMetrics(points []track.RunMetric) {
	for i := range points {
		o.open('{')
		o.metric(&points[i].Metric)
		o.text("run_id", points[i].RunID)
		o.close('}')
		o.flush()
	}
}

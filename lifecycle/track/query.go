package track

// View says which stages a search sees.
type View string

// The views; the zero View is ViewActive.
const (
	ViewActive  View = "active"
	ViewDeleted View = "deleted"
	ViewAll     View = "all"
)

// Search is what every search takes. Filter and OrderBy are MLflow's grammar.
type Search struct {
	Filter     string
	OrderBy    []string
	View       View
	MaxResults int // 0 = the default of the noun
	PageToken  string
}

// RunSearch finds runs in experiments.
type RunSearch struct {
	Experiments []string
	Search
}

// TableQuery asks for cells of runs. Columns are "metrics.x", "params.y", "tags.z" or "attributes.start_time".
type TableQuery struct {
	RunSearch
	Columns       []string
	Offset, Limit int
	GroupBy       []string
}

// Table is the answer: one row of cells for every run, in the order of the columns.
type Table struct {
	Total  int64
	IDs    []string
	Rows   [][]any // string, float64, int64 or nil
	Groups []Group
}

// Group is the runs that agree in every GroupBy column.
type Group struct {
	Values []any
	Count  int64
}

// Keys are the names that runs of some experiments use, in order.
type Keys struct {
	Params  []string `json:"params"`
	Metrics []string `json:"metrics"`
	Tags    []string `json:"tags"`
}

// ChartRequest asks for curves that fit a screen.
type ChartRequest struct {
	Runs, Keys []string
	Axis       string // "step", "time" or "relative" (milliseconds since the first point)
	From, To   *int64
	Buckets    int
}

// ChartSeries is one curve. With Downsampled, Points are buckets that keep the extremes.
type ChartSeries struct {
	Run         string       `json:"run"`
	Key         string       `json:"key"`
	Points      []ChartPoint `json:"points"`
	Total       int64        `json:"total"`
	Downsampled bool         `json:"downsampled"`
}

// ChartPoint is one point or one bucket: Y is the last value, Low and High the extremes.
type ChartPoint struct {
	X            int64
	Y, Low, High float64
	Count        int64
}

// RunMetric is a point with the run it belongs to.
type RunMetric struct {
	RunID string
	Metric
}

// ModelSearch finds logged models. Order has MLflow's field names: "name", "creation_timestamp", "metrics.auc".
type ModelSearch struct {
	Experiments []string
	Filter      string
	Datasets    []DatasetFilter // any of them; restricts metric conditions, or demands a metric on one of them
	Order       []ModelOrder
	MaxResults  int // 0 = 100
	PageToken   string
}

// DatasetFilter names a dataset; an empty digest matches all.
type DatasetFilter struct{ Name, Digest string }

// ModelOrder is one key of an order.
type ModelOrder struct {
	Field      string
	Descending bool
	Dataset    DatasetFilter // for metrics
}

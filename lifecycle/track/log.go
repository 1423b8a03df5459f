package track

// Tag is a note on a run, an experiment, a model or a version. It can be changed and taken away.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Param is a setting of a run. It never changes once it is there.
type Param struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Metric is one point: a value at a step and a moment.
type Metric struct {
	Key   string
	Value float64
	At    int64 // milliseconds since 1970, as the client gave it
	Step  int64

	// What was measured, when the client said so.
	ModelID       string
	DatasetName   string
	DatasetDigest string
}

// Batch is what one request logs to a run: all of it or nothing.
type Batch struct {
	Metrics []Metric
	Params  []Param
	Tags    []Tag
}

package native

import (
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// PredictRequest is the row form of a prediction request. The types of this file are read by nobody but the
// description: api/inference has a codec of its own, because JSON is most of what a prediction costs.
type PredictRequest struct {
	Rows    []map[string]any `json:"rows" doc:"one object per row: column and value; what is left out is missing"`
	Keys    []*string        `json:"keys,omitempty" doc:"one key per row, or null to have it derived: sticky routing and late truth go by it"`
	At      any              `json:"at,omitempty" doc:"the time of the prediction, one for all rows or one per row; left out: now by the project's clock"`
	Version int              `json:"version,omitempty" doc:"of the model; left out: by the deployment's route"`
	ID      string           `json:"id,omitempty" doc:"of the request"`
	Explain bool             `json:"explain,omitempty" doc:"say of every row what its features contributed; 400 when the version's model cannot be explained"`
}

// PredictAnswer has one prediction per row, in the order of the rows.
type PredictAnswer struct {
	Predictions []struct {
		ID      string              `json:"id" doc:"the outcome may arrive under it"`
		Version int                 `json:"version"`
		Arm     string              `json:"arm" enum:"champion,canary,contender"`
		Key     string              `json:"key,omitempty"`
		At      string              `json:"at" format:"date-time"`
		Score   float64             `json:"score,omitempty" doc:"the probability of the positive class, or the predicted value"`
		Scores  []float64           `json:"scores,omitempty" doc:"one probability per class"`
		Label   string              `json:"label,omitempty"`
		Flags   map[string][]string `json:"flags,omitempty" doc:"inputs that were missing, unseen or out_of_range"`
		// Explanation is there when the request asked for it.
		Explanation *PredictExplanation `json:"explanation,omitempty"`
	} `json:"predictions"`
}

// PredictExplanation is why a row scored what it scored, in margin space. Lists have one number per output: one, or one per class.
type PredictExplanation struct {
	Unit          string               `json:"unit" enum:"log_odds,score,log,probability,value" doc:"of all numbers"`
	Expected      []float64            `json:"expected" doc:"the margin when nothing is known of the row"`
	Margin        []float64            `json:"margin" doc:"expected plus all contributions"`
	Contributions map[string][]float64 `json:"contributions" doc:"by feature of the signature"`
}

// DescribePlain adds the routes that read and write their bodies themselves to the OpenAPI description. Call it when
// every route is registered.
func DescribePlain(r *route.Router) {
	const stream = "text/event-stream"
	r.Describe(http.MethodPost, route.Prefix+"/deployments/{name}/predict", "Predict rows", &route.Body{Value: PredictRequest{}}, route.Body{Value: PredictAnswer{}})
	r.Describe(http.MethodGet, route.Prefix+"/deployments/{name}/log.parquet", "Give the log of predictions with their outcomes", nil, route.Body{Media: mediaParquet})
	r.Describe(http.MethodGet, route.Prefix+"/projects/{project}/datasets/{dataset}/versions/{version}/profile.html", "Give the profile of a version as a page", nil, route.Body{Media: "text/html"})
	r.Describe(http.MethodGet, route.Prefix+"/projects/{project}/datasets/{dataset}/versions/{version}/quarantine.parquet", "Give the rows that failed the contract", nil, route.Body{Media: mediaParquet})
	r.Describe(http.MethodGet, route.Prefix+"/projects/{project}/datasets/{dataset}/versions/{version}/rows.parquet", "Give all rows of a version", nil, route.Body{Media: mediaParquet})
	r.Describe(http.MethodGet, route.Prefix+"/models/{model}/versions/{version}/files/{path...}", "Give a file of a version", nil, route.Body{Media: "application/octet-stream"})
	r.Describe(http.MethodPost, route.Prefix+"/runs/table", "Cells of runs: what a page shows and nothing else", &route.Body{Value: TableRequest{}}, route.Body{Value: TableAnswer{}})
	r.Describe(http.MethodPost, route.Prefix+"/runs/charts", "Curves that fit a screen", &route.Body{Value: ChartRequest{}}, route.Body{Value: ChartAnswer{}})
	r.Describe(http.MethodPost, route.Prefix+"/runs/export", "Every matching run as CSV", &route.Body{Value: TableRequest{}}, route.Body{Media: "text/csv"})
	r.Describe(http.MethodGet, route.Prefix+"/runs/{id}/metrics/export", "Every point of a run, exactly: ?format=csv, arrow or parquet", nil, route.Body{Media: "text/csv"})
	r.Describe(http.MethodGet, route.Prefix+"/runs/{id}/artifacts/files/{path...}", "Give an artifact of a run", nil, route.Body{Media: "application/octet-stream"})
	r.Describe(http.MethodPut, route.Prefix+"/runs/{id}/artifacts/files/{path...}", "Store an artifact of a run", &route.Body{Media: "application/octet-stream"}, route.Body{Media: "application/octet-stream"})
	r.Describe(http.MethodDelete, route.Prefix+"/runs/{id}/artifacts/files/{path...}", "Delete an artifact of a run, or a folder of them", nil, route.Body{Media: "application/octet-stream"})
	r.Describe(http.MethodGet, route.Prefix+"/experiments/{experiment}/stream", "Follow what changes in an experiment, or in several: their ids with commas between", nil, route.Body{Media: stream, Value: track.Change{}})
	r.Describe(http.MethodGet, route.Prefix+"/runs/{id}/stream", "Follow what changes about a run", nil, route.Body{Media: stream, Value: track.Change{}})
	r.Describe(http.MethodPost, route.Prefix+"/models/{model}/import", "Register the files of a model as its next version; the query says how it is run: kind, task, engine, python, requirements, allow, tolerance, project, description",
		&route.Body{Media: mediaTar}, route.Body{Value: VersionDetail{}})
	r.Describe(http.MethodPost, route.Prefix+"/models/{model}/versions/{version}/score", "Score a file of rows offline", &route.Body{Media: mediaParquet}, route.Body{Media: mediaParquet})
	r.Describe(http.MethodPost, route.Prefix+"/backup", "Give a copy of everything, to be restored with `trimtab restore`", nil, route.Body{Media: "application/x-tar"})
	r.Describe(http.MethodGet, route.Prefix+"/events/stream", "Follow what happens, from Last-Event-ID on", nil, route.Body{Media: stream, Value: govern.Event{}})
	r.Describe(http.MethodGet, route.Prefix+"/jobs/stream", "Follow every job", nil, route.Body{Media: stream, Value: queue.Job{}})
	r.Describe(http.MethodGet, route.Prefix+"/jobs/{id}/stream", "Follow one job to its end", nil, route.Body{Media: stream, Value: queue.Job{}})
}

package torchserve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// pageSize is how many models a page has when the caller does not say.
const pageSize = 100

func (d *door) send(w http.ResponseWriter, req *http.Request, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	codec.Send(w, req, codec.JSON, append(b, '\n'))
	return nil
}

func (d *door) say(w http.ResponseWriter, req *http.Request, format string, args ...any) error {
	return d.send(w, req, map[string]string{"status": fmt.Sprintf(format, args...)})
}

type listed struct {
	Name string `json:"modelName"`
	URL  string `json:"modelUrl"`
}

// list answers GET /models?limit=100&next_page_token=0.
func (d *door) list(w http.ResponseWriter, req *http.Request) error {
	all, err := d.serving.List(req.Context())
	if err != nil {
		return err
	}
	if only := req.PathValue("deployment"); only != "" {
		all = slices.DeleteFunc(all, func(at serve.Deployment) bool { return at.Name != only })
		if len(all) == 0 {
			_, err := d.serving.Get(req.Context(), only)
			return err
		}
	}
	limit, err := number(req, "limit", pageSize)
	if err != nil {
		return err
	}
	from, err := number(req, "next_page_token", 0)
	if err != nil {
		return err
	}
	answer := struct {
		Next   string   `json:"nextPageToken,omitempty"`
		Models []listed `json:"models"`
	}{Models: []listed{}}
	if limit = min(max(limit, 1), 1000); from < len(all) {
		for _, at := range all[from:min(from+limit, len(all))] {
			answer.Models = append(answer.Models, listed{at.Name, urlOf(&at, at.Route.Champion)})
		}
		if from+limit < len(all) {
			answer.Next = strconv.Itoa(from + limit)
		}
	}
	return d.send(w, req, answer)
}

func number(req *http.Request, name string, usual int) (int, error) {
	text := req.URL.Query().Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<30 {
		return 0, fault.New(fault.Invalid, "Invalid %s: %q is no number", name, codec.Clip(text))
	}
	return n, nil
}

// urlOf is where a version is in the registry.
func urlOf(at *serve.Deployment, version int) string {
	if version == 0 {
		return "models:/" + at.Model
	}
	return "models:/" + at.Model + "/" + strconv.Itoa(version)
}

type described struct {
	Name     string   `json:"modelName"`
	Version  string   `json:"modelVersion"`
	URL      string   `json:"modelUrl"`
	Engine   string   `json:"engine,omitempty"`
	Runtime  string   `json:"runtime"`
	Min      int      `json:"minWorkers"`
	Max      int      `json:"maxWorkers"`
	Batch    int      `json:"batchSize"`
	Delay    int      `json:"maxBatchDelay"`
	Loaded   bool     `json:"loadedAtStartup"`
	Default  bool     `json:"default"`
	Workers  []worker `json:"workers"`
	JobQueue struct {
		Remaining int64 `json:"remainingCapacity"`
		Pending   int64 `json:"pendingRequests"`
	} `json:"jobQueueStatus"`
}

type worker struct {
	ID      string `json:"id"`
	Started string `json:"startTime"`
	Status  string `json:"status"`
	Memory  int64  `json:"memoryUsage"`
	PID     int    `json:"pid"`
	GPU     bool   `json:"gpu"`
}

// queueSize is what TorchServe calls the capacity of the queue before workers; a model that answers in process has none and is never full.
const queueSize = 100

// describe answers with the default version, with one, or with all.
func (d *door) describe(w http.ResponseWriter, req *http.Request) error {
	name, model := req.PathValue("deployment"), req.PathValue("model")
	if name == "" {
		name = model
	}
	at, err := d.serving.Get(req.Context(), name)
	if err != nil {
		return err
	}
	var versions []int
	switch text := req.PathValue("version"); text {
	case "all":
		versions = at.Resident
	case "":
		if versions = []int{at.Route.Champion}; at.Route.Champion == 0 {
			versions = nil
		}
	default:
		v, err := versionOf(name, text)
		if err != nil {
			return err
		}
		if !slices.Contains(at.Resident, v) {
			return noVersion(at, v)
		}
		versions = []int{v}
	}
	answer := []described{}
	for _, v := range versions {
		answer = append(answer, d.described(at, model, v))
	}
	return d.send(w, req, answer)
}

func noVersion(at *serve.Deployment, v int) error {
	return fault.New(fault.NotFound, "Model version: %d does not exist for model: %s", v, at.Name).With("version", v).
		WithHint("loaded versions are %s", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(at.Resident)), ", "), "[]"))
}

func (d *door) described(at *serve.Deployment, model string, v int) described {
	m := described{Name: model, Version: strconv.Itoa(v), URL: urlOf(at, v), Runtime: "trimtab", Min: 1, Max: 1, Batch: 1, Loaded: true, Default: v == at.Route.Champion, Workers: []worker{}}
	m.JobQueue.Remaining = queueSize
	status := d.serving.Status(at.Name, v)
	if status == nil {
		m.Min, m.Max = 0, 0
		return m
	}
	m.Engine = status.Engine
	if status.Engine == "python" || status.Engine == "r" {
		m.Runtime = status.Engine
	}
	m.JobQueue.Pending = status.Queued
	m.JobQueue.Remaining = max(queueSize-status.Queued, 0)
	for _, p := range status.Workers {
		state := "READY"
		switch p.State {
		case "starting":
			state = "UNLOADED"
		case "stopping":
			state = "STOPPED"
		}
		m.Workers = append(m.Workers, worker{ID: strconv.Itoa(p.PID), Started: p.Started.UTC().Format(time.RFC3339Nano), Status: state, Memory: p.Memory, PID: p.PID})
	}
	if n := len(m.Workers); n > 0 {
		m.Min, m.Max = n, n
	} else {
		m.Workers = append(m.Workers, worker{ID: "in-process", Started: at.UpdatedAt.UTC().Format(time.RFC3339Nano), Status: "READY", Memory: status.Memory})
	}
	return m
}

// load answers POST /models?url=models:/NAME[/VERSION]: a registered model answers under its name.
func (d *door) load(w http.ResponseWriter, req *http.Request) error {
	query := req.URL.Query()
	url, alias := query.Get("url"), query.Get("model_name")
	name, version, err := registered(url)
	if err != nil {
		return err
	}
	if alias != "" && alias != name {
		return fault.New(fault.Invalid, "model_name is %q, and the registered model is %q: a model answers under its own name", codec.Clip(alias), codec.Clip(name)).
			WithHint("leave model_name out; a deployment of another name is made with trimtab apply")
	}
	if at, err := d.serving.Get(req.Context(), name); err == nil && at.State == serve.StateReady && (version == 0 || version == at.Route.Champion) {
		return fault.New(fault.Conflict, "Model version %d is already registered for model %s", at.Route.Champion, name)
	}
	if err := d.serving.LoadModel(req.Context(), name); err != nil {
		return err
	}
	at, err := d.serving.Get(req.Context(), name)
	if err != nil {
		return err
	}
	if version != 0 && version != at.Route.Champion && !slices.Contains(at.Resident, version) {
		return fault.New(fault.Conflict, "%s answers with version %d; version %d is not loaded", name, at.Route.Champion, version).
			WithHint("a version is released by its gate and a rollout: trimtab models show %s", name)
	}
	if version == 0 {
		version = at.Route.Champion
	}
	return d.say(w, req, "Model \"%s\" Version: %d registered with %d initial workers", name, version, d.described(at, name, version).Min)
}

// registered reads models:/NAME, models:/NAME/VERSION or NAME.
func registered(url string) (name string, version int, err error) {
	if url == "" {
		return "", 0, fault.New(fault.Invalid, "Parameter url is required.").WithHint("url is a registered model: models:/NAME or models:/NAME/VERSION")
	}
	rest, _ := strings.CutPrefix(url, "models:/")
	name, text, _ := strings.Cut(rest, "/")
	if text != "" {
		if version, err = strconv.Atoi(text); err != nil || version < 1 {
			name = ""
		}
	}
	if name == "" || strings.ContainsAny(name, ":\\?#%") || strings.HasSuffix(name, ".mar") || strings.HasPrefix(name, ".") {
		return "", 0, fault.New(fault.Invalid, "url %q is no registered model: models are not fetched from addresses or files", codec.Clip(url)).
			WithHint("register it first (trimtab models import FILE --name NAME), then give url=models:/NAME or models:/NAME/VERSION")
	}
	return name, version, nil
}

// scale answers PUT /models/{model}?min_worker=N. How many workers a model has is the deployment's own matter, so nothing changes, and the
// answer says how many there are.
func (d *door) scale(w http.ResponseWriter, req *http.Request) error {
	for _, name := range []string{"min_worker", "max_worker"} {
		if _, err := number(req, name, 1); err != nil {
			return err
		}
	}
	at, err := d.serving.Get(req.Context(), req.PathValue("model"))
	if err != nil {
		return err
	}
	v, err := versionOf(at.Name, req.PathValue("version"))
	if err != nil {
		return err
	}
	suffix := ""
	if v == 0 {
		v = at.Route.Champion
	} else {
		suffix = fmt.Sprintf(", version: %d", v)
	}
	if !slices.Contains(at.Resident, v) {
		return noVersion(at, v)
	}
	return d.say(w, req, "Workers scaled to %d for model: %s%s", max(d.described(at, at.Name, v).Min, 1), at.Name, suffix)
}

// unload answers DELETE /models/{model}[/{version}].
func (d *door) unload(w http.ResponseWriter, req *http.Request) error {
	at, err := d.serving.Get(req.Context(), req.PathValue("model"))
	if err != nil {
		return err
	}
	v, err := versionOf(at.Name, req.PathValue("version"))
	if err != nil {
		return err
	}
	switch {
	case v != 0 && !slices.Contains(at.Resident, v):
		return noVersion(at, v)
	case v != 0 && v == at.Route.Champion && len(at.Resident) > 1:
		return fault.New(fault.Denied, "Cannot remove default version %d for model %s", v, at.Name)
	case v != 0 && v != at.Route.Champion:
		return fault.New(fault.Conflict, "version %d of %s stays loaded for a rollback", v, at.Name).WithHint("the oldest version leaves when newer ones are released; DELETE /models/%s unloads all", at.Name)
	}
	if err := d.serving.UnloadModel(req.Context(), at.Name); err != nil {
		return err
	}
	return d.say(w, req, "Model \"%s\" unregistered", at.Name)
}

// setDefault makes a loaded version the one that answers: what a rollback does. A version that never was released is not made default
// here, and none while a rollout is under way.
func (d *door) setDefault(w http.ResponseWriter, req *http.Request) error {
	at, err := d.serving.Get(req.Context(), req.PathValue("model"))
	if err != nil {
		return err
	}
	v, err := versionOf(at.Name, req.PathValue("version"))
	if err != nil {
		return err
	}
	switch {
	case !slices.Contains(at.Resident, v):
		return noVersion(at, v)
	case at.Route.Canary != 0 || len(at.Route.Variants) > 0 || at.Route.Shadow != 0:
		return fault.New(fault.Conflict, "a rollout of %s is under way", at.Name).WithHint("promote or abort it first: trimtab deployments show %s", at.Name)
	case v == at.Route.Champion:
	case d.opt.Champion != nil:
		err = d.opt.Champion(req.Context(), at.Name, v, "set-default through TorchServe's API")
	default:
		r := at.Route
		r.Champion = v
		err = d.serving.SetRoute(req.Context(), nil, at.Name, r)
	}
	if err != nil {
		return err
	}
	return d.say(w, req, "Default version successfully updated for model \"%s\" to \"%d\"", at.Name, v)
}

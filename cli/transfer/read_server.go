package transfer

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

type wireExperiment struct {
	ID        string  `json:"experiment_id"`
	Name      string  `json:"name"`
	Root      string  `json:"artifact_location"`
	Stage     string  `json:"lifecycle_stage"`
	CreatedAt integer `json:"creation_time"`
	UpdatedAt integer `json:"last_update_time"`
	Tags      []pair  `json:"tags"`
}

// Experiments lists all, deleted ones too.
func (s *Server) Experiments(ctx context.Context) ([]Experiment, error) {
	var out []Experiment
	for token := ""; ; {
		var answer struct {
			Experiments []wireExperiment `json:"experiments"`
			Next        string           `json:"next_page_token"`
		}
		in := map[string]any{"view_type": "ALL", "max_results": page, "order_by": []string{"creation_time ASC", "experiment_id ASC"}}
		if token != "" {
			in["page_token"] = token
		}
		if err := s.call(ctx, http.MethodPost, "experiments/search", in, &answer); err != nil {
			return nil, err
		}
		for _, e := range answer.Experiments {
			out = append(out, Experiment{e.ID, e.Name, e.Root, e.Stage, int64(e.CreatedAt), int64(e.UpdatedAt), unpair(e.Tags)})
		}
		if token = answer.Next; token == "" {
			return out, nil
		}
	}
}

type wireMetric struct {
	Key           string  `json:"key"`
	Value         number  `json:"value"`
	At            integer `json:"timestamp"`
	Step          integer `json:"step"`
	Run           string  `json:"run_id,omitempty"`
	Model         string  `json:"model_id,omitempty"`
	DatasetName   string  `json:"dataset_name,omitempty"`
	DatasetDigest string  `json:"dataset_digest,omitempty"`
}

func (m wireMetric) point() Point {
	return Point{m.Key, float64(m.Value), int64(m.At), int64(m.Step), "", m.DatasetName, m.DatasetDigest}
}

type wireRun struct {
	Info struct {
		ID         string  `json:"run_id"`
		UUID       string  `json:"run_uuid"`
		Experiment string  `json:"experiment_id"`
		Name       string  `json:"run_name"`
		User       string  `json:"user_id"`
		Status     string  `json:"status"`
		Start      integer `json:"start_time"`
		End        integer `json:"end_time"`
		Files      string  `json:"artifact_uri"`
		Stage      string  `json:"lifecycle_stage"`
	} `json:"info"`
	Data struct {
		Metrics []wireMetric `json:"metrics"`
		Params  []pair       `json:"params"`
		Tags    []pair       `json:"tags"`
	} `json:"data"`
	Inputs struct {
		Datasets []struct {
			Dataset wireDataset `json:"dataset"`
			Tags    []pair      `json:"tags"`
		} `json:"dataset_inputs"`
		Models []struct {
			ID string `json:"model_id"`
		} `json:"model_inputs"`
	} `json:"inputs"`
	Outputs struct {
		Models []struct {
			ID   string  `json:"model_id"`
			Step integer `json:"step"`
		} `json:"model_outputs"`
	} `json:"outputs"`
}

type wireDataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

func (w *wireRun) run() *Run {
	r := &Run{ID: w.Info.ID, Experiment: w.Info.Experiment, Name: w.Info.Name, User: w.Info.User, Status: w.Info.Status, Stage: w.Info.Stage,
		Files: w.Info.Files, StartedAt: int64(w.Info.Start), EndedAt: int64(w.Info.End), Params: unpair(w.Data.Params), Tags: unpair(w.Data.Tags),
		Latest: map[string]Point{}}
	if r.ID == "" {
		r.ID = w.Info.UUID // before 1.0
	}
	for _, m := range w.Data.Metrics {
		r.Latest[m.Key] = m.point()
	}
	for _, d := range w.Inputs.Datasets {
		r.Datasets = append(r.Datasets, Dataset{d.Dataset.Name, d.Dataset.Digest, d.Dataset.SourceType, d.Dataset.Source, d.Dataset.Schema, d.Dataset.Profile, unpair(d.Tags)})
	}
	for _, m := range w.Inputs.Models {
		r.ModelInputs = append(r.ModelInputs, m.ID)
	}
	for _, m := range w.Outputs.Models {
		r.ModelOutputs = append(r.ModelOutputs, ModelOutput{m.ID, int64(m.Step)})
	}
	return r
}

// Runs calls f for every run of an experiment, deleted ones too.
func (s *Server) Runs(ctx context.Context, experiment string, f func(*Run) error) error {
	for token := ""; ; {
		var answer struct {
			Runs []wireRun `json:"runs"`
			Next string    `json:"next_page_token"`
		}
		in := map[string]any{"experiment_ids": []string{experiment}, "run_view_type": "ALL", "max_results": page, "order_by": []string{"attributes.start_time ASC"}}
		if token != "" {
			in["page_token"] = token
		}
		if err := s.call(ctx, http.MethodPost, "runs/search", in, &answer); err != nil {
			return err
		}
		for i := range answer.Runs {
			if err := f(answer.Runs[i].run()); err != nil {
				return err
			}
		}
		if token = answer.Next; token == "" {
			return nil
		}
	}
}

// Run reads one run.
func (s *Server) Run(ctx context.Context, _, id string) (*Run, error) {
	var answer struct {
		Run wireRun `json:"run"`
	}
	if err := s.call(ctx, http.MethodGet, "runs/get", url.Values{"run_id": {id}, "run_uuid": {id}}, &answer); err != nil {
		return nil, err
	}
	return answer.Run.run(), nil
}

// History reads the points of a metric page by page.
func (s *Server) History(ctx context.Context, r *Run, key string, f func([]Point) error) error {
	query := url.Values{"run_id": {r.ID}, "run_uuid": {r.ID}, "metric_key": {key}, "max_results": {strconv.Itoa(maxHistory)}}
	for {
		var answer struct {
			Metrics []wireMetric `json:"metrics"`
			Next    string       `json:"next_page_token"`
		}
		if err := s.call(ctx, http.MethodGet, "metrics/get-history", query, &answer); err != nil {
			return err
		}
		points := make([]Point, len(answer.Metrics))
		for i, m := range answer.Metrics {
			points[i] = m.point()
			points[i].Key = key
		}
		if err := f(points); err != nil {
			return err
		}
		if answer.Next == "" {
			return nil
		}
		query.Set("page_token", answer.Next)
	}
}

type wireLogged struct {
	Info struct {
		ID         string  `json:"model_id"`
		Experiment string  `json:"experiment_id"`
		Name       string  `json:"name"`
		Type       string  `json:"model_type"`
		Run        string  `json:"source_run_id"`
		Status     string  `json:"status"`
		Message    string  `json:"status_message"`
		Files      string  `json:"artifact_uri"`
		CreatedAt  integer `json:"creation_timestamp_ms"`
		UpdatedAt  integer `json:"last_updated_timestamp_ms"`
		Tags       []pair  `json:"tags"`
	} `json:"info"`
	Data struct {
		Params  []pair       `json:"params"`
		Metrics []wireMetric `json:"metrics"`
	} `json:"data"`
}

func (w *wireLogged) model() LoggedModel {
	m := LoggedModel{ID: w.Info.ID, Experiment: w.Info.Experiment, Name: w.Info.Name, Type: w.Info.Type, Run: w.Info.Run, Status: w.Info.Status,
		Message: w.Info.Message, Files: w.Info.Files, CreatedAt: int64(w.Info.CreatedAt), UpdatedAt: int64(w.Info.UpdatedAt),
		Tags: unpair(w.Info.Tags), Params: unpair(w.Data.Params)}
	for _, p := range w.Data.Metrics {
		m.Metrics = append(m.Metrics, ModelMetric{p.Run, p.point()})
	}
	return m
}

// LoggedModels lists the logged models of an experiment; servers before 3.0 have none.
func (s *Server) LoggedModels(ctx context.Context, experiment string) ([]LoggedModel, error) {
	var out []LoggedModel
	for token := ""; ; {
		var answer struct {
			Models []wireLogged `json:"models"`
			Next   string       `json:"next_page_token"`
		}
		in := map[string]any{"experiment_ids": []string{experiment}, "max_results": 100}
		if token != "" {
			in["page_token"] = token
		}
		err := s.call(ctx, http.MethodPost, "logged-models/search", in, &answer)
		if fault.Is(err, fault.NotFound) && token == "" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range answer.Models {
			out = append(out, answer.Models[i].model())
		}
		if token = answer.Next; token == "" {
			return out, nil
		}
	}
}

type wireModel struct {
	Name        string  `json:"name"`
	Description string  `json:"description"`
	CreatedAt   integer `json:"creation_timestamp"`
	UpdatedAt   integer `json:"last_updated_timestamp"`
	Tags        []pair  `json:"tags"`
	Aliases     []struct {
		Alias   string  `json:"alias"`
		Version integer `json:"version"`
	} `json:"aliases"`
}

type wireVersion struct {
	Name        string  `json:"name"`
	Version     integer `json:"version"`
	Description string  `json:"description"`
	Source      string  `json:"source"`
	Run         string  `json:"run_id"`
	RunLink     string  `json:"run_link"`
	Stage       string  `json:"current_stage"`
	User        string  `json:"user_id"`
	CreatedAt   integer `json:"creation_timestamp"`
	UpdatedAt   integer `json:"last_updated_timestamp"`
	Tags        []pair  `json:"tags"`
	Model       string  `json:"model_id"`
}

// Models lists the registry with its versions, prompts among them.
func (s *Server) Models(ctx context.Context) ([]Model, error) {
	var out []Model
	at := map[string]int{}
	query := url.Values{"max_results": {"1000"}}
	for {
		var answer struct {
			Models []wireModel `json:"registered_models"`
			Next   string      `json:"next_page_token"`
		}
		if err := s.call(ctx, http.MethodGet, "registered-models/search", query, &answer); err != nil {
			return nil, err
		}
		for _, w := range answer.Models {
			m := Model{Name: w.Name, Description: w.Description, CreatedAt: int64(w.CreatedAt), UpdatedAt: int64(w.UpdatedAt), Tags: unpair(w.Tags), Aliases: map[string]int{}}
			for _, a := range w.Aliases {
				m.Aliases[a.Alias] = int(a.Version)
			}
			at[m.Name] = len(out)
			out = append(out, m)
		}
		if answer.Next == "" {
			break
		}
		query.Set("page_token", answer.Next)
	}
	query = url.Values{"max_results": {"10000"}}
	for {
		var answer struct {
			Versions []wireVersion `json:"model_versions"`
			Next     string        `json:"next_page_token"`
		}
		if err := s.call(ctx, http.MethodGet, "model-versions/search", query, &answer); err != nil {
			return nil, err
		}
		for _, w := range answer.Versions {
			i, ok := at[w.Name]
			if !ok {
				continue // it was made meanwhile
			}
			out[i].Versions = append(out[i].Versions, Version{Number: int(w.Version), Description: w.Description, Source: w.Source, Run: w.Run, RunLink: w.RunLink,
				LoggedModel: w.Model, Stage: w.Stage, User: w.User, CreatedAt: int64(w.CreatedAt), UpdatedAt: int64(w.UpdatedAt), Tags: unpair(w.Tags)})
		}
		if answer.Next == "" {
			break
		}
		query.Set("page_token", answer.Next)
	}
	for i := range out {
		slices.SortFunc(out[i].Versions, func(a, b Version) int { return a.Number - b.Number })
	}
	return out, nil
}

// VersionFiles is where a server keeps the files of a version.
func (s *Server) VersionFiles(ctx context.Context, model string, version int) (string, error) {
	var answer struct {
		URI string `json:"artifact_uri"`
	}
	err := s.call(ctx, http.MethodGet, "model-versions/get-download-uri", url.Values{"name": {model}, "version": {strconv.Itoa(version)}}, &answer)
	return answer.URI, err
}

// Rest asks for traces. Webhooks, users and permissions are not asked for: their secrets never leave a server.
func (s *Server) Rest(ctx context.Context) ([]Left, error) {
	if s.native {
		return nil, nil
	}
	experiments, err := s.Experiments(ctx)
	if err != nil {
		return nil, err
	}
	var left []Left
	for _, e := range experiments {
		var answer struct {
			Traces []struct{} `json:"traces"`
			Next   string     `json:"next_page_token"`
		}
		in := map[string]any{"max_results": 500, "locations": []any{map[string]any{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": map[string]any{"experiment_id": e.ID}}}}
		if err := s.call(ctx, http.MethodPost, "/api/3.0/mlflow/traces/search", in, &answer); err != nil {
			return left, nil // a server without traces
		}
		if n := int64(len(answer.Traces)); n > 0 {
			reason := noTraces
			if answer.Next != "" {
				reason = "at least so many; " + noTraces
			}
			left = append(left, Left{"traces", "experiment " + e.Name, n, reason})
		}
	}
	return left, nil
}

const (
	noTraces = "Trimtab keeps no traces"
	noPrompt = "prompts are not moved: register them again"
)

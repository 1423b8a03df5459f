package transfer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// FindExperiment looks for what was made of e before, and else for its name.
func (s *Server) FindExperiment(ctx context.Context, from string, e *Experiment) (string, error) {
	all, err := s.Experiments(ctx)
	if err != nil {
		return "", err
	}
	if x := match(all, from, e); x != nil {
		return x.ID, nil
	}
	return "", nil
}

func match(all []Experiment, from string, e *Experiment) *Experiment {
	for i := range all {
		if all[i].Tags[TagFrom] == from && all[i].Tags[TagID] == e.ID {
			return &all[i]
		}
	}
	for i := range all {
		if all[i].Name == e.Name && all[i].Stage == active {
			return &all[i]
		}
	}
	return nil
}

// Experiment finds or makes one. foreign keeps the root of e: its files stay where they are.
func (s *Server) Experiment(ctx context.Context, from string, e *Experiment, foreign bool) (string, error) {
	all, err := s.Experiments(ctx)
	if err != nil {
		return "", err
	}
	tags := mapsWithout(e.Tags)
	found := match(all, from, e)
	if found != nil && found.Tags[TagFrom] == "" && e.Name == found.Name {
		// It is its user's, and takes the runs in; the mark would hide where others of its runs come from.
	} else {
		tags[TagFrom], tags[TagID] = from, e.ID
	}
	if found == nil {
		in := map[string]any{"name": e.Name, "tags": pairs(tags)}
		if foreign {
			in["artifact_location"] = e.Root
		}
		var answer struct {
			ID string `json:"experiment_id"`
		}
		if err := s.call(ctx, http.MethodPost, "experiments/create", in, &answer); err != nil {
			return "", err
		}
		s.touched.Store(answer.ID, true)
		return answer.ID, nil
	}
	imported := tags[TagFrom] != ""
	if imported && found.CreatedAt != e.CreatedAt { // of a transfer that ended early
		s.touched.Store(found.ID, true)
	}
	if found.Stage == deleted {
		s.touched.Store(found.ID, imported)
		if err := s.call(ctx, http.MethodPost, "experiments/restore", map[string]any{"experiment_id": found.ID}, nil); err != nil {
			return "", err
		}
	}
	if found.Name != e.Name {
		s.touched.Store(found.ID, imported)
		if err := s.call(ctx, http.MethodPost, "experiments/update", map[string]any{"experiment_id": found.ID, "new_name": e.Name}, nil); err != nil {
			return "", err
		}
	}
	for _, t := range pairs(tags) {
		if had, ok := found.Tags[t.Key]; ok && had == t.Value {
			continue
		}
		s.touched.Store(found.ID, imported)
		if err := s.call(ctx, http.MethodPost, "experiments/set-experiment-tag", map[string]any{"experiment_id": found.ID, "key": t.Key, "value": t.Value}, nil); err != nil {
			return "", err
		}
	}
	return found.ID, nil
}

// EndExperiment deletes it when it is deleted in the source. Then it gets its own times, on Trimtab and unless its user made it.
func (s *Server) EndExperiment(ctx context.Context, id string, e *Experiment) error {
	if e.Stage == deleted {
		if err := s.call(ctx, http.MethodPost, "experiments/delete", map[string]any{"experiment_id": id}, nil); err != nil {
			return err
		}
	}
	if date, _ := s.touched.LoadAndDelete(id); date != true || !s.native || e.CreatedAt == 0 {
		return nil
	}
	in := past(e.CreatedAt, e.UpdatedAt)
	in["id"] = id
	return s.call(ctx, http.MethodPost, "/api/v1/import/experiments", in, nil)
}

// past is when something was made and last changed; what is unknown is left out.
func past(created, updated int64) map[string]any {
	in := map[string]any{}
	if created != 0 {
		in["created_at"] = moment(created)
	}
	if updated != 0 && created != 0 {
		in["updated_at"] = moment(updated)
	}
	return in
}

// KnownRuns are those with our mark, by the id they had; on Trimtab all, as a run keeps its id.
func (s *Server) KnownRuns(ctx context.Context, experiment string) (map[string]Known, error) {
	known := map[string]Known{}
	err := s.Runs(ctx, experiment, func(r *Run) error {
		if id := r.Tags[TagID]; id != "" {
			known[id] = Known{ID: r.ID, Digest: r.Tags[TagDigest], Stage: r.Stage, Files: r.Files}
		} else if s.native {
			known[r.ID] = Known{ID: r.ID, Stage: r.Stage, Files: r.Files, Own: true}
		}
		return nil
	})
	return known, err
}

// KnownModels is KnownRuns for logged models.
func (s *Server) KnownModels(ctx context.Context, experiment string) (map[string]Known, error) {
	models, err := s.LoggedModels(ctx, experiment)
	known := map[string]Known{}
	for _, m := range models {
		if id := m.Tags[TagID]; id != "" {
			known[id] = Known{ID: m.ID, Digest: m.Tags[TagDigest], Stage: active, Files: m.Files}
		} else if s.native {
			known[m.ID] = Known{ID: m.ID, Stage: active, Files: m.Files, Own: true}
		}
	}
	return known, err
}

// Begin makes a run, or opens one that is known.
func (s *Server) Begin(ctx context.Context, experiment string, r *Run, known *Known) (Known, error) {
	if known != nil {
		if known.Stage == deleted {
			if err := s.call(ctx, http.MethodPost, "runs/restore", map[string]any{"run_id": known.ID}, nil); err != nil {
				return Known{}, err
			}
		}
		return *known, nil
	}
	marks := []pair{{TagFrom, r.Tags[TagFrom]}, {TagID, r.Tags[TagID]}}
	if s.native {
		in := map[string]any{"id": r.ID, "experiment_id": experiment, "name": r.Name, "user": r.User, "tags": unpair(marks)}
		if r.StartedAt != 0 {
			in["started_at"] = moment(r.StartedAt)
		}
		var answer struct {
			ID    string `json:"id"`
			Files string `json:"artifact_uri"`
		}
		if err := s.call(ctx, http.MethodPost, "/api/v1/import/runs", in, &answer); err != nil {
			return Known{}, err
		}
		return Known{ID: answer.ID, Stage: active, Files: answer.Files}, nil
	}
	in := map[string]any{"experiment_id": experiment, "run_name": r.Name, "user_id": r.User, "start_time": r.StartedAt, "tags": marks}
	var answer struct {
		Run wireRun `json:"run"`
	}
	if err := s.call(ctx, http.MethodPost, "runs/create", in, &answer); err != nil {
		return Known{}, err
	}
	return Known{ID: answer.Run.Info.ID, Stage: active, Files: answer.Run.Info.Files}, nil
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

// Log writes points, 1,000 in a request.
func (s *Server) Log(ctx context.Context, run string, points []Point) error {
	for batch := range slices.Chunk(points, page) {
		metrics := make([]wireMetric, len(batch))
		for i, p := range batch {
			metrics[i] = wireMetric{Key: p.Key, Value: number(p.Value), At: integer(p.At), Step: integer(p.Step), Model: p.Model,
				DatasetName: p.DatasetName, DatasetDigest: p.DatasetDigest}
		}
		if err := s.call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": run, "metrics": metrics}, nil); err != nil {
			return err
		}
	}
	return nil
}

// End writes params, tags, inputs and outputs, then state and stage, and the digest when all is there.
func (s *Server) End(ctx context.Context, run string, r *Run, digest string) error {
	for batch := range slices.Chunk(pairs(r.Params), 100) {
		if err := s.call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": run, "params": batch}, nil); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(pairs(r.Tags), 100) {
		if err := s.call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": run, "tags": batch}, nil); err != nil {
			return err
		}
	}
	type input struct {
		Tags    []pair      `json:"tags"`
		Dataset wireDataset `json:"dataset"`
	}
	var datasets []input
	for _, d := range r.Datasets {
		datasets = append(datasets, input{pairs(d.Tags), wireDataset{d.Name, d.Digest, d.SourceType, d.Source, d.Schema, d.Profile}})
	}
	var models []map[string]any
	for _, id := range r.ModelInputs {
		models = append(models, map[string]any{"model_id": id})
	}
	if len(datasets)+len(models) > 0 {
		in := map[string]any{"run_id": run}
		if len(datasets) > 0 {
			in["datasets"] = datasets
		}
		if len(models) > 0 {
			in["models"] = models
		}
		if err := s.call(ctx, http.MethodPost, "runs/log-inputs", in, nil); err != nil {
			return err
		}
	}
	if len(r.ModelOutputs) > 0 {
		models = nil
		for _, m := range r.ModelOutputs {
			models = append(models, map[string]any{"model_id": m.Model, "step": m.Step})
		}
		if err := s.call(ctx, http.MethodPost, "runs/outputs", map[string]any{"run_id": run, "models": models}, nil); err != nil {
			return err
		}
	}
	in := map[string]any{"run_id": run, "status": r.Status, "run_name": r.Name}
	if r.EndedAt != 0 {
		in["end_time"] = r.EndedAt
	}
	if err := s.call(ctx, http.MethodPost, "runs/update", in, nil); err != nil {
		return err
	}
	if digest != "" {
		if err := s.call(ctx, http.MethodPost, "runs/set-tag", map[string]any{"run_id": run, "key": TagDigest, "value": digest}, nil); err != nil {
			return err
		}
	}
	if r.Stage == deleted {
		return s.call(ctx, http.MethodPost, "runs/delete", map[string]any{"run_id": run}, nil)
	}
	return nil
}

// PutLoggedModel makes a logged model, or gives one that is known new tags.
func (s *Server) PutLoggedModel(ctx context.Context, experiment string, m *LoggedModel, known *Known) (Known, error) {
	tags := pairs(m.Tags)
	if known != nil {
		return *known, s.call(ctx, http.MethodPatch, "logged-models/"+url.PathEscape(known.ID)+"/tags", map[string]any{"tags": tags}, nil)
	}
	params := pairs(m.Params)
	first := params[:min(len(params), 100)]
	var made Known
	if s.native {
		in := map[string]any{"id": m.ID, "experiment_id": experiment, "name": m.Name, "model_type": m.Type, "source_run_id": m.Run, "tags": m.Tags, "params": unpair(first)}
		if m.CreatedAt != 0 {
			in["created_at"] = moment(m.CreatedAt)
		}
		var answer struct {
			ID    string `json:"id"`
			Files string `json:"artifact_uri"`
		}
		if err := s.call(ctx, http.MethodPost, "/api/v1/import/logged-models", in, &answer); err != nil {
			return made, err
		}
		made = Known{ID: answer.ID, Stage: active, Files: answer.Files}
	} else {
		in := map[string]any{"experiment_id": experiment, "name": m.Name, "model_type": m.Type, "source_run_id": m.Run, "tags": tags, "params": first}
		var answer struct {
			Model wireLogged `json:"model"`
		}
		if err := s.call(ctx, http.MethodPost, "logged-models", in, &answer); err != nil {
			return made, err
		}
		made = Known{ID: answer.Model.Info.ID, Stage: active, Files: answer.Model.Info.Files}
	}
	for batch := range slices.Chunk(params[len(first):], 100) {
		if err := s.call(ctx, http.MethodPost, "logged-models/"+url.PathEscape(made.ID)+"/params", map[string]any{"params": batch}, nil); err != nil {
			return made, err
		}
	}
	return made, nil
}

// EndLoggedModel sets its state, and the digest when all of it is there.
func (s *Server) EndLoggedModel(ctx context.Context, id string, m *LoggedModel, digest string) error {
	at := "logged-models/" + url.PathEscape(id)
	if m.Status == "LOGGED_MODEL_READY" || m.Status == "LOGGED_MODEL_UPLOAD_FAILED" {
		if err := s.call(ctx, http.MethodPatch, at, map[string]any{"model_id": id, "status": m.Status}, nil); err != nil {
			return err
		}
	}
	if digest == "" {
		return nil
	}
	return s.call(ctx, http.MethodPatch, at+"/tags", map[string]any{"tags": []pair{{TagDigest, digest}}}, nil)
}

// PutFile sends a file to the proxy.
func (s *Server) PutFile(ctx context.Context, uri string, f File, body io.Reader) error {
	rest, ours := strings.CutPrefix(uri, artifactScheme)
	if !ours {
		return fault.New(fault.NotSupported, "%s is not in the store of %s", uri, s.base)
	}
	at := s.base + proxyAPI + "/" + escape(path.Join(strings.TrimLeft(withoutHost(rest), "/"), f.Path))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at, body)
	if err != nil {
		return fmt.Errorf("send %s: %w", f.Path, err)
	}
	req.ContentLength = f.Size
	if f.Size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if s.auth != "" {
		req.Header.Set("Authorization", s.auth)
	}
	res, err := s.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Wrap(err, fault.Unavailable, "send %s", f.Path)
	}
	if res.StatusCode >= 300 {
		return refusal(res)
	}
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return err
}

// PutModel registers a name, or brings one up to date.
func (s *Server) PutModel(ctx context.Context, m *Model, had *Model) error {
	if had == nil {
		return s.call(ctx, http.MethodPost, "registered-models/create", map[string]any{"name": m.Name, "description": m.Description, "tags": pairs(m.Tags)}, nil)
	}
	if m.Description != had.Description && m.Description != "" {
		if err := s.call(ctx, http.MethodPatch, "registered-models/update", map[string]any{"name": m.Name, "description": m.Description}, nil); err != nil {
			return err
		}
	}
	for _, t := range pairs(m.Tags) {
		if old, ok := had.Tags[t.Key]; ok && old == t.Value {
			continue
		}
		if err := s.call(ctx, http.MethodPost, "registered-models/set-tag", map[string]any{"name": m.Name, "key": t.Key, "value": t.Value}, nil); err != nil {
			return err
		}
	}
	return nil
}

// PutVersion makes versions until the number is v's; those in between are deleted, as they are in the source.
func (s *Server) PutVersion(ctx context.Context, m *Model, v *Version, last int) error {
	for number := last; number < v.Number; {
		in := map[string]any{"name": m.Name, "source": v.Source, "tags": pairs(v.Tags), "description": v.Description}
		for key, value := range map[string]string{"run_id": v.Run, "run_link": v.RunLink, "model_id": v.LoggedModel} {
			if value != "" {
				in[key] = value
			}
		}
		var answer struct {
			Version wireVersion `json:"model_version"`
		}
		if err := s.call(ctx, http.MethodPost, "model-versions/create", in, &answer); err != nil {
			return err
		}
		number = int(answer.Version.Version)
		switch {
		case number > v.Number:
			if err := s.DeleteVersion(ctx, m.Name, number); err != nil {
				return err
			}
			return fault.New(fault.Conflict, "%s v%d was there before and deleted: numbers are not used again", m.Name, v.Number)
		case number < v.Number:
			if err := s.DeleteVersion(ctx, m.Name, number); err != nil {
				return err
			}
		}
	}
	return s.stage(ctx, m.Name, v, stageNone)
}

// DeleteVersion takes a version away.
func (s *Server) DeleteVersion(ctx context.Context, model string, number int) error {
	return s.call(ctx, http.MethodDelete, "model-versions/delete", map[string]any{"name": model, "version": strconv.Itoa(number)}, nil)
}

func (s *Server) stage(ctx context.Context, model string, v *Version, had string) error {
	if v.Stage == "" || v.Stage == had {
		return nil
	}
	return s.call(ctx, http.MethodPost, "model-versions/transition-stage", map[string]any{"name": model, "version": strconv.Itoa(v.Number), "stage": v.Stage,
		"archive_existing_versions": false}, nil)
}

// ChangeVersion brings a version up to date.
func (s *Server) ChangeVersion(ctx context.Context, m *Model, v, had *Version) error {
	number := strconv.Itoa(v.Number)
	if v.Description != had.Description {
		if err := s.call(ctx, http.MethodPatch, "model-versions/update", map[string]any{"name": m.Name, "version": number, "description": v.Description}, nil); err != nil {
			return err
		}
	}
	for _, t := range pairs(v.Tags) {
		if old, ok := had.Tags[t.Key]; ok && old == t.Value {
			continue
		}
		if err := s.call(ctx, http.MethodPost, "model-versions/set-tag", map[string]any{"name": m.Name, "version": number, "key": t.Key, "value": t.Value}, nil); err != nil {
			return err
		}
	}
	return s.stage(ctx, m.Name, v, had.Stage)
}

// SetAlias points an alias at a version.
func (s *Server) SetAlias(ctx context.Context, model, alias string, version int) error {
	return s.call(ctx, http.MethodPost, "registered-models/alias", map[string]any{"name": model, "alias": alias, "version": strconv.Itoa(version)}, nil)
}

// EndModel dates a model and versions of it, on Trimtab: other servers have no request for that.
func (s *Server) EndModel(ctx context.Context, m *Model) error {
	if !s.native {
		return nil
	}
	send := func(in map[string]any) error {
		in["name"] = m.Name
		return s.call(ctx, http.MethodPost, "/api/v1/import/models", in, nil)
	}
	for batch := range slices.Chunk(m.Versions, page) {
		versions := make([]map[string]any, len(batch))
		for i, v := range batch {
			versions[i] = past(v.CreatedAt, v.UpdatedAt)
			versions[i]["version"] = v.Number
			if v.User != "" {
				versions[i]["user"] = v.User
			}
		}
		if err := send(map[string]any{"versions": versions}); err != nil {
			return err
		}
	}
	if m.CreatedAt == 0 {
		return nil
	}
	return send(past(m.CreatedAt, m.UpdatedAt))
}

package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/catalog"
)

// Dataset is a dataset as a client describes it. Within an experiment (Name, Digest) names it, and the first
// description that was logged stays.
type Dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

// DatasetInput is a dataset that a run read, with the tags of that reading: mlflow.data.context says what for.
type DatasetInput struct {
	Dataset Dataset `json:"dataset"`
	Tags    []Tag   `json:"tags,omitempty"`
}

// ModelLink is a logged model that a run read or wrote. Step is of outputs only.
type ModelLink struct {
	ModelID string `json:"model_id"`
	Step    int64  `json:"step,omitempty"`
}

// DatasetSummary is a dataset that runs of an experiment read, once for every context.
type DatasetSummary struct {
	ExperimentID string `json:"experiment_id"`
	Name         string `json:"name"`
	Digest       string `json:"digest"`
	Context      string `json:"context,omitempty"`
}

// Bounds of inputs and of their search.
const (
	maxInputs       = 1000 // in a request
	maxSummaries    = 1000
	maxDatasetScope = 20 // experiments
)

// LogInputs notes datasets and models that a run read. A dataset that the run has already stays as it is.
func (s *Service) LogInputs(ctx context.Context, run string, datasets []DatasetInput, models []ModelLink) error {
	if !runForm(run) {
		return invalid("Invalid value %s for parameter 'run_id' supplied.", pyJSON(cut(text(run), 300)))
	}
	if len(datasets) > maxInputs || len(models) > maxInputs {
		return invalid("A request can log at most %d inputs.", maxInputs)
	}
	checked := make([]DatasetInput, len(datasets))
	for i, in := range datasets {
		in.Tags = slices.Clone(in.Tags)
		if err := checkDataset(&in); err != nil {
			return err
		}
		checked[i] = in
	}
	if err := checkLinks(models); err != nil {
		return err
	}
	_, err := s.changeRun(ctx, run, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		for _, in := range checked {
			if err := s.addInput(ctx, c, r, in); err != nil {
				return err
			}
		}
		for _, m := range models {
			m.Step = 0
			if !slices.Contains(r.doc.ModelInputs, m) {
				r.doc.ModelInputs = append(r.doc.ModelInputs, m)
			}
		}
		return nil
	})
	return err
}

func checkLinks(models []ModelLink) error {
	for _, m := range models {
		if m.ModelID == "" || len(m.ModelID) > maxName || text(m.ModelID) != m.ModelID {
			return invalid("Invalid value %s for parameter 'models.model_id' supplied.", pyJSON(cut(text(m.ModelID), maxName)))
		}
	}
	return nil
}

func (s *Service) addInput(ctx context.Context, c *change, r *record, in DatasetInput) error {
	d := in.Dataset
	var id int64
	err := c.QueryRowContext(ctx, `SELECT id FROM run_datasets WHERE workspace_id = 'default' AND experiment_id = $1 AND name = $2 AND digest = $3`, r.experiment, d.Name, d.Digest).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		if id, err = next(ctx, c.Tx, "dataset", 1); err == nil {
			_, err = c.ExecContext(ctx, `INSERT INTO run_datasets (id, experiment_id, name, digest, source_type, source, description, profile) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
				id, r.experiment, d.Name, d.Digest, d.SourceType, d.Source, d.Schema, d.Profile)
		}
	}
	if err != nil {
		return fmt.Errorf("write dataset %s: %w", d.Name, err)
	}
	if slices.ContainsFunc(r.doc.Datasets, func(l datasetLink) bool { return l.ID == id }) {
		return nil
	}
	tags := map[string]string{}
	for _, t := range in.Tags {
		tags[t.Key] = t.Value
	}
	r.doc.Datasets = append(r.doc.Datasets, datasetLink{ID: id, Tags: sortedTags(tags)})
	_, err = c.ExecContext(ctx, `INSERT INTO run_inputs (dataset_id, run, context) VALUES ($1, $2, $3)`, id, r.number, tags[TagContext])
	if err != nil {
		return fmt.Errorf("write the input of run %s: %w", r.run.ID, err)
	}
	return nil
}

func sortedTags(tags map[string]string) []Tag {
	out := make([]Tag, 0, len(tags))
	for key, value := range tags {
		out = append(out, Tag{key, value})
	}
	slices.SortFunc(out, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// LogOutputs notes models that a run wrote. The same model at the same step is noted once.
func (s *Service) LogOutputs(ctx context.Context, run string, models []ModelLink) error {
	if len(models) > maxInputs {
		return invalid("A request can log at most %d outputs.", maxInputs)
	}
	if err := checkLinks(models); err != nil {
		return err
	}
	_, err := s.changeRun(ctx, run, func(_ *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		for _, m := range models {
			if !slices.Contains(r.doc.ModelOutputs, m) {
				r.doc.ModelOutputs = append(r.doc.ModelOutputs, m)
			}
		}
		return nil
	})
	return err
}

// datasetsOf reads the datasets of runs, each once.
func (s *Service) datasetsOf(ctx context.Context, records []*record) (map[int64]Dataset, error) {
	var ids []int64
	for _, r := range records {
		for _, l := range r.doc.Datasets {
			ids = append(ids, l.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	out := make(map[int64]Dataset, len(ids))
	for chunk := range slices.Chunk(ids, 500) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		if err := readDatasets(ctx, s.db.Read(), out, `id IN (`+placeholders(1, len(chunk))+`)`, args...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readDatasets(ctx context.Context, q catalog.Querier, out map[int64]Dataset, condition string, args ...any) error {
	rows, err := q.QueryContext(ctx, `SELECT id, name, digest, source_type, source, description, profile FROM run_datasets WHERE workspace_id = 'default' AND `+condition, args...)
	if err != nil {
		return fmt.Errorf("read datasets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var d Dataset
		if err := rows.Scan(&id, &d.Name, &d.Digest, &d.SourceType, &d.Source, &d.Schema, &d.Profile); err != nil {
			return fmt.Errorf("read datasets: %w", err)
		}
		out[id] = d
	}
	return rows.Err()
}

// placeholders is "$from, …" n times.
func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}

// SearchDatasets gives the datasets that runs of up to 20 experiments read, at most 1,000.
func (s *Service) SearchDatasets(ctx context.Context, experiments []string) ([]DatasetSummary, error) {
	if len(experiments) > maxDatasetScope {
		return nil, invalid("SearchDatasets request cannot specify more than %d experiment_ids. Received %d experiment_ids.", maxDatasetScope, len(experiments))
	}
	out := []DatasetSummary{}
	if len(experiments) == 0 {
		return out, nil
	}
	args := make([]any, len(experiments))
	for i, id := range experiments {
		n, err := parseExperiment(id)
		if err != nil {
			return nil, err
		}
		args[i] = n
	}
	rows, err := s.db.Read().QueryContext(ctx, `SELECT DISTINCT d.experiment_id, d.name, d.digest, i.context FROM run_datasets d
		JOIN run_inputs i ON i.workspace_id = 'default' AND i.dataset_id = d.id
		WHERE d.workspace_id = 'default' AND d.experiment_id IN (`+placeholders(1, len(args))+`)
		ORDER BY 1, 2, 3, 4 LIMIT `+fmt.Sprint(maxSummaries), args...)
	if err != nil {
		return nil, fmt.Errorf("search datasets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d DatasetSummary
		var experiment int64
		if err := rows.Scan(&experiment, &d.Name, &d.Digest, &d.Context); err != nil {
			return nil, fmt.Errorf("search datasets: %w", err)
		}
		d.ExperimentID = fmt.Sprint(experiment)
		out = append(out, d)
	}
	return out, rows.Err()
}

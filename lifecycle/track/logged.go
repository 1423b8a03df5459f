package track

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// States of a logged model; MLflow's words in lower case, without their prefix.
const (
	ModelPending = "pending"
	ModelReady   = "ready"
	ModelFailed  = "upload_failed"
)

// LoggedModel is a model that a run wrote, before anyone registers it. Its files lie under ArtifactURI.
type LoggedModel struct {
	ID            string    `json:"id"` // "m-" and 32 hex digits
	ExperimentID  string    `json:"experiment_id"`
	Name          string    `json:"name"`
	ModelType     string    `json:"model_type,omitempty"`
	SourceRunID   string    `json:"source_run_id,omitempty"`
	Status        string    `json:"status"`
	StatusMessage string    `json:"status_message,omitempty"`
	Stage         string    `json:"stage"`
	ArtifactURI   string    `json:"artifact_uri"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	Tags          []Tag     `json:"tags"`   // by key
	Params        []Param   `json:"params"` // by key

	Metrics []ModelMetric `json:"-"`
}

// ModelMetric is the latest point of a metric of a model, for one run and one dataset.
type ModelMetric struct {
	Metric
	RunID string
}

// NewLoggedModel is what CreateLoggedModel needs: only ExperimentID is required.
type NewLoggedModel struct {
	ID           string // empty = a new one; imports keep the id of their source
	ExperimentID string
	Name         string // "" = two words and a number
	ModelType    string
	SourceRunID  string
	CreatedAt    *time.Time // nil = now; imports keep the time of their source
	Tags         []Tag
	Params       []Param
}

// Bounds of logged models. A list of registered versions is kept in a tag, so tags may be long.
const (
	maxModelTag     = 100_000
	maxModelEntries = 1000 // tags or parameters in a request, and of a model
	modelsDir       = "models"
)

const modelColumns = `id, experiment_id, name, model_type, source_run_id, status, status_message, stage, artifact_uri, created_at, updated_at, tags, params`

// model is a row of logged_models.
type model struct {
	LoggedModel
	experiment int64
	tags       map[string]string
	params     map[string]string
}

func scanModel(row scanner) (*model, error) {
	var m model
	var created, updated int64
	var tags, params string
	err := row.Scan(&m.ID, &m.experiment, &m.Name, &m.ModelType, &m.SourceRunID, &m.Status, &m.StatusMessage, &m.Stage, &m.ArtifactURI, &created, &updated, &tags, &params)
	if err != nil {
		return nil, err
	}
	m.ExperimentID = strconv.FormatInt(m.experiment, 10)
	m.CreatedAt, m.UpdatedAt = catalog.Time(created), catalog.Time(updated)
	if err := errors.Join(json.Unmarshal([]byte(tags), &m.tags), json.Unmarshal([]byte(params), &m.params)); err != nil {
		return nil, fmt.Errorf("decode model %s: %w", m.ID, err)
	}
	return &m, nil
}

func (m *model) view() *LoggedModel {
	out := m.LoggedModel
	out.Tags = sortedTags(m.tags)
	out.Params = make([]Param, 0, len(m.params))
	for _, t := range sortedTags(m.params) {
		out.Params = append(out.Params, Param(t))
	}
	return &out
}

func noModel(id string) error {
	return fault.New(fault.NotFound, "Logged model with ID '%s' not found.", text(id))
}

// model reads a logged model; deleted ones are found only on request.
func readModel(ctx context.Context, q catalog.Querier, id string, deleted bool) (*model, error) {
	m, err := scanModel(q.QueryRowContext(ctx, `SELECT `+modelColumns+` FROM logged_models WHERE workspace_id = 'default' AND id = $1`, text(id)))
	if errors.Is(err, sql.ErrNoRows) || err == nil && m.Stage == StageDeleted && !deleted {
		return nil, noModel(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return m, nil
}

func (m *model) save(ctx context.Context, c *change, now time.Time) error {
	tags, err := json.Marshal(m.tags)
	if err != nil {
		return fmt.Errorf("encode model %s: %w", m.ID, err)
	}
	params, err := json.Marshal(m.params)
	if err != nil {
		return fmt.Errorf("encode model %s: %w", m.ID, err)
	}
	m.UpdatedAt = now.UTC().Truncate(time.Microsecond)
	_, err = c.ExecContext(ctx, `INSERT INTO logged_models (`+modelColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (workspace_id, id) DO UPDATE SET status = excluded.status, status_message = excluded.status_message, stage = excluded.stage,
		updated_at = excluded.updated_at, tags = excluded.tags, params = excluded.params`,
		m.ID, m.experiment, m.Name, m.ModelType, m.SourceRunID, m.Status, m.StatusMessage, m.Stage, m.ArtifactURI, m.CreatedAt.UnixMicro(), m.UpdatedAt.UnixMicro(),
		string(tags), string(params))
	if err != nil {
		return fmt.Errorf("write model %s: %w", m.ID, err)
	}
	return nil
}

func checkModelName(name string) error {
	if name != "" && strings.ContainsAny(name, `/:.%"'`) || text(name) != name {
		return invalid(`Invalid model name (%s) provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%%', '"', "'")`, pyRepr(text(name)))
	}
	return checkLength("name", maxModelName, name)
}

func (m *model) setTags(tags []Tag) error {
	if len(tags) > maxModelEntries {
		return invalid("A request can set at most %d tags.", maxModelEntries)
	}
	for _, t := range tags {
		if t.Key == "" {
			return invalid("Missing value for required parameter 'tags.key'.")
		}
		if err := checkLength("key", maxKey, t.Key); err != nil {
			return err
		}
		if err := checkLength("value", maxModelTag, t.Value); err != nil {
			return err
		}
		m.tags[text(t.Key)] = text(t.Value)
	}
	if len(m.tags) > maxModelEntries {
		return invalid("A logged model can have at most %d tags.", maxModelEntries)
	}
	return nil
}

func (m *model) addParams(params []Param) error {
	for i, p := range params {
		p, err := checkParam(p, "params", i)
		if err != nil {
			return err
		}
		if old, ok := m.params[p.Key]; ok && old != p.Value {
			return invalid("Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for model ID='%s'. Attempted logging new value '%s'.",
				p.Key, old, m.ID, p.Value)
		}
		m.params[p.Key] = p.Value
	}
	if len(m.params) > maxModelEntries {
		return invalid("A logged model can have at most %d params.", maxModelEntries)
	}
	return nil
}

// CreateLoggedModel makes a model in state ModelPending.
func (s *Service) CreateLoggedModel(ctx context.Context, n NewLoggedModel) (*LoggedModel, error) {
	if err := checkModelName(n.Name); err != nil {
		return nil, err
	}
	experimentID, err := parseExperiment(n.ExperimentID)
	if err != nil {
		return nil, err
	}
	if n.ID == "" {
		n.ID = "m-" + id.New()
	} else if !runForm(n.ID) {
		return nil, invalid("Invalid value %s for parameter 'model_id' supplied.", pyJSON(text(n.ID)))
	}
	if n.Name == "" {
		n.Name = randomName()
	}
	m := &model{experiment: experimentID, tags: map[string]string{}, params: map[string]string{}}
	m.LoggedModel = LoggedModel{ID: n.ID, ExperimentID: strconv.FormatInt(experimentID, 10), Name: n.Name, ModelType: cut(text(n.ModelType), maxModelName),
		SourceRunID: cut(text(n.SourceRunID), maxName), Status: ModelPending, Stage: StageActive, CreatedAt: s.now().UTC().Truncate(time.Microsecond)}
	if err := checkTime("created_at", n.CreatedAt); err != nil {
		return nil, err
	}
	if n.CreatedAt != nil {
		m.CreatedAt = n.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	if err := m.setTags(n.Tags); err != nil {
		return nil, err
	}
	if err := m.addParams(n.Params); err != nil {
		return nil, err
	}
	err = s.writer.do(ctx, func(c *change) error {
		e, err := experiment(ctx, c.Tx, experimentID)
		if err != nil {
			return err
		}
		if e.Stage != StageActive {
			return notActive("experiment", e.ID, e.Stage)
		}
		if _, err := readModel(ctx, c.Tx, m.ID, true); !fault.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.New(fault.Conflict, "Logged model with ID '%s' already exists.", m.ID)
			}
			return err
		}
		m.ArtifactURI = join(e.ArtifactRoot, modelsDir, m.ID, artifactsDir)
		return m.save(ctx, c, s.now())
	})
	if err != nil {
		return nil, err
	}
	return m.view(), nil
}

// LoggedModel finds a model; a deleted one only when asked for.
func (s *Service) LoggedModel(ctx context.Context, id string, deleted bool) (*LoggedModel, error) {
	m, err := readModel(ctx, s.db.Read(), id, deleted)
	if err != nil {
		return nil, err
	}
	out := m.view()
	metrics, err := s.modelMetrics(ctx, `model_id = $1`, m.ID)
	if err != nil {
		return nil, err
	}
	out.Metrics = metrics[m.ID]
	return out, nil
}

// modelMetrics reads metrics by model, each model's in order of key, run and dataset.
func (s *Service) modelMetrics(ctx context.Context, condition string, args ...any) (map[string][]ModelMetric, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT model_id, key, run_id, dataset_name, dataset_digest, step, at, value FROM model_metrics
		WHERE workspace_id = 'default' AND `+condition+` ORDER BY model_id, key, run_id, dataset_name, dataset_digest`, args...)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of models: %w", err)
	}
	defer rows.Close()
	out := map[string][]ModelMetric{}
	for rows.Next() {
		var m ModelMetric
		var value sql.NullFloat64
		if err := rows.Scan(&m.ModelID, &m.Key, &m.RunID, &m.DatasetName, &m.DatasetDigest, &m.Step, &m.At, &value); err != nil {
			return nil, fmt.Errorf("read the metrics of models: %w", err)
		}
		m.Value = numberOf(value)
		out[m.ModelID] = append(out[m.ModelID], m)
	}
	return out, rows.Err()
}

func (s *Service) changeModel(ctx context.Context, id string, f func(c *change, m *model) error) (*LoggedModel, error) {
	var m *model
	err := s.writer.do(ctx, func(c *change) (err error) {
		if m, err = readModel(ctx, c.Tx, id, false); err != nil {
			return err
		}
		if err := f(c, m); err != nil {
			return err
		}
		return m.save(ctx, c, s.now())
	})
	if err != nil {
		return nil, err
	}
	return m.view(), nil
}

// FinalizeLoggedModel says whether the files of a model are all there: ModelReady or ModelFailed.
func (s *Service) FinalizeLoggedModel(ctx context.Context, id, status, message string) (*LoggedModel, error) {
	switch status {
	case ModelPending, ModelReady, ModelFailed:
	default:
		return nil, invalid("Invalid value %s for parameter 'status' supplied.", pyJSON(cut(text(status), 100)))
	}
	return s.changeModel(ctx, id, func(_ *change, m *model) error {
		m.Status, m.StatusMessage = status, cut(text(message), 1000)
		return nil
	})
}

// DeleteLoggedModel marks a model deleted; again is no error. Versions that were registered from it stay.
func (s *Service) DeleteLoggedModel(ctx context.Context, id string) error {
	return unlessSame(s.writer.do(ctx, func(c *change) error {
		m, err := readModel(ctx, c.Tx, id, true)
		if err != nil {
			return err
		}
		if m.Stage == StageDeleted {
			return errSame
		}
		m.Stage = StageDeleted
		return m.save(ctx, c, s.now())
	}))
}

// SetLoggedModelTags sets or replaces tags; of a key that comes twice the last value counts.
func (s *Service) SetLoggedModelTags(ctx context.Context, id string, tags []Tag) (*LoggedModel, error) {
	return s.changeModel(ctx, id, func(_ *change, m *model) error { return m.setTags(tags) })
}

// DeleteLoggedModelTag takes a tag away; fault.NotFound when it is not there.
func (s *Service) DeleteLoggedModelTag(ctx context.Context, id, key string) error {
	_, err := s.changeModel(ctx, id, func(_ *change, m *model) error {
		if _, ok := m.tags[key]; !ok {
			return fault.New(fault.NotFound, "No tag with key %s found for model with ID %s.", pyRepr(text(key)), pyRepr(m.ID))
		}
		delete(m.tags, key)
		return nil
	})
	return err
}

// LogLoggedModelParams adds parameters. The same value again is no error, another one is.
func (s *Service) LogLoggedModelParams(ctx context.Context, id string, params []Param) error {
	_, err := s.changeModel(ctx, id, func(_ *change, m *model) error { return m.addParams(params) })
	return err
}

// measured is a metric of a model on a dataset.
type measured struct{ model, key, dataset, digest string }

// modelPoints are the latest of the metrics that name a model, one for each model, key and dataset.
type modelPoints struct {
	latest map[measured]Metric
	order  []measured
}

func modelPointsOf(metrics []Metric) modelPoints {
	p := modelPoints{}
	for _, m := range metrics {
		if m.ModelID == "" {
			continue
		}
		k := measured{cut(text(m.ModelID), maxName), m.Key, cut(text(m.DatasetName), maxDatasetName), cut(text(m.DatasetDigest), maxDigest)}
		old, ok := p.latest[k]
		if !ok {
			p.order = append(p.order, k)
		}
		if p.latest == nil {
			p.latest = map[measured]Metric{}
		}
		if !ok || newer(m.point(), old.point()) {
			p.latest[k] = m
		}
	}
	return p
}

// check is fault.NotFound when one of the models is not there.
func (p modelPoints) check(ctx context.Context, q catalog.Querier) error {
	seen := ""
	for _, k := range p.order {
		if k.model == seen {
			continue
		}
		if _, err := readModel(ctx, q, k.model, true); err != nil {
			return err
		}
		seen = k.model
	}
	return nil
}

func (p modelPoints) write(ctx context.Context, c *change, run string) error {
	for _, k := range p.order {
		m := p.latest[k]
		_, err := c.ExecContext(ctx, `INSERT INTO model_metrics (model_id, key, run_id, dataset_name, dataset_digest, step, at, value) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (workspace_id, model_id, key, run_id, dataset_name, dataset_digest) DO UPDATE SET step = excluded.step, at = excluded.at, value = excluded.value
			WHERE excluded.step > model_metrics.step OR (excluded.step = model_metrics.step AND excluded.at >= model_metrics.at)`,
			k.model, k.key, run, k.dataset, k.digest, m.Step, m.At, numberOrNil(m.Value))
		if err != nil {
			return fmt.Errorf("write the metric %s of model %s: %w", k.key, k.model, err)
		}
	}
	return nil
}

package track

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The tags that mean something to the platform.
const (
	TagRunName   = "mlflow.runName"
	TagParent    = "mlflow.parentRunId"
	TagHistory   = "mlflow.log-model.history"
	TagContext   = "mlflow.data.context" // of a dataset input
	artifactsDir = "artifacts"
)

// document is what a run's row keeps as JSON: everything that no query asks for by itself.
type document struct {
	Cause     string            `json:"cause,omitempty"`
	Actor     string            `json:"actor,omitempty"`
	Seconds   float64           `json:"seconds,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	Inputs    []Input           `json:"inputs,omitempty"`
	Model     string            `json:"model,omitempty"`
	Version   int               `json:"version,omitempty"`
	GitCommit string            `json:"git_commit,omitempty"`
	Error     string            `json:"error,omitempty"`

	Datasets     []datasetLink `json:"datasets,omitempty"`
	ModelInputs  []ModelLink   `json:"model_inputs,omitempty"`
	ModelOutputs []ModelLink   `json:"model_outputs,omitempty"`
}

// datasetLink points at a row of run_datasets: a profile can be megabytes, and many runs read the same dataset.
type datasetLink struct {
	ID   int64 `json:"id"`
	Tags []Tag `json:"tags,omitempty"`
}

// record is a row of runs.
type record struct {
	number     int64
	experiment int64
	revision   int64
	open       bool
	run        Run
	doc        document
	latest     map[string]series.Point
}

// recordColumns are what scan reads, in order.
const recordColumns = `id, project, name, state, started_at, finished_at, document, number, experiment_id, user_id, stage, artifact_uri, updated_at, revision, latest, open`

type scanner interface{ Scan(dest ...any) error }

func scanRecord(row scanner) (*record, error) {
	var r record
	var started, updated, open int64
	var finished, number sql.NullInt64
	var doc string
	var latest []byte
	err := row.Scan(&r.run.ID, &r.run.Project, &r.run.Name, &r.run.State, &started, &finished, &doc, &number, &r.experiment,
		&r.run.User, &r.run.Stage, &r.run.ArtifactURI, &updated, &r.revision, &latest, &open)
	if err != nil {
		return nil, err
	}
	r.number, r.open = number.Int64, open != 0
	r.run.ExperimentID = strconv.FormatInt(r.experiment, 10)
	r.run.StartedAt, r.run.UpdatedAt = catalog.Time(started), catalog.Time(updated)
	if finished.Valid {
		t := time.UnixMicro(finished.Int64).UTC()
		r.run.FinishedAt = &t
	}
	if err := json.Unmarshal([]byte(doc), &r.doc); err != nil {
		return nil, fmt.Errorf("decode run %s: %w", r.run.ID, err)
	}
	if r.latest, err = unpackLatest(latest); err != nil {
		return nil, fmt.Errorf("decode the metrics of run %s: %w", r.run.ID, err)
	}
	return &r, nil
}

// view is the run that callers see. Datasets are still to be filled in.
func (r *record) view() *Run {
	run := r.run
	d := &r.doc
	run.Cause, run.Actor, run.Seconds, run.Inputs = d.Cause, d.Actor, d.Seconds, d.Inputs
	run.Model, run.Version, run.GitCommit, run.Error = d.Model, d.Version, d.GitCommit, d.Error
	run.Params, run.Tags = d.Params, d.Tags
	if run.Params == nil {
		run.Params = map[string]string{}
	}
	if run.Tags == nil {
		run.Tags = map[string]string{}
	}
	if run.Inputs == nil {
		run.Inputs = []Input{}
	}
	run.ParentID = run.Tags[TagParent]
	run.ModelInputs, run.ModelOutputs = d.ModelInputs, d.ModelOutputs
	run.Metrics, run.Latest = make(Values, len(r.latest)), make(map[string]Metric, len(r.latest))
	for key, p := range r.latest {
		run.Metrics[key] = p.Value
		run.Latest[key] = Metric{Key: key, Value: p.Value, At: p.At, Step: p.Step}
	}
	return &run
}

func (r *record) setTag(t Tag) {
	if r.doc.Tags == nil {
		r.doc.Tags = map[string]string{}
	}
	r.doc.Tags[t.Key] = t.Value
}

// active refuses writes to a deleted run.
func (r *record) active() error {
	if r.run.Stage != StageActive {
		return notActive("run", r.run.ID, r.run.Stage)
	}
	return nil
}

func notActive(noun, id, stage string) error {
	return fault.New(fault.Invalid, "The %s %s must be in the 'active' state. Current state is %s.", noun, id, stage)
}

func noRun(id string) error {
	return fault.New(fault.NotFound, "Run with id=%s not found", id).WithHint("trimtab runs ls shows the runs")
}

// record reads the row of a run.
func (s *Service) record(ctx context.Context, q catalog.Querier, id string) (*record, error) {
	r, err := scanRecord(q.QueryRowContext(ctx, `SELECT `+recordColumns+` FROM runs WHERE workspace_id = 'default' AND id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noRun(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	return r, nil
}

// records reads rows in the order of a query that selects recordColumns.
func (s *Service) records(ctx context.Context, q catalog.Querier, query string, args ...any) ([]*record, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	defer rows.Close()
	var out []*record
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, fmt.Errorf("read runs: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// save writes the row of a run back, as of c's revision; latest metrics are written by flush only.
func (s *Service) save(ctx context.Context, c *change, r *record) error {
	doc, err := json.Marshal(&r.doc)
	if err != nil {
		return fmt.Errorf("encode run %s: %w", r.run.ID, err)
	}
	r.revision, r.run.UpdatedAt = c.revision, s.now().UTC()
	_, err = c.ExecContext(ctx, `UPDATE runs SET name = $1, state = $2, finished_at = $3, document = $4, updated_at = $5, revision = $6 WHERE workspace_id = 'default' AND id = $7`,
		r.run.Name, r.run.State, microsOrNil(r.run.FinishedAt), string(doc), catalog.Micros(r.run.UpdatedAt), r.revision, r.run.ID)
	if err != nil {
		return fmt.Errorf("write run %s: %w", r.run.ID, err)
	}
	return nil
}

func (s *Service) insert(ctx context.Context, c *change, r *record) error {
	doc, err := json.Marshal(&r.doc)
	if err != nil {
		return fmt.Errorf("encode run %s: %w", r.run.ID, err)
	}
	if r.number, err = next(ctx, c.Tx, "run", 1); err != nil {
		return err
	}
	r.revision, r.run.UpdatedAt, r.open = c.revision, s.now().UTC(), true
	_, err = c.ExecContext(ctx, `INSERT INTO runs (id, project, name, state, cause, started_at, finished_at, document, number, experiment_id, user_id, stage, artifact_uri, updated_at, revision, open)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)`,
		r.run.ID, r.run.Project, r.run.Name, r.run.State, r.doc.Cause, catalog.Micros(r.run.StartedAt), microsOrNil(r.run.FinishedAt), string(doc), r.number, r.experiment,
		r.run.User, r.run.Stage, r.run.ArtifactURI, catalog.Micros(r.run.UpdatedAt), r.revision)
	if err != nil {
		return fmt.Errorf("write run %s: %w", r.run.ID, err)
	}
	return s.cells(ctx, c, r, r.doc.Params, r.doc.Tags)
}

func microsOrNil(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}

// packVersion is the first byte of packed metrics.
const packVersion = 1

// packLatest writes version, count, and for every key in order: its length and text, value (8 bytes), step and time as varints.
func packLatest(latest map[string]series.Point) []byte {
	keys := make([]string, 0, len(latest))
	size := 16
	for key := range latest {
		keys = append(keys, key)
		size += len(key) + 20
	}
	slices.Sort(keys)
	b := binary.AppendUvarint(append(make([]byte, 0, size), packVersion), uint64(len(keys)))
	for _, key := range keys {
		p := latest[key]
		b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.Value))
		b = binary.AppendVarint(binary.AppendVarint(b, p.Step), p.At)
	}
	return b
}

var errPacked = errors.New("packed metrics are damaged")

func unpackLatest(b []byte) (map[string]series.Point, error) {
	if len(b) == 0 {
		return map[string]series.Point{}, nil
	}
	count, used := binary.Uvarint(b[1:])
	if b[0] != packVersion || used <= 0 || count > uint64(len(b)) {
		return nil, errPacked
	}
	b = b[1+used:]
	out := make(map[string]series.Point, count)
	for range count {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)) || uint64(len(b)-used) < n+8 {
			return nil, errPacked
		}
		key := string(b[used : used+int(n)])
		b = b[used+int(n):]
		p := series.Point{Value: math.Float64frombits(binary.LittleEndian.Uint64(b))}
		b = b[8:]
		if p.Step, used = binary.Varint(b); used <= 0 {
			return nil, errPacked
		}
		b = b[used:]
		if p.At, used = binary.Varint(b); used <= 0 {
			return nil, errPacked
		}
		b = b[used:]
		out[key] = p
	}
	return out, nil
}

// newer reports whether a is a later point than b: by step, then time, then value, NaN below every number.
func newer(a, b series.Point) bool {
	switch {
	case a.Step != b.Step:
		return a.Step > b.Step
	case a.At != b.At:
		return a.At > b.At
	}
	return a.Value > b.Value || math.IsNaN(b.Value) && !math.IsNaN(a.Value)
}

package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Database is the SQL store of an MLflow server (the schema of 3.17.2; what older ones lack is taken as empty). It is only read.
type Database struct {
	db      *sql.DB
	address string
	places  *Places
	has     map[string]bool // tables, and columns as table.column
}

// OpenDatabase opens sqlite:///path, a path, or a postgresql:// URL. artifacts is where mlflow-artifacts: leads to: a folder or the URL of
// an MLflow server; "" looks for a folder mlartifacts beside the file.
func OpenDatabase(ctx context.Context, source, artifacts string) (_ *Database, err error) {
	d := &Database{places: &Places{}, has: map[string]bool{}}
	scheme, _, _ := strings.Cut(source, ":")
	if scheme, _, _ = strings.Cut(scheme, "+"); scheme == "postgresql" || scheme == "postgres" {
		_, rest, _ := strings.Cut(source, ":")
		config, err := pgx.ParseConfig("postgres:" + rest)
		if err != nil {
			return nil, fault.New(fault.Invalid, "the address of the database cannot be read").WithHint("write postgresql://user:password@host:5432/database")
		}
		config.RuntimeParams["default_transaction_read_only"] = "on"
		config.RuntimeParams["application_name"] = "trimtab"
		d.db = stdlib.OpenDB(*config)
		d.address = postgresAddress(config)
	} else {
		path := strings.TrimPrefix(source, "sqlite:///")
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fault.Wrap(err, fault.NotFound, "read the database")
		}
		dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=ro&_query_only=true&_busy_timeout=10000"}).String()
		if d.db, err = sql.Open("sqlite3", dsn); err != nil {
			return nil, err
		}
		d.address = "sqlite:///" + path
		dir := filepath.Dir(path)
		d.places.bases = []string{dir}
		if beside := filepath.Join(dir, "mlartifacts"); artifacts == "" {
			if info, err := os.Stat(beside); err == nil && info.IsDir() {
				artifacts = beside
			}
		}
	}
	if err := d.places.behind(artifacts); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	if err := d.look(ctx); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// schemaOption is how libpq is told of a schema: by a flag of the server.
var schemaOption = regexp.MustCompile(`(?:^|\s)(?:-c\s*|--)search_path=(\S+)`)

// postgresAddress names a database without user and password, and in the same way however its schema was given.
func postgresAddress(c *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgresql", Path: "/" + c.Database}
	query := url.Values{}
	port := strconv.Itoa(int(c.Port))
	if strings.HasPrefix(c.Host, "/") { // a socket
		query.Set("host", c.Host)
		query.Set("port", port)
	} else {
		u.Host = net.JoinHostPort(c.Host, port)
	}
	schema := c.RuntimeParams["search_path"]
	if found := schemaOption.FindStringSubmatch(c.RuntimeParams["options"]); found != nil && schema == "" {
		schema = found[1]
	}
	if schema != "" {
		query.Set("search_path", schema)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// behind sets where mlflow-artifacts: leads to.
func (p *Places) behind(artifacts string) (err error) {
	if strings.HasPrefix(artifacts, "http://") || strings.HasPrefix(artifacts, "https://") {
		p.proxy, err = NewServer(artifacts)
		return err
	}
	if p.dir = artifacts; artifacts == "" {
		return nil
	}
	if p.dir, _ = localPath(artifacts); p.dir == "" {
		return fault.New(fault.Invalid, "--artifacts takes a folder or the URL of an MLflow server, not %s", artifacts)
	}
	if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
		return fault.New(fault.NotFound, "there is no folder %s", p.dir)
	}
	return nil
}

// look finds out which tables and columns there are.
func (d *Database) look(ctx context.Context) error {
	for _, t := range []string{"experiments", "runs", "experiment_tags", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs", "input_tags",
		"logged_models", "logged_model_tags", "logged_model_params", "logged_model_metrics", "registered_models", "registered_model_tags",
		"registered_model_aliases", "model_versions", "model_version_tags", "trace_info", "assessments", "evaluation_datasets", "webhooks", "users"} {
		rows, err := d.db.QueryContext(ctx, "SELECT * FROM "+t+" WHERE 1 = 0")
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if t == "experiments" || t == "runs" {
				return fault.Wrap(err, fault.Invalid, "%s is not an MLflow database that can be read", d.address)
			}
			continue
		}
		columns, err := rows.Columns()
		if err = errors.Join(err, rows.Close()); err != nil {
			return fmt.Errorf("read table %s: %w", t, err)
		}
		d.has[t] = true
		for _, c := range columns {
			d.has[t+"."+c] = true
		}
	}
	return nil
}

// column is a column of a table, or a constant where older schemas do not have it.
func (d *Database) column(table, name, otherwise string) string {
	if d.has[table+"."+name] {
		return "COALESCE(" + table + "." + name + ", " + otherwise + ")"
	}
	return otherwise
}

// each reads rows of a table that may not be there.
func (d *Database) each(ctx context.Context, table, query string, args []any, scan func(rows *sql.Rows) error) error {
	if !d.has[table] {
		return nil
	}
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
	}
	return rows.Err()
}

// Address is without user and password.
func (d *Database) Address() string { return d.address }

// Close closes the database.
func (d *Database) Close() error { return d.db.Close() }

// Place finds the files of a URI.
func (d *Database) Place(uri string) (Place, string) { return d.places.At(uri) }

// Experiments lists all, deleted ones too.
func (d *Database) Experiments(ctx context.Context) ([]Experiment, error) {
	var out []Experiment
	at := map[string]int{}
	err := d.each(ctx, "experiments", `SELECT CAST(experiment_id AS VARCHAR(40)), name, COALESCE(artifact_location, ''), COALESCE(lifecycle_stage, 'active'), `+
		d.column("experiments", "creation_time", "0")+`, `+d.column("experiments", "last_update_time", "0")+` FROM experiments ORDER BY experiment_id`, nil, func(rows *sql.Rows) error {
		e := Experiment{Tags: map[string]string{}}
		err := rows.Scan(&e.ID, &e.Name, &e.Root, &e.Stage, &e.CreatedAt, &e.UpdatedAt)
		at[e.ID] = len(out)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.each(ctx, "experiment_tags", `SELECT CAST(experiment_id AS VARCHAR(40)), key, COALESCE(value, '') FROM experiment_tags`, nil, func(rows *sql.Rows) error {
		var id, key, value string
		if err := rows.Scan(&id, &key, &value); err != nil {
			return err
		}
		if i, ok := at[id]; ok {
			out[i].Tags[key] = value
		}
		return nil
	})
	return out, err
}

// Runs reads the runs of an experiment 500 at a time.
func (d *Database) Runs(ctx context.Context, experiment string, f func(*Run) error) error {
	for after := ""; ; {
		runs, err := d.runs(ctx, `CAST(experiment_id AS VARCHAR(40)) = $1 AND run_uuid > $2 ORDER BY run_uuid LIMIT 500`, experiment, after)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := f(r); err != nil {
				return err
			}
		}
		if len(runs) < 500 {
			return nil
		}
		after = runs[len(runs)-1].ID
	}
}

// Run reads one run.
func (d *Database) Run(ctx context.Context, _, id string) (*Run, error) {
	runs, err := d.runs(ctx, `run_uuid = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, fault.New(fault.NotFound, "run %s is gone", id)
	}
	return runs[0], nil
}

func (d *Database) runs(ctx context.Context, where string, args ...any) ([]*Run, error) {
	var runs []*Run
	at := map[string]*Run{}
	err := d.each(ctx, "runs", `SELECT run_uuid, CAST(experiment_id AS VARCHAR(40)), COALESCE(name, ''), COALESCE(user_id, ''), COALESCE(status, 'RUNNING'),
		COALESCE(lifecycle_stage, 'active'), COALESCE(artifact_uri, ''), COALESCE(start_time, 0), COALESCE(end_time, 0) FROM runs WHERE `+where, args, func(rows *sql.Rows) error {
		r := &Run{Params: map[string]string{}, Tags: map[string]string{}, Latest: map[string]Point{}}
		err := rows.Scan(&r.ID, &r.Experiment, &r.Name, &r.User, &r.Status, &r.Stage, &r.Files, &r.StartedAt, &r.EndedAt)
		runs, at[r.ID] = append(runs, r), r
		return err
	})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	marks := make([]string, len(runs))
	ids := make([]any, len(runs))
	for i, r := range runs {
		marks[i], ids[i] = fmt.Sprintf("$%d", i+1), r.ID
	}
	in := " IN (" + strings.Join(marks, ", ") + ")"
	for _, table := range []string{"params", "tags"} {
		err := d.each(ctx, table, `SELECT run_uuid, key, COALESCE(value, '') FROM `+table+` WHERE run_uuid`+in, ids, func(rows *sql.Rows) error {
			var id, key, value string
			err := rows.Scan(&id, &key, &value)
			if r := at[id]; r != nil && table == "params" {
				r.Params[key] = value
			} else if r != nil {
				r.Tags[key] = value
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	err = d.each(ctx, "latest_metrics", `SELECT run_uuid, key, value, timestamp, step, is_nan FROM latest_metrics WHERE run_uuid`+in, ids, func(rows *sql.Rows) error {
		var id string
		p, err := scanPoint(rows, &id)
		if r := at[id]; r != nil {
			r.Latest[p.Key] = p
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if r.Name == "" {
			r.Name = r.Tags[tagRunName]
		}
	}
	return runs, d.links(ctx, in, ids, at)
}

// scanPoint reads id, key, value, time, step and whether it is NaN, which SQL stores as 0.
func scanPoint(rows *sql.Rows, id *string) (Point, error) {
	var p Point
	var value sql.NullFloat64
	var nan sql.NullBool
	err := rows.Scan(id, &p.Key, &value, &p.At, &p.Step, &nan)
	if p.Value = value.Float64; nan.Bool || !value.Valid {
		p.Value = nanValue
	}
	return p, err
}

// links reads what runs read and wrote.
func (d *Database) links(ctx context.Context, in string, ids []any, at map[string]*Run) error {
	inputs := map[string][2]string{} // input to run and dataset
	var order []string
	datasets := map[string]Dataset{}
	err := d.each(ctx, "inputs", `SELECT inputs.input_uuid, inputs.destination_id, datasets.dataset_uuid, datasets.name, datasets.digest, datasets.dataset_source_type,
		datasets.dataset_source, COALESCE(datasets.dataset_schema, ''), COALESCE(datasets.dataset_profile, '')
		FROM inputs JOIN datasets ON datasets.dataset_uuid = inputs.source_id
		WHERE inputs.source_type = 'DATASET' AND inputs.destination_type = 'RUN' AND inputs.destination_id`+in+` ORDER BY datasets.name, datasets.digest`, ids, func(rows *sql.Rows) error {
		var input, run, id string
		var s Dataset
		err := rows.Scan(&input, &run, &id, &s.Name, &s.Digest, &s.SourceType, &s.Source, &s.Schema, &s.Profile)
		inputs[input], datasets[id] = [2]string{run, id}, s
		order = append(order, input)
		return err
	})
	if err != nil {
		return err
	}
	tags := map[string]map[string]string{}
	err = d.each(ctx, "input_tags", `SELECT input_tags.input_uuid, input_tags.name, input_tags.value FROM input_tags JOIN inputs ON inputs.input_uuid = input_tags.input_uuid
		WHERE inputs.destination_id`+in, ids, func(rows *sql.Rows) error {
		var input, key, value string
		err := rows.Scan(&input, &key, &value)
		if tags[input] == nil {
			tags[input] = map[string]string{}
		}
		tags[input][key] = value
		return err
	})
	if err != nil {
		return err
	}
	for _, input := range order {
		link := inputs[input]
		s := datasets[link[1]]
		s.Tags = tags[input]
		if r := at[link[0]]; r != nil {
			r.Datasets = append(r.Datasets, s)
		}
	}
	step := "0"
	if d.has["inputs.step"] {
		step = "step"
	}
	return d.each(ctx, "inputs", `SELECT source_type, source_id, destination_id, `+step+` FROM inputs WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id`+in+` ORDER BY destination_id`, ids,
		func(rows *sql.Rows) error {
			var kind, run, model string
			var step int64
			err := rows.Scan(&kind, &run, &model, &step)
			switch r := at[run]; {
			case r == nil:
			case kind == "RUN_INPUT":
				r.ModelInputs = append(r.ModelInputs, model)
			default:
				r.ModelOutputs = append(r.ModelOutputs, ModelOutput{model, step})
			}
			return err
		})
}

// History reads all points of a metric in one pass.
func (d *Database) History(ctx context.Context, r *Run, key string, f func([]Point) error) error {
	var points []Point
	err := d.each(ctx, "metrics", `SELECT run_uuid, key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = $1 AND key = $2 ORDER BY timestamp, step, value`, []any{r.ID, key}, func(rows *sql.Rows) error {
		var id string
		p, err := scanPoint(rows, &id)
		if err != nil {
			return err
		}
		if points = append(points, p); len(points) < 10*page {
			return nil
		}
		err = f(points)
		points = points[:0]
		return err
	})
	if err != nil || len(points) == 0 {
		return err
	}
	return f(points)
}

var loggedStatus = map[int64]string{1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}

// LoggedModels lists the active logged models of an experiment.
func (d *Database) LoggedModels(ctx context.Context, experiment string) ([]LoggedModel, error) {
	var out []LoggedModel
	at := map[string]int{}
	args := []any{experiment}
	const mine = ` WHERE CAST(experiment_id AS VARCHAR(40)) = $1`
	err := d.each(ctx, "logged_models", `SELECT model_id, CAST(experiment_id AS VARCHAR(40)), name, COALESCE(model_type, ''), COALESCE(source_run_id, ''), status, COALESCE(status_message, ''),
		artifact_location, creation_timestamp_ms, last_updated_timestamp_ms FROM logged_models`+mine+` AND COALESCE(lifecycle_stage, 'active') = 'active' ORDER BY creation_timestamp_ms, model_id`, args, func(rows *sql.Rows) error {
		m := LoggedModel{Tags: map[string]string{}, Params: map[string]string{}}
		var status int64
		err := rows.Scan(&m.ID, &m.Experiment, &m.Name, &m.Type, &m.Run, &status, &m.Message, &m.Files, &m.CreatedAt, &m.UpdatedAt)
		m.Status = loggedStatus[status]
		at[m.ID] = len(out)
		out = append(out, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	texts := func(table, columns string, put func(m *LoggedModel, key, value string)) error {
		return d.each(ctx, table, `SELECT model_id, `+columns+` FROM `+table+mine, args, func(rows *sql.Rows) error {
			var id, key, value string
			err := rows.Scan(&id, &key, &value)
			if i, ok := at[id]; ok {
				put(&out[i], key, value)
			}
			return err
		})
	}
	if err := texts("logged_model_tags", "tag_key, tag_value", func(m *LoggedModel, key, value string) { m.Tags[key] = value }); err != nil {
		return nil, err
	}
	if err := texts("logged_model_params", "param_key, param_value", func(m *LoggedModel, key, value string) { m.Params[key] = value }); err != nil {
		return nil, err
	}
	err = d.each(ctx, "logged_model_metrics", `SELECT model_id, run_id, metric_name, metric_value, metric_timestamp_ms, metric_step, COALESCE(dataset_name, ''), COALESCE(dataset_digest, '')
		FROM logged_model_metrics`+mine+` ORDER BY metric_step, metric_timestamp_ms`, args, func(rows *sql.Rows) error {
		var id string
		var value sql.NullFloat64
		var m ModelMetric
		err := rows.Scan(&id, &m.Run, &m.Key, &value, &m.At, &m.Step, &m.DatasetName, &m.DatasetDigest)
		if m.Value = value.Float64; !value.Valid {
			m.Value = nanValue
		}
		if i, ok := at[id]; ok {
			out[i].Metrics = append(out[i].Metrics, m)
		}
		return err
	})
	return out, err
}

// Models lists the registry. A deleted version is not in it.
func (d *Database) Models(ctx context.Context) ([]Model, error) {
	var out []Model
	at := map[string]int{}
	inDefault := func(table string) string {
		if d.has[table+".workspace"] {
			return " WHERE " + table + ".workspace = 'default'"
		}
		return " WHERE 1 = 1"
	}
	err := d.each(ctx, "registered_models", `SELECT name, COALESCE(description, ''), COALESCE(creation_time, 0), COALESCE(last_updated_time, 0) FROM registered_models`+inDefault("registered_models")+` ORDER BY name`, nil, func(rows *sql.Rows) error {
		m := Model{Tags: map[string]string{}, Aliases: map[string]int{}}
		err := rows.Scan(&m.Name, &m.Description, &m.CreatedAt, &m.UpdatedAt)
		at[m.Name] = len(out)
		out = append(out, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.each(ctx, "registered_model_tags", `SELECT name, key, COALESCE(value, '') FROM registered_model_tags`+inDefault("registered_model_tags"), nil, func(rows *sql.Rows) error {
		var name, key, value string
		err := rows.Scan(&name, &key, &value)
		if i, ok := at[name]; ok {
			out[i].Tags[key] = value
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.each(ctx, "registered_model_aliases", `SELECT name, alias, version FROM registered_model_aliases`+inDefault("registered_model_aliases"), nil, func(rows *sql.Rows) error {
		var name, alias string
		var version int
		err := rows.Scan(&name, &alias, &version)
		if i, ok := at[name]; ok {
			out[i].Aliases[alias] = version
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.each(ctx, "model_versions", `SELECT name, version, COALESCE(description, ''), COALESCE(user_id, ''), COALESCE(current_stage, 'None'), COALESCE(source, ''), `+
		d.column("model_versions", "storage_location", "''")+`, COALESCE(run_id, ''), `+d.column("model_versions", "run_link", "''")+`, COALESCE(creation_time, 0), COALESCE(last_updated_time, 0)
		FROM model_versions`+inDefault("model_versions")+` AND COALESCE(current_stage, 'None') <> 'Deleted_Internal' ORDER BY name, version`, nil, func(rows *sql.Rows) error {
		var name string
		v := Version{Tags: map[string]string{}}
		err := rows.Scan(&name, &v.Number, &v.Description, &v.User, &v.Stage, &v.Source, &v.Files, &v.Run, &v.RunLink, &v.CreatedAt, &v.UpdatedAt)
		if i, ok := at[name]; ok {
			out[i].Versions = append(out[i].Versions, v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.each(ctx, "model_version_tags", `SELECT name, version, key, COALESCE(value, '') FROM model_version_tags`+inDefault("model_version_tags"), nil, func(rows *sql.Rows) error {
		var name, key, value string
		var version int
		err := rows.Scan(&name, &version, &key, &value)
		if i, ok := at[name]; ok {
			for j := range out[i].Versions {
				if out[i].Versions[j].Number == version {
					out[i].Versions[j].Tags[key] = value
				}
			}
		}
		return err
	})
	return out, err
}

// Rest counts the tables that nothing is taken of.
func (d *Database) Rest(ctx context.Context) ([]Left, error) {
	var left []Left
	for _, t := range []struct{ table, what, reason string }{
		{"trace_info", "traces", noTraces},
		{"assessments", "assessments", "they belong to traces"},
		{"evaluation_datasets", "evaluation datasets", "Trimtab keeps no datasets of generative models"},
		{"webhooks", "webhooks", "their secrets stay where they are"},
		{"users", "users", "users, passwords and permissions stay where they are"},
	} {
		err := d.each(ctx, t.table, "SELECT COUNT(*) FROM "+t.table, nil, func(rows *sql.Rows) error {
			var n int64
			err := rows.Scan(&n)
			if n > 0 {
				left = append(left, Left{What: t.what, Count: n, Reason: t.reason})
			}
			return err
		})
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

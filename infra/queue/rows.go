package queue

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const columns = `id, kind, project, key, state, attempt, max_attempts, progress, cause, args, result, error,
	created_at, run_at, started_at, finished_at, heartbeat`

// maxList bounds List.
const maxList = 1000

func (f Filter) query() (string, []any, error) {
	if f.Limit < 0 || f.Limit > maxList {
		return "", nil, fault.New(fault.Invalid, "limit %d is outside 1..%d", f.Limit, maxList)
	}
	where, args := []string{"workspace_id = $1"}, []any{catalog.Workspace}
	for _, c := range []struct{ column, value string }{{"project", f.Project}, {"kind", f.Kind}} {
		if c.value != "" {
			args = append(args, c.value)
			where = append(where, fmt.Sprintf("%s = $%d", c.column, len(args)))
		}
	}
	switch f.State {
	case "":
	case "active":
		where = append(where, "state IN ('waiting', 'running')")
	case Waiting, Active, Done, Failed, Canceled:
		args = append(args, f.State)
		where = append(where, fmt.Sprintf("state = $%d", len(args)))
	default:
		return "", nil, fault.New(fault.Invalid, "there is no job state %q", f.State).
			WithHint("use waiting, running, done, failed, canceled or active")
	}
	args = append(args, cmp.Or(f.Limit, 100))
	return fmt.Sprintf("SELECT %s FROM jobs WHERE %s ORDER BY id DESC LIMIT $%d", columns, strings.Join(where, " AND "), len(args)), args, nil
}

// scanJobs reads and closes rows; it takes the results of a query call as they are.
func scanJobs(rows *sql.Rows, err error) ([]Job, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	jobs := []Job{}
	for rows.Next() {
		var j Job
		var progress, args, result, failure string
		var created, run, started, finished, beat int64
		if err := rows.Scan(&j.ID, &j.Kind, &j.Project, &j.Key, &j.State, &j.Attempt, &j.MaxAttempts, &progress, &j.Cause,
			&args, &result, &failure, &created, &run, &started, &finished, &beat); err != nil {
			return nil, err
		}
		j.Args = json.RawMessage(args)
		if result != "" {
			j.Result = json.RawMessage(result)
		}
		if err := json.Unmarshal([]byte(progress), &j.Progress); err != nil {
			return nil, fmt.Errorf("progress of job %s: %w", j.ID, err)
		}
		if failure != "" {
			j.Error = &JobError{}
			if err := json.Unmarshal([]byte(failure), j.Error); err != nil {
				return nil, fmt.Errorf("error of job %s: %w", j.ID, err)
			}
		}
		j.CreatedAt, j.RunAt, j.StartedAt = catalog.Time(created), catalog.Time(run), catalog.Time(started)
		j.FinishedAt, j.Heartbeat = catalog.Time(finished), catalog.Time(beat)
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// documents are the columns of a job that are kept as JSON: progress, result, error.
func documents(j Job) (progress, result, failure string, err error) {
	p, err := json.Marshal(j.Progress)
	if err != nil {
		return "", "", "", err
	}
	if j.Error != nil {
		e, err := json.Marshal(j.Error)
		if err != nil { // a detail that JSON cannot say: the message matters more
			j.Error.Details = nil
			if e, err = json.Marshal(j.Error); err != nil {
				return "", "", "", err
			}
		}
		failure = string(e)
	}
	return string(p), string(j.Result), failure, nil
}

func insertJob(ctx context.Context, tx *catalog.Tx, j Job) error {
	progress, result, failure, err := documents(j)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO jobs (workspace_id, `+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		catalog.Workspace, j.ID, j.Kind, j.Project, j.Key, j.State, j.Attempt, j.MaxAttempts, progress, j.Cause,
		string(j.Args), result, failure, catalog.Micros(j.CreatedAt), catalog.Micros(j.RunAt), catalog.Micros(j.StartedAt),
		catalog.Micros(j.FinishedAt), catalog.Micros(j.Heartbeat))
	return err
}

// updateJob writes everything that changes in the life of a job.
func updateJob(ctx context.Context, tx *catalog.Tx, j Job) error {
	progress, result, failure, err := documents(j)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE jobs SET state = $1, attempt = $2, progress = $3, result = $4, error = $5,
		run_at = $6, started_at = $7, finished_at = $8, heartbeat = $9 WHERE workspace_id = $10 AND id = $11`,
		j.State, j.Attempt, progress, result, failure, catalog.Micros(j.RunAt), catalog.Micros(j.StartedAt),
		catalog.Micros(j.FinishedAt), catalog.Micros(j.Heartbeat), catalog.Workspace, j.ID)
	return err
}

package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// Retention says how long an experiment keeps what is old. Nil means without a bound: nothing goes by itself.
type Retention struct {
	DeletedDays *int64 `json:"deleted_days" doc:"deleted runs and logged models, and the experiment itself when it is deleted, are removed for good after so many days" minimum:"0"`
	MaxRuns     *int64 `json:"max_runs" doc:"of runs that have ended the newest so many are kept; older ones are deleted, and can be restored until they are removed" minimum:"1"`
}

// Retention is that of an experiment, its own or the one for all; experiment "" is the one for all.
func (s *Service) Retention(ctx context.Context, experiment string) (Retention, error) {
	if experiment != "" {
		if _, err := s.Experiment(ctx, experiment); err != nil {
			return Retention{}, err
		}
	}
	all, err := s.retentions(ctx)
	if err != nil {
		return Retention{}, err
	}
	if own, ok := all[experiment]; ok {
		return own, nil
	}
	return all[""], nil
}

func (s *Service) retentions(ctx context.Context) (map[string]Retention, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT experiment, deleted_days, max_runs FROM retention`)
	if err != nil {
		return nil, fmt.Errorf("read retention: %w", err)
	}
	defer rows.Close()
	all := map[string]Retention{}
	for rows.Next() {
		var experiment string
		var r Retention
		if err := rows.Scan(&experiment, &r.DeletedDays, &r.MaxRuns); err != nil {
			return nil, fmt.Errorf("read retention: %w", err)
		}
		all[experiment] = r
	}
	return all, rows.Err()
}

// SetRetention sets that of an experiment, or with "" that of all which have none of their own. Without any bound the row goes.
func (s *Service) SetRetention(ctx context.Context, experiment string, r Retention) error {
	if experiment != "" {
		e, err := s.Experiment(ctx, experiment)
		if err != nil {
			return err
		}
		experiment = e.ID
	}
	if r.DeletedDays != nil && (*r.DeletedDays < 0 || *r.DeletedDays > 36500) {
		return fault.New(fault.Invalid, "deleted_days is %d and must be from 0 to 36500", *r.DeletedDays)
	}
	if r.MaxRuns != nil && *r.MaxRuns < 1 {
		return fault.New(fault.Invalid, "max_runs is %d and must be at least 1", *r.MaxRuns)
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		var err error
		if r == (Retention{}) && experiment == "" {
			_, err = tx.ExecContext(ctx, `DELETE FROM retention WHERE workspace_id = 'default' AND experiment = ''`)
		} else {
			_, err = tx.ExecContext(ctx, `INSERT INTO retention (experiment, deleted_days, max_runs) VALUES ($1, $2, $3)
				ON CONFLICT (workspace_id, experiment) DO UPDATE SET deleted_days = excluded.deleted_days, max_runs = excluded.max_runs`, experiment, r.DeletedDays, r.MaxRuns)
		}
		if err != nil {
			return fmt.Errorf("write retention: %w", err)
		}
		subject := "experiments"
		if experiment != "" {
			subject = "experiment/" + experiment
		}
		return s.events.Append(ctx, tx, govern.Event{Kind: "retention.changed", Subject: subject, Message: fmt.Sprintf("retention of %s: %s", subject, r)})
	})
}

// String says it in words.
func (r Retention) String() string {
	bound := func(n *int64, what string) string {
		if n == nil {
			return "no bound on " + what
		}
		return strconv.FormatInt(*n, 10) + " " + what
	}
	return bound(r.DeletedDays, "days after deletion") + ", " + bound(r.MaxRuns, "runs")
}

// expire deletes runs beyond what their experiments keep, and removes for good what was deleted long enough ago.
func (s *Service) expire(ctx context.Context, req CollectRequest, report *CollectReport) error {
	all, err := s.retentions(ctx)
	if err != nil {
		return err
	}
	policy := func(experiment int64) Retention {
		if own, ok := all[strconv.FormatInt(experiment, 10)]; ok {
			return own
		}
		return all[""]
	}
	now := s.now()
	// due tells whether something that was deleted at a moment is to go now.
	due := func(experiment, deleted int64) bool {
		age := now.Sub(catalog.Time(deleted))
		if req.OlderThan != nil && age >= *req.OlderThan {
			return true
		}
		days := policy(experiment).DeletedDays
		return days != nil && age >= time.Duration(*days)*24*time.Hour
	}
	if err := s.expireRuns(ctx, policy, req.DryRun, report); err != nil {
		return err
	}
	runs, err := s.deletedOf(ctx, due, `SELECT id, experiment_id, deleted_at FROM runs WHERE workspace_id = 'default' AND stage = 'deleted' AND deleted_at IS NOT NULL`)
	if err != nil {
		return err
	}
	models, err := s.deletedOf(ctx, due, `SELECT id, experiment_id, updated_at FROM logged_models WHERE workspace_id = 'default' AND stage = 'deleted'`)
	if err != nil {
		return err
	}
	experiments, err := s.deletedOf(ctx, due, `SELECT id, id, updated_at FROM experiments WHERE workspace_id = 'default' AND stage = 'deleted' AND id <> 0`)
	if err != nil {
		return err
	}
	report.Runs, report.LoggedModels, report.Experiments = int64(len(runs)), int64(len(models)), int64(len(experiments))
	if req.DryRun {
		return nil
	}
	if err := s.HardDeleteRun(ctx, runs...); err != nil {
		return err
	}
	for _, id := range models {
		if err := s.db.Write(ctx, func(tx *catalog.Tx) error { return s.removeModel(ctx, tx, id) }); err != nil {
			return err
		}
	}
	for _, id := range experiments {
		removed, err := s.removeExperiment(ctx, id)
		if err != nil {
			return err
		}
		if !removed {
			report.Experiments--
		}
	}
	return nil
}

// deletedOf reads (id, experiment, moment) and gives the ids of what is due.
func (s *Service) deletedOf(ctx context.Context, due func(experiment, deleted int64) bool, query string) ([]string, error) {
	rows, err := s.db.Read().QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("look for what was deleted: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		var experiment, deleted int64
		if err := rows.Scan(&id, &experiment, &deleted); err != nil {
			return nil, fmt.Errorf("look for what was deleted: %w", err)
		}
		if due(experiment, deleted) {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}

// expireRuns deletes the oldest runs of experiments that keep only so many. Runs that have not ended stay.
func (s *Service) expireRuns(ctx context.Context, policy func(experiment int64) Retention, dry bool, report *CollectReport) error {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT experiment_id, count(*) FROM runs WHERE workspace_id = 'default' AND stage = 'active' GROUP BY experiment_id`)
	if err != nil {
		return fmt.Errorf("count runs: %w", err)
	}
	counts := map[int64]int64{}
	for rows.Next() {
		var experiment, n int64
		if err := rows.Scan(&experiment, &n); err != nil {
			return errors.Join(fmt.Errorf("count runs: %w", err), rows.Close())
		}
		if most := policy(experiment).MaxRuns; most != nil && n > *most {
			counts[experiment] = *most
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("count runs: %w", err)
	}
	for experiment, most := range counts {
		var old []string
		err := eachText(ctx, s.db.Read(), func(id string) error { old = append(old, id); return nil },
			`SELECT id FROM runs WHERE workspace_id = 'default' AND experiment_id = $1 AND stage = 'active' AND state NOT IN ('running', 'scheduled')
			ORDER BY started_at DESC, id DESC LIMIT 1000000 OFFSET $2`, experiment, most)
		if err != nil {
			return err
		}
		report.Expired += int64(len(old))
		for _, id := range old {
			if dry {
				break
			}
			if err := s.DeleteRun(ctx, id); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	}
	return nil
}

// removeModel removes a logged model with its files.
func (s *Service) removeModel(ctx context.Context, tx *catalog.Tx, id string) error {
	var uri string
	err := tx.QueryRowContext(ctx, `SELECT artifact_uri FROM logged_models WHERE workspace_id = 'default' AND id = $1`, id).Scan(&uri)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for logged model: %w", err)
	}
	if err := s.removeTree(ctx, tx, uri); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM model_metrics WHERE workspace_id = 'default' AND model_id = $1`,
		`DELETE FROM logged_models WHERE workspace_id = 'default' AND id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, query, id); err != nil {
			return fmt.Errorf("remove logged model %s: %w", id, err)
		}
	}
	return nil
}

// removeExperiment removes a deleted experiment that has no runs any more, and reports whether it did.
func (s *Service) removeExperiment(ctx context.Context, id string) (removed bool, err error) {
	n, err := parseExperiment(id)
	if err != nil {
		return false, err
	}
	err = s.writer.do(ctx, func(c *change) error {
		e, err := experiment(ctx, c.Tx, n)
		if err != nil {
			return err
		}
		var runs int64
		if err := c.QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE workspace_id = 'default' AND experiment_id = $1`, n).Scan(&runs); err != nil {
			return fmt.Errorf("count runs: %w", err)
		}
		if e.Stage != StageDeleted || runs > 0 {
			return nil
		}
		var models []string
		if err := eachText(ctx, c.Tx, func(id string) error { models = append(models, id); return nil },
			`SELECT id FROM logged_models WHERE workspace_id = 'default' AND experiment_id = $1`, n); err != nil {
			return err
		}
		for _, model := range models {
			if err := s.removeModel(ctx, c.Tx, model); err != nil {
				return err
			}
		}
		for _, query := range []string{
			`DELETE FROM run_datasets WHERE workspace_id = 'default' AND experiment_id = $1`,
			`DELETE FROM experiment_keys WHERE workspace_id = 'default' AND experiment_id = $1`,
			`DELETE FROM experiments WHERE workspace_id = 'default' AND id = $1`,
		} {
			if _, err := c.ExecContext(ctx, query, n); err != nil {
				return fmt.Errorf("remove experiment %s: %w", id, err)
			}
		}
		if _, err := c.ExecContext(ctx, `DELETE FROM retention WHERE workspace_id = 'default' AND experiment = $1`, id); err != nil {
			return fmt.Errorf("remove experiment %s: %w", id, err)
		}
		removed = true
		return s.events.Append(ctx, c.Tx, govern.Event{Kind: "experiment.removed", Subject: "experiment/" + id, Level: govern.Attention, Message: "experiment " + e.Name + " was removed for good"})
	})
	return removed && err == nil, err
}

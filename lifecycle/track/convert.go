package track

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// What a start has to put in order. Every step can be repeated, and two servers may do it at the same time: points have an identity, and
// rows are changed under the revision by whoever comes first.

// readPoints moves the metric files of older versions, one of JSON lines per run, into the series store.
func (s *Service) readPoints(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return fmt.Errorf("find old metric files: %w", err)
	}
	for _, file := range files {
		run := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		if !id.Valid(run) {
			continue
		}
		if err := s.readPointFile(file, run); err != nil {
			return fmt.Errorf("read the old metric file %s: %w", file, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return nil
	}
	if err := s.series.Sync(); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove the old metric file: %w", err)
		}
	}
	_ = os.Remove(dir) // stays when something else is in it
	return nil
}

func (s *Service) readPointFile(path, run string) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil // another server was quicker
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var entries []series.Entry
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p struct {
			Key   string    `json:"key"`
			Step  int64     `json:"step"`
			At    time.Time `json:"at"`
			Value float64   `json:"value"`
		}
		if json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &p) != nil || p.Key == "" {
			continue // the torn last line of a process that was killed
		}
		entries = append(entries, series.Entry{Key: p.Key, Point: series.Point{Step: p.Step, At: max(0, p.At.UnixMilli()), Value: p.Value}})
		if len(entries) == 10_000 {
			if err := s.series.Append(run, entries); err != nil {
				return err
			}
			entries = entries[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return s.series.Append(run, entries)
}

// convert gives runs of the time before experiments a number, their project's experiment, and cells.
func (s *Service) convert(ctx context.Context) error {
	for {
		more := false
		err := s.writer.do(ctx, func(c *change) error {
			rows, err := c.QueryContext(ctx, `SELECT document FROM runs WHERE workspace_id = 'default' AND number IS NULL ORDER BY id LIMIT 500`)
			if err != nil {
				return err
			}
			defer rows.Close()
			var old []Run
			for rows.Next() {
				var doc string
				var run Run
				if err := rows.Scan(&doc); err != nil {
					return err
				}
				if err := json.Unmarshal([]byte(doc), &run); err != nil {
					return err
				}
				old = append(old, run)
			}
			if err := rows.Err(); err != nil {
				return err
			}
			if err := rows.Close(); err != nil {
				return err
			}
			for i := range old {
				if err := s.convertRun(ctx, c, &old[i]); err != nil {
					return fmt.Errorf("run %s: %w", old[i].ID, err)
				}
			}
			more = len(old) > 0
			if !more {
				return errSame
			}
			return nil
		})
		if err := unlessSame(err); err != nil {
			return fmt.Errorf("convert runs: %w", err)
		}
		if !more {
			return nil
		}
	}
}

func (s *Service) convertRun(ctx context.Context, c *change, old *Run) error {
	folder := old.Project
	if folder == "" {
		folder = defaultFolder
	}
	experimentID, err := s.EnsureExperiment(ctx, c.Tx, folder)
	if err != nil {
		return err
	}
	r := &record{run: *old, doc: document{Cause: old.Cause, Actor: old.Actor, Seconds: old.Seconds, Params: old.Params, Inputs: old.Inputs, Model: old.Model,
		Version: old.Version, GitCommit: old.GitCommit, Error: old.Error, Tags: map[string]string{TagRunName: old.Name}}}
	if r.experiment, err = parseExperiment(experimentID); err != nil {
		return err
	}
	if r.number, err = next(ctx, c.Tx, "run", 1); err != nil {
		return err
	}
	at := old.StartedAt
	if old.FinishedAt != nil {
		at = *old.FinishedAt
	}
	var points []Metric
	r.latest = make(map[string]series.Point, len(old.Metrics))
	for key, value := range old.Metrics {
		m := Metric{Key: key, Value: value, At: max(0, at.UnixMilli())}
		points, r.latest[key] = append(points, m), m.point()
	}
	if err := s.metricCells(ctx, c, r.experiment, r.number, old.Metrics); err != nil {
		return err
	}
	if err := s.append(old.ID, points); err != nil {
		return err
	}
	doc, err := json.Marshal(&r.doc)
	if err != nil {
		return err
	}
	// Open: recover reads the latest points next, those of the metric files too.
	_, err = c.ExecContext(ctx, `UPDATE runs SET number = $1, experiment_id = $2, stage = 'active', artifact_uri = $3, updated_at = $4, revision = $5, document = $6, latest = $7, open = 1
		WHERE workspace_id = 'default' AND id = $8`,
		r.number, r.experiment, join(scheme+experimentID, old.ID, artifactsDir), at.UnixMicro(), c.revision, string(doc), packLatest(r.latest), old.ID)
	if err != nil {
		return err
	}
	return s.cells(ctx, c, r, r.doc.Params, r.doc.Tags)
}

// recover writes the latest points of runs that were open when the process ended: they may be newer than their rows.
func (s *Service) recover(ctx context.Context) error {
	last := ""
	for {
		records, err := s.records(ctx, s.db.Read(), `SELECT `+recordColumns+` FROM runs WHERE workspace_id = 'default' AND open = 1 AND id > $1 ORDER BY id LIMIT 200`, last)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		last = records[len(records)-1].run.ID
		err = s.writer.do(ctx, func(c *change) error {
			for _, r := range records {
				if err := s.recoverRun(ctx, c, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read what was logged last: %w", err)
		}
	}
}

func (s *Service) recoverRun(ctx context.Context, c *change, r *record) error {
	points, err := s.series.Latest(r.run.ID)
	if err != nil {
		return err
	}
	if len(points) == 0 {
		return nil // nothing was logged, or it is another server's run
	}
	changed := map[string]float64{}
	for key, p := range points {
		if old, ok := r.latest[key]; ok && !newer(p, old) {
			continue
		}
		r.latest[key], changed[key] = p, p.Value
	}
	if err := s.metricCells(ctx, c, r.experiment, r.number, changed); err != nil {
		return err
	}
	open := 1
	if ended(r.run.State) {
		open = 0
	}
	if len(changed) == 0 && open == 1 {
		return nil
	}
	_, err = c.ExecContext(ctx, `UPDATE runs SET latest = $1, open = $2, revision = $3 WHERE workspace_id = 'default' AND id = $4`, packLatest(r.latest), open, c.revision, r.run.ID)
	return err
}

// removeTree removes the files under a URI, if they are in our store.
func (s *Service) removeTree(ctx context.Context, tx *catalog.Tx, uri string) error {
	path, ours := strings.CutPrefix(uri, "mlflow-artifacts:")
	if !ours {
		return nil
	}
	path, err := CleanPath(strings.TrimLeft(path, "/"))
	if err != nil || path == "" {
		return err
	}
	if err := s.Unlink(ctx, tx, path); err != nil {
		return fmt.Errorf("remove the files under %s: %w", uri, err)
	}
	return nil
}

// SweepPoints removes points whose run is gone, which a crash in the middle of HardDeleteRun leaves, and counts their runs; dry only counts.
// It is for garbage collection and not for every start: after a catalog was restored from an old backup the points of newer runs would go.
func (s *Service) SweepPoints(ctx context.Context, dry bool) (runs int, err error) {
	for owner, err := range s.series.Owners() {
		if err != nil {
			return runs, err
		}
		var n int
		if err := s.db.Read().QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE workspace_id = 'default' AND id = $1`, owner).Scan(&n); err != nil {
			return runs, fmt.Errorf("look for run %s: %w", owner, err)
		}
		if n > 0 {
			continue
		}
		runs++
		if !dry {
			if err := s.series.Delete(owner); err != nil {
				return runs, err
			}
		}
	}
	return runs, nil
}

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // MLflow's store is filled directly: by its API it would take an hour
)

// query is a search over the runs of subject.
type query struct {
	what   string
	filter string
	order  []string
}

var queries = []query{
	{"everything, newest first", "", []string{"attributes.start_time DESC"}},
	{"a metric, best first", "metrics.m0 > 0.9", []string{"metrics.m0 DESC"}},
	{"a parameter and a metric", "params.p0 = '3' and metrics.m1 < 0.5", []string{"metrics.m1 ASC"}},
	{"a tag", "tags.t0 = 'v7'", []string{"attributes.start_time DESC"}},
	{"a tag by pattern", "tags.t1 LIKE '%x1%'", nil},
	{"state and two metrics", "attributes.status = 'FINISHED' and metrics.m2 >= 0.25 and metrics.m3 <= 0.5", []string{"metrics.m4 DESC"}},
	{"a name by pattern", "attributes.run_name ILIKE '%RUN-999%'", nil},
	{"two parameters and a tag", "params.p1 != '1' and params.p2 = '2' and tags.t2 = 'a'", []string{"params.p3 ASC"}},
}

// searched is what the searches took on each server.
type searched struct {
	ours, theirs [][]time.Duration // by query
	unfinished   []bool            // by query: MLflow was given up after patience
	cpu          []float64         // milliseconds per search that was finished
	fill         time.Duration     // ours, over HTTP
}

// subject is run i: 10 parameters, 5 metrics and 3 tags, the same on both servers.
type subject struct {
	name    string
	start   int64
	status  string
	params  [10]string
	metrics [5]float64
	tags    [3]string
}

func newSubject(i int) subject {
	s := subject{name: fmt.Sprintf("run-%d", i), start: 1_700_000_000_000 + int64(i)*1000, status: "FINISHED"}
	if i%10 == 9 {
		s.status = "FAILED"
	}
	mix := func(k int) uint64 { // splitmix64
		z := uint64(i)*0x9e3779b97f4a7c15 + uint64(k)*0xbf58476d1ce4e5b9
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb
		return z ^ (z >> 31)
	}
	for k := range s.params {
		s.params[k] = fmt.Sprint(mix(k) % 10)
	}
	for k := range s.metrics {
		s.metrics[k] = float64(mix(100+k)>>11) / (1 << 53)
	}
	s.tags = [3]string{fmt.Sprintf("v%d", mix(200)%100), fmt.Sprintf("y%dx%d", mix(201)%100, mix(202)%100), string(rune('a' + mix(203)%4))}
	return s
}

// fill logs the runs to a server as a client would.
func fill(ctx context.Context, c *contender, experiment string, n int) error {
	const clients = 8
	client := keptAlive(clients)
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var workers sync.WaitGroup
	failures := make([]error, clients)
	for w := range clients {
		workers.Go(func() {
			for failures[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				failures[w] = log(ctx, c, experiment, newSubject(i))
			}
		})
	}
	workers.Wait()
	return errors.Join(failures...)
}

var logging = keptAlive(8)

func log(ctx context.Context, c *contender, experiment string, s subject) error {
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			}
		}
	}
	type pair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	type metric struct {
		Key       string  `json:"key"`
		Value     float64 `json:"value"`
		Timestamp int64   `json:"timestamp"`
	}
	var params, tags []pair
	var metrics []metric
	for k, v := range s.params {
		params = append(params, pair{fmt.Sprintf("p%d", k), v})
	}
	for k, v := range s.tags {
		tags = append(tags, pair{fmt.Sprintf("t%d", k), v})
	}
	for k, v := range s.metrics {
		metrics = append(metrics, metric{fmt.Sprintf("m%d", k), v, s.start})
	}
	if err := c.post(ctx, logging, "/runs/create", map[string]any{"experiment_id": experiment, "run_name": s.name, "start_time": s.start, "tags": tags}, &out); err != nil {
		return err
	}
	id := out.Run.Info.ID
	if err := c.post(ctx, logging, "/runs/log-batch", map[string]any{"run_id": id, "params": params, "metrics": metrics}, nil); err != nil {
		return err
	}
	return c.post(ctx, logging, "/runs/update", map[string]any{"run_id": id, "status": s.status, "end_time": s.start + 1000}, nil)
}

// fillDirectly writes the runs into the SQLite file of the MLflow server, which is idle meanwhile.
func fillDirectly(ctx context.Context, file, experiment string, n, pointsOfEach int, metricKey string) (ids []string, err error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?_busy_timeout=60000&_synchronous=OFF")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	insert := func(err error, text string, args ...any) error {
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, text, args...)
		return err
	}
	const metricRow = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
	const latestRow = "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, 0, ?)"
	point, err := tx.PrepareContext(ctx, metricRow)
	if err != nil {
		return nil, err
	}
	for i := range n {
		s, id := newSubject(i), fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15+uint64(len(metricKey)))
		err := insert(nil, "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version, "+
			"lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', '', ?, ?, ?, '', 'active', ?, ?)",
			id, s.name, s.status, s.start, s.start+1000, "mlflow-artifacts:/"+experiment+"/"+id+"/artifacts", experiment)
		err = insert(err, "INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?, ?)", s.name, id)
		if metricKey == "" {
			for k, v := range s.params {
				err = insert(err, "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", fmt.Sprintf("p%d", k), v, id)
			}
			for k, v := range s.tags {
				err = insert(err, "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", fmt.Sprintf("t%d", k), v, id)
			}
			for k, v := range s.metrics {
				err = insert(err, metricRow, fmt.Sprintf("m%d", k), v, s.start, id, 0)
				err = insert(err, latestRow, fmt.Sprintf("m%d", k), v, s.start, 0, id)
			}
		}
		for step := 0; step < pointsOfEach && err == nil; step++ {
			_, err = point.ExecContext(ctx, metricKey, curve(0, step), 1_700_000_000_000+int64(step)*100, id, step)
		}
		if pointsOfEach > 0 {
			err = insert(err, latestRow, metricKey, curve(0, pointsOfEach-1), 1_700_000_000_000+int64(pointsOfEach-1)*100, pointsOfEach-1, id)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, tx.Commit()
}

// patience is how long MLflow is waited for. A search that takes longer counts as this long, is not asked again, and
// the server is started anew, for it would go on working on it.
const patience = time.Minute

// measureSearch fills both servers with the same runs and asks the same questions in turn.
func measureSearch(ctx context.Context, o options, ours, theirs *contender) (*searched, error) {
	out := &searched{ours: make([][]time.Duration, len(queries)), theirs: make([][]time.Duration, len(queries)), unfinished: make([]bool, len(queries)), cpu: make([]float64, 2)}
	experiments := map[*contender]string{}
	for _, c := range []*contender{ours, theirs} {
		id, err := c.newExperiment(ctx, "search")
		if err != nil {
			return nil, err
		}
		experiments[c] = id
	}
	begun := time.Now()
	if err := fill(ctx, ours, experiments[ours], o.runs); err != nil {
		return nil, err
	}
	out.fill = time.Since(begun)
	progress("Trimtab has %d runs after %s", o.runs, out.fill.Round(time.Second))
	if _, err := fillDirectly(ctx, filepath.Join(theirs.dir, "mlflow.db"), experiments[theirs], o.runs, 0, ""); err != nil {
		return nil, err
	}
	progress("MLflow has them too")
	found := map[*contender][]int{}
	const often = 25 // asks of ours for each query, against 3 of MLflow's
	for k, c := range []*contender{ours, theirs} {
		client := keptAlive(1)
		rounds, times := often, out.ours
		if c == theirs {
			client.Timeout = patience
			rounds, times = 3, out.theirs
		}
		var cpu time.Duration
		asked := 0
		for round := range rounds + 1 {
			for i, q := range queries {
				if c == theirs && out.unfinished[i] {
					continue
				}
				var page struct {
					Runs []struct {
						Info struct {
							Name string `json:"run_name"`
						}
					}
				}
				before, sent := c.cpu(), time.Now()
				err := c.post(ctx, client, "/runs/search", map[string]any{"experiment_ids": []string{experiments[c]}, "filter": q.filter, "order_by": q.order, "max_results": 100}, &page)
				if late := (interface{ Timeout() bool })(nil); c == theirs && errors.As(err, &late) && late.Timeout() {
					progress("MLflow: %s: given up after %s", q.what, patience)
					out.unfinished[i] = true
					times[i] = []time.Duration{patience}
					found[c] = append(found[c], found[ours][i])
					if err := theirs.restart(ctx); err != nil {
						return nil, err
					}
					continue
				}
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", c.name, q.what, err)
				}
				if round == 0 { // it warms
					found[c] = append(found[c], len(page.Runs))
					continue
				}
				times[i] = append(times[i], time.Since(sent))
				cpu += c.cpu() - before
				asked++
			}
		}
		out.cpu[k] = cpu.Seconds() * 1e3 / float64(max(asked, 1))
		client.CloseIdleConnections()
	}
	for i, q := range queries {
		if found[ours][i] != found[theirs][i] || found[ours][i] == 0 {
			return nil, fmt.Errorf("%s: %d runs from us, %d from MLflow", q.what, found[ours][i], found[theirs][i])
		}
	}
	return out, nil
}

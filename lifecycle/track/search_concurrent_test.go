package track_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// TestPagesWhileRunsComeAndGo turns pages while others make, change and remove runs: every run that nobody touched is seen once, and none twice.
func TestPagesWhileRunsComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		d := dice{rand.New(rand.NewPCG(3, 4))}
		var still []string
		for range 60 {
			r := w.run(t, "0")
			if d.IntN(4) > 0 {
				must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: d.value()}))
			}
			still = append(still, r.ID)
		}
		for _, order := range [][]string{nil, {"metrics.m"}, {"metrics.m DESC"}, {"tags.t", "metrics.m DESC"}, {"run_id DESC"}} {
			var others []string
			seen := map[string]int{}
			q := track.RunSearch{Experiments: []string{"0"}, Search: track.Search{OrderBy: order, MaxResults: 7}}
			for {
				runs, next, err := w.SearchRuns(ctx, q)
				must(t, err)
				for _, r := range runs {
					seen[r.ID]++
				}
				if next == "" {
					break
				}
				q.PageToken = next
				// Runs that come and go, but none whose place in the order changes.
				r := w.run(t, "0", track.Tag{Key: "t", Value: d.word()})
				must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: d.value()}))
				must(t, w.LogParam(ctx, pick(d, still...), track.Param{Key: fmt.Sprint("p", d.Uint64()), Value: "x"}))
				if others = append(others, r.ID); len(others) > 2 {
					must(t, w.DeleteRun(ctx, others[d.IntN(len(others))]))
					must(t, w.HardDeleteRun(ctx, others[0]))
					others = others[1:]
				}
				if len(seen) > 1000 {
					t.Fatal("the pages do not end")
				}
			}
			for id, n := range seen {
				if n > 1 {
					t.Errorf("order %v: run %s is on %d pages", order, id, n)
				}
			}
			for _, id := range still {
				if seen[id] != 1 {
					t.Errorf("order %v: run %s is on %d pages, want 1", order, id, seen[id])
				}
			}
		}
	})
}

// TestServersSeeEachOther has two services on one catalog, as two servers on one PostgreSQL are.
func TestServersSeeEachOther(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		ctx := t.Context()
		var servers []*world
		for range 2 {
			servers = append(servers, openWorld(t, catalogtest.Open(t, place, schemas...), t.TempDir()))
		}
		search := func(w *world, text string, want ...string) {
			t.Helper()
			found := w.found(t, track.RunSearch{Experiments: []string{"0"}, Search: track.Search{Filter: text, OrderBy: []string{"run_name"}}})
			slices.Sort(found)
			slices.Sort(want)
			if !slices.Equal(found, want) {
				t.Errorf("%s: %v, want %v", text, found, want)
			}
		}
		var ids []string
		for i := range 10 {
			a, b := servers[i%2], servers[(i+1)%2]
			search(b, "")
			r := a.run(t, "0")
			search(b, "", r.ID)
			must(t, a.LogParam(ctx, r.ID, track.Param{Key: "p", Value: "1"}))
			search(b, "params.p = '1'", r.ID)
			must(t, b.SetTag(ctx, r.ID, track.Tag{Key: "t", Value: fmt.Sprint(i)}))
			search(a, fmt.Sprintf("tags.t = '%d'", i), r.ID)
			search(a, fmt.Sprintf("tags.t != '%d'", i))
			must(t, a.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: float64(i)}))
			search(a, fmt.Sprintf("metrics.m = %d", i), r.ID)
			search(b, fmt.Sprintf("metrics.m = %d", i), r.ID) // a's search has written it
			must(t, a.DeleteRun(ctx, r.ID))
			search(b, "params.p = '1'")
			must(t, b.RestoreRun(ctx, r.ID))
			search(a, "params.p = '1'", r.ID)
			must(t, a.HardDeleteRun(ctx, r.ID))
			search(b, "params.p = '1'")
			ids = append(ids, r.ID)
		}
		for _, w := range servers {
			search(w, "run_id IN ('"+ids[0]+"', '"+ids[1]+"')")
		}
	})
}

// openSmall is a service whose index keeps no column between searches.
func openSmall(t testing.TB, db *catalog.DB) *world {
	t.Helper()
	dir := t.TempDir()
	blobs, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
	must(t, err)
	points, err := series.Open(context.Background(), series.Options{Dir: filepath.Join(dir, "series")})
	must(t, err)
	s, err := track.New(context.Background(), track.Config{DB: db, Blobs: blobs, Series: points, Events: govern.New(db), Uploads: filepath.Join(dir, "uploads"), Index: 1})
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Close(context.Background()))
		must(t, points.Close())
	})
	return &world{Service: s, db: db, points: points, dir: dir}
}

// TestSearchersAndWriters is for the race detector: whatever happens, a search has no run twice, and a table as many rows as ids.
func TestSearchersAndWriters(t *testing.T) {
	for name, open := range map[string]func(t testing.TB, db *catalog.DB) *world{
		"roomy": func(t testing.TB, db *catalog.DB) *world { return openWorld(t, db, t.TempDir()) },
		"small": openSmall,
	} {
		t.Run(name, func(t *testing.T) {
			catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) {
				w := open(t, db)
				var writers, searchers sync.WaitGroup
				written := make(chan struct{})
				for i := range uint64(3) {
					writers.Go(func() {
						d := dice{rand.New(rand.NewPCG(i, 5))}
						var ids []string
						for range 150 {
							w.change(t, d, []string{"0"}, &ids)
						}
					})
				}
				for i := range uint64(3) {
					searchers.Go(func() {
						d := dice{rand.New(rand.NewPCG(i, 6))}
						for {
							q := d.search([]string{"x", "y"})
							q.Experiments, q.MaxResults = []string{"0"}, 0
							ids := w.found(t, q)
							slices.Sort(ids)
							if n := len(ids); n != len(slices.Compact(ids)) {
								t.Errorf("%+v finds a run twice", q)
							}
							table, err := w.RunTable(context.Background(), track.TableQuery{RunSearch: q, Columns: []string{"metrics.m", "params.p", "tags.t", "status"}, GroupBy: []string{"tags.team"}})
							if err != nil || len(table.Rows) != len(table.IDs) {
								t.Errorf("%+v: %v", q, err)
							}
							select {
							case <-written:
								return
							default:
							}
						}
					})
				}
				writers.Wait()
				close(written)
				searchers.Wait()
			})
		})
	}
}

// TestSmallIndexFindsTheSame has columns go after every search.
func TestSmallIndexFindsTheSame(t *testing.T) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) {
		roomy, small := openWorld(t, db, t.TempDir()), openSmall(t, db)
		fill(t, db, 300)
		for _, q := range mixed {
			search := track.RunSearch{Experiments: []string{"0"}, Search: q}
			if a, b := roomy.found(t, search), small.found(t, search); !slices.Equal(a, b) {
				t.Errorf("%+v: %v and %v", q, a, b)
			}
		}
		if roomy, small := roomy.IndexBytes(), small.IndexBytes(); small >= roomy {
			t.Errorf("the small index takes %d bytes, the other %d", small, roomy)
		}
	})
}

// TestManyChangesAtOnce deletes, restores and removes more runs than are taken in one by one.
func TestManyChangesAtOnce(t *testing.T) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) {
		const runs = 2500
		fill(t, db, runs)
		w := openWorld(t, db, t.TempDir())
		ctx := t.Context()
		other := got(w.CreateExperiment(ctx, track.NewExperiment{Name: "other"}))(t).ID
		must(t, db.Write(ctx, func(tx *catalog.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE runs SET experiment_id = $1", other)
			return err
		}))
		total := func(view track.View, text string) int64 {
			t.Helper()
			return got(w.RunTable(ctx, track.TableQuery{RunSearch: track.RunSearch{Experiments: []string{other}, Search: track.Search{View: view, Filter: text}}, Limit: 1}))(t).Total
		}
		matching := total("", "params.p0 = '7' AND metrics.m0 >= 0")
		if all := total("", ""); all != runs || matching == 0 {
			t.Fatalf("%d runs, %d match", all, matching)
		}
		must(t, w.DeleteExperiment(ctx, other))
		if n, deleted := total("", ""), total(track.ViewDeleted, "params.p0 = '7' AND metrics.m0 >= 0"); n != 0 || deleted != matching {
			t.Errorf("after the deletion %d are active and %d match, want 0 and %d", n, deleted, matching)
		}
		must(t, w.RestoreExperiment(ctx, other))
		if n := total("", "params.p0 = '7' AND metrics.m0 >= 0"); n != matching {
			t.Errorf("after the restoration %d match, want %d", n, matching)
		}
		// Removed behind the back of the service, as another server does it.
		must(t, db.Write(ctx, func(tx *catalog.Tx) error {
			for _, query := range []string{"DELETE FROM runs WHERE number > 100", "UPDATE track_counters SET value = value + 1 WHERE name = 'epoch'"} {
				if _, err := tx.ExecContext(ctx, query); err != nil {
					return err
				}
			}
			return nil
		}))
		if n := total("", ""); n != 100 {
			t.Errorf("after the removal there are %d, want 100", n)
		}
		if n := total("", "params.p0 = '7' AND metrics.m0 >= 0"); n != 5 { // (run*7919) mod 20 = 7 for one of 20
			t.Errorf("after the removal %d match, want 5", n)
		}
		r := w.run(t, other)
		if found := w.found(t, track.RunSearch{Experiments: []string{other}, Search: track.Search{Filter: "params.p0 IS NULL"}}); !slices.Equal(found, []string{r.ID}) {
			t.Errorf("found %v, want %s", found, r.ID)
		}
	})
}

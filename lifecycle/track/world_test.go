package track_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

var schemas = []fs.FS{govern.Schema, track.Schema}

// world is a service on an empty folder, which can be closed and opened again.
type world struct {
	*track.Service
	db     *catalog.DB
	events *govern.Service
	points *series.Store
	dir    string
	end    func()
}

// start is when runs begin that do not say.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openWorld(t testing.TB, db *catalog.DB, dir string) *world {
	t.Helper()
	blobs, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
	must(t, err)
	points, err := series.Open(context.Background(), series.Options{Dir: filepath.Join(dir, "series")})
	must(t, err)
	events := govern.New(db)
	// A millisecond more at every look: what was made one after the other is never equally old.
	var looks atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(looks.Add(1)) * time.Millisecond) }
	s, err := track.New(context.Background(), track.Config{DB: db, Blobs: blobs, Series: points, Events: events, Uploads: filepath.Join(dir, "uploads"), Points: filepath.Join(dir, "metrics"), Now: now})
	must(t, err)
	w := &world{Service: s, db: db, events: events, points: points, dir: dir}
	w.end = func() {
		must(t, s.Close(context.Background()))
		must(t, points.Close())
	}
	t.Cleanup(func() { w.end() })
	return w
}

// again closes the world and opens it once more.
func (w *world) again(t *testing.T) *world {
	t.Helper()
	w.end()
	w.end = func() {}
	return openWorld(t, w.db, w.dir)
}

// each runs a test on both catalogs.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) { f(t, openWorld(t, db, t.TempDir())) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func got[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// refuses checks the code of an error and that its text begins with text.
func refuses(t testing.TB, err error, code fault.Code, text string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.HasPrefix(err.Error(), text) {
		t.Errorf("error %q (%s)\nwant  %q (%s)", err, fault.CodeOf(err), text, code)
	}
}

// run makes a run in an experiment.
func (w *world) run(t testing.TB, experiment string, tags ...track.Tag) *track.Run {
	t.Helper()
	return got(w.CreateRun(context.Background(), track.NewRun{ExperimentID: experiment, StartedAt: &start, Tags: tags}))(t)
}

func (w *world) get(t testing.TB, id string) *track.Run {
	t.Helper()
	return got(w.Get(context.Background(), id))(t)
}

package feedback_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// segments lists the segment files of a kind.
func (w *world) segments(kind string) []string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "log", "*", kind+"-*.log"))
	must(w.t, err)
	return files
}

// childDir names the directory in which this test binary is to record until it is killed.
const childDir = "TRIMTAB_TEST_RECORD_IN"

// TestRecordUntilKilled is the child of the test below: it says what was acknowledged, from eight goroutines.
func TestRecordUntilKilled(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("run by TestKilledInTheMiddleOfLoad")
	}
	w := worldIn(t, dir)
	var out sync.Mutex
	var workers sync.WaitGroup
	for range 8 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				p := prediction("k", day)
				if err := w.service.Record(context.Background(), serve.LogRequired, []serve.Prediction{p}); err != nil {
					t.Error(err)
					return
				}
				answers, err := w.service.Add(context.Background(), "flights", []feedback.Outcome{{PredictionID: p.ID, Values: delay(20)}})
				if err != nil || answers[0].Status != feedback.Accepted {
					t.Error(answers, err)
					return
				}
				out.Lock()
				fmt.Println("acknowledged", p.ID)
				out.Unlock()
			}
		}()
	}
	workers.Wait()
}

func TestKilledInTheMiddleOfLoad(t *testing.T) {
	for _, after := range []int{1, 300, 2000} {
		dir := t.TempDir()
		catalogtest.In(t, dir) // made here: it must outlive the child
		child := exec.Command(os.Args[0], "-test.run=^TestRecordUntilKilled$")
		child.Env = append(os.Environ(), childDir+"="+dir)
		stdout, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		acknowledged := map[string]bool{}
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
				acknowledged[id] = true
			}
			if len(acknowledged) == after {
				must(t, child.Process.Signal(syscall.SIGKILL))
			}
		}
		_ = child.Wait() // it was killed
		if len(acknowledged) < after {
			t.Fatalf("the child acknowledged %d of %d", len(acknowledged), after)
		}
		w := worldIn(t, dir)
		for _, r := range w.rows() {
			if acknowledged[r.ID] && !r.HasLabel {
				t.Errorf("the outcome of %s is lost", r.ID)
			}
			delete(acknowledged, r.ID)
		}
		if len(acknowledged) > 0 {
			t.Errorf("%d acknowledged predictions are lost", len(acknowledged))
		}
	}
}

func TestATornTailIsCutAndKept(t *testing.T) {
	for cut := 1; cut < 60; cut += 7 {
		w := newWorld(t)
		first, second := prediction("a", day), prediction("b", day)
		w.record(first)
		w.record(second)
		must(t, w.service.Close())
		file := w.segments("predictions")[0]
		info, err := os.Stat(file)
		must(t, err)
		must(t, os.Truncate(file, info.Size()-int64(cut)))
		w.open()
		if got := state(w.rows()); got != "a=? " {
			t.Fatalf("cut by %d: %q", cut, got)
		}
		if _, err := os.Stat(file + ".torn"); err != nil {
			t.Errorf("cut by %d: the tail is not kept: %v", cut, err)
		}
		w.record(prediction("c", day))
		w.restart()
		if got := state(w.rows()); got != "a=? c=? " {
			t.Fatalf("cut by %d, after another: %q", cut, got)
		}
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.record(prediction("a", day))
	must(t, w.service.Close())
	file := w.segments("predictions")[0]
	whole, err := os.ReadFile(file)
	must(t, err)
	for i := 10; i < len(whole); i += 13 {
		damaged := append([]byte(nil), whole...)
		damaged[i] ^= 0x40
		must(t, os.WriteFile(file, damaged, 0o600))
		w.service, err = feedback.Open(t.Context(), w.cfg)
		must(t, err)
		if rows := w.rows(); len(rows) != 0 {
			t.Errorf("byte %d: a damaged record is read: %+v", i, rows[0])
		}
		must(t, w.service.Close())
		for _, f := range w.segments("predictions") {
			must(t, os.Remove(f))
		}
	}
	must(t, os.WriteFile(file, whole, 0o600))
	w.open()
	if got := state(w.rows()); got != "a=? " {
		t.Errorf("the whole file gives %q", got)
	}
}

// disk is a file system that can be full.
type disk struct {
	full     atomic.Bool
	short    atomic.Bool // a write puts down half of it before it fails
	stuck    atomic.Bool // what was put down cannot be taken back
	syncs    atomic.Int64
	syncFail atomic.Bool
}

type diskFile struct {
	*os.File
	d *disk
}

func (d *disk) create(path string) (feedback.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d}, nil
}

func (f *diskFile) Write(b []byte) (int, error) {
	if !f.d.full.Load() {
		return f.File.Write(b)
	}
	n := 0
	if f.d.short.Load() {
		n, _ = f.File.Write(b[:len(b)/2])
	}
	return n, syscall.ENOSPC
}

func (f *diskFile) Truncate(size int64) error {
	if f.d.stuck.Load() {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

func (f *diskFile) Sync() error {
	f.d.syncs.Add(1)
	if f.d.syncFail.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func newFullWorld(t *testing.T) (*world, *disk) {
	w := newWorld(t)
	d := &disk{}
	must(t, w.service.Close())
	w.cfg.Create = d.create
	w.open()
	return w, d
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	for _, mode := range []string{"nothing is written", "half is written", "half is written and stays"} {
		t.Run(mode, func(t *testing.T) {
			w, d := newFullWorld(t)
			w.record(prediction("a", day))
			d.short.Store(mode != "nothing is written")
			d.stuck.Store(mode == "half is written and stays")
			d.full.Store(true)
			for range 3 {
				err := w.service.Record(t.Context(), serve.LogRequired, []serve.Prediction{prediction("lost", day)})
				if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) || fault.HintOf(err) == "" {
					t.Fatalf("error is %v", err)
				}
			}
			if _, err := w.service.Add(t.Context(), "flights", []feedback.Outcome{{Key: "a", NoLabel: true}}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("outcomes on a full disk: %v", err)
			}
			d.full.Store(false)
			w.record(prediction("b", day))
			w.add(feedback.Outcome{Key: "a", NoLabel: true})
			for _, when := range []string{"at once", "after a restart"} {
				if got := state(w.rows()); got != "a=none b=? " {
					t.Errorf("%s: %q", when, got)
				}
				d.stuck.Store(false)
				w.restart()
			}
		})
	}
}

func TestStrictWaitsForTheDisk(t *testing.T) {
	w, d := newFullWorld(t)
	before := d.syncs.Load()
	must(t, w.service.Record(t.Context(), serve.LogStrict, []serve.Prediction{prediction("a", day)}))
	if d.syncs.Load() == before {
		t.Error("answered before the disk had it")
	}
	d.syncFail.Store(true)
	if err := w.service.Record(t.Context(), serve.LogStrict, []serve.Prediction{prediction("b", day)}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error is %v", err)
	}
	d.syncFail.Store(false)
	w.record(prediction("c", day))

	// Concurrent requests share an fsync.
	before = d.syncs.Load()
	var workers sync.WaitGroup
	for range 64 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			if err := w.service.Record(context.Background(), serve.LogStrict, []serve.Prediction{prediction("d", day)}); err != nil {
				t.Error(err)
			}
		}()
	}
	workers.Wait()
	if n := d.syncs.Load() - before; n > 65 {
		t.Errorf("%d fsyncs for 64 requests", n)
	}
}

func TestRequiredIsSyncedSoon(t *testing.T) {
	w, d := newFullWorld(t)
	w.record(prediction("a", day))
	for deadline := time.Now().Add(10 * time.Second); d.syncs.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("never synced")
		}
		time.Sleep(time.Millisecond) // the wait for a condition: the loop ends as soon as it holds
	}
}

func TestBestEffortAnswersAndCounts(t *testing.T) {
	w, d := newFullWorld(t)
	must(t, w.service.Record(t.Context(), serve.LogBestEffort, []serve.Prediction{prediction("a", day)}))
	must(t, w.service.Close())
	w.open()
	if got := state(w.rows()); got != "a=? " {
		t.Fatalf("what was queued at the close is %q", got)
	}
	d.full.Store(true)
	must(t, w.service.Record(t.Context(), serve.LogBestEffort, []serve.Prediction{prediction("b", day)}))
	for deadline := time.Now().Add(10 * time.Second); w.service.Counts("flights").Dropped != 1; {
		if time.Now().After(deadline) {
			t.Fatal("the drop is not counted")
		}
		time.Sleep(time.Millisecond) // the wait for a condition
	}
	d.full.Store(false)
}

func TestClosedLogRefuses(t *testing.T) {
	w := newWorld(t)
	w.record(prediction("a", day))
	must(t, w.service.Close())
	must(t, w.service.Close())
	if err := w.service.Record(t.Context(), serve.LogRequired, []serve.Prediction{prediction("b", day)}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error is %v", err)
	}
	if _, err := w.service.Add(t.Context(), "flights", []feedback.Outcome{{Key: "a", NoLabel: true}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error is %v", err)
	}
	w.open()
}

func TestACrashAfterCompactionLeavesEachRowOnce(t *testing.T) {
	w := newWorld(t)
	w.record(prediction("a", day), prediction("b", day.AddDate(0, 0, 1)))
	must(t, w.service.Close())
	file := w.segments("predictions")[0]
	bytes, err := os.ReadFile(file)
	must(t, err)
	w.open()
	must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 9)))
	if left := w.segments("predictions"); len(left) != 0 {
		t.Errorf("segments are left: %v", left)
	}
	must(t, w.service.Close())
	// The transaction is there, the deletion never happened.
	must(t, os.WriteFile(file, bytes, 0o600))
	must(t, w.cfg.DB.Write(t.Context(), func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO feedback_retired (workspace_id, deployment, segment) VALUES ('default', 'flights', 1)`)
		return err
	}))
	w.open()
	if got := state(w.rows()); got != "a=? b=? " {
		t.Errorf("rows are %q", got)
	}
	// And with the deletion done, new rows may use the number again.
	w.record(prediction("c", day))
	w.restart()
	if got := state(w.rows()); got != "a=? c=? b=? " {
		t.Errorf("rows are %q", got)
	}
}

func TestCompactionTakesWholeDaysOnly(t *testing.T) {
	w := newWorld(t)
	w.record(prediction("a", day))
	must(t, w.service.Compact(t.Context(), "flights", day)) // the day is not over
	if len(w.segments("predictions")) != 1 {
		t.Error("an open day was compacted")
	}
	w.record(prediction("b", day.AddDate(0, 0, 1)))
	must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 1)))
	if n := len(w.segments("predictions")); n != 1 {
		t.Errorf("%d segments are left, want that of the second day", n)
	}
	if got := state(w.rows()); got != "a=? b=? " {
		t.Errorf("rows are %q", got)
	}
}

func TestReadersSeeEachRowOnceDuringCompaction(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		w.record(prediction(fmt.Sprintf("%03d", i), day.Add(time.Duration(i)*time.Minute)))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for {
				rows, err := w.service.Rows(context.Background(), "flights", day, day.AddDate(0, 0, 1), false)
				if err != nil || len(rows) != 200 {
					t.Errorf("%d rows, %v", len(rows), err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 2)))
	close(stop)
	readers.Wait()
}

func TestACorruptPartIsNamedAndNeverServed(t *testing.T) {
	w := newWorld(t)
	w.record(prediction("a", day), prediction("b", day.AddDate(0, 0, 5)))
	must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 9)))
	must(t, w.service.Close())
	var hash string
	must(t, w.cfg.DB.Read().QueryRowContext(t.Context(), `SELECT blob FROM feedback_parts WHERE number = 1`).Scan(&hash))
	path, err := w.cfg.Blobs.Path(t.Context(), hash)
	must(t, err)
	must(t, os.Chmod(path, 0o600))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("damage"), 20)
	must(t, err)
	must(t, f.Close())
	w.reopenBlobs()
	w.open()
	_, err = w.service.Rows(t.Context(), "flights", day, day.Add(time.Hour), false)
	if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error()+fault.HintOf(err), hash) {
		t.Errorf("error is %v", err)
	}
	if _, _, err := w.service.Coverage(t.Context(), "flights", day, day.Add(time.Hour)); !fault.Is(err, fault.Corrupt) {
		t.Errorf("coverage says %v", err)
	}
	if err := w.service.Export(t.Context(), "flights", filepath.Join(w.dir, "out.parquet")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("export says %v", err)
	}
	rows, err := w.service.Rows(t.Context(), "flights", day.AddDate(0, 0, 5), day.AddDate(0, 0, 6), false)
	must(t, err)
	if state(rows) != "b=? " {
		t.Errorf("the other day is %q", state(rows))
	}
}

func TestNamesNeverBecomePaths(t *testing.T) {
	w := newWorld(t)
	p := prediction("a", day)
	p.Deployment = "../../escape"
	must(t, w.service.Record(t.Context(), serve.LogRequired, []serve.Prediction{p}))
	w.restart()
	rows, err := w.service.Rows(t.Context(), "../../escape", day, day.Add(time.Hour), false)
	must(t, err)
	if len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
	if _, err := os.Stat(filepath.Join(w.dir, "..", "escape")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a name became a path")
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	must(t, w.service.Close())
	registry := prometheus.NewPedanticRegistry()
	w.cfg.Metrics = registry
	w.open()
	w.record(prediction("a", day))
	w.add(feedback.Outcome{Key: "x", NoLabel: true})
	families, err := registry.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{"trimtab_log_predictions_total": 1, "trimtab_log_outcomes_total": 1, "trimtab_log_outcomes_pending": 1, "trimtab_log_write_failures_total": 0} {
		if got[name] != want {
			t.Errorf("%s is %g, want %g", name, got[name], want)
		}
	}
}

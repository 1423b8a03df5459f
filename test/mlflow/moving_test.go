package mlflow

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/cli/transfer"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// mover is client/moving.py: the real client, asked again and again.
type mover struct {
	t     *testing.T
	in    *json.Encoder
	lines *bufio.Scanner
	log   *logged // its standard error
}

func newMover(t *testing.T) *mover {
	t.Helper()
	python, err := peer.Python(peer.Version)
	if err != nil {
		if os.Getenv("TRIMTAB_PYTHON") == "" { // set by make test, which makes the environments too
			t.Skip(err)
		}
		t.Fatal(err)
	}
	script, err := filepath.Abs("client/moving.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir,
		"MLFLOW_HTTP_REQUEST_MAX_RETRIES=0", "MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_ALLOW_FILE_STORE=true",
		"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false", "GIT_PYTHON_REFRESH=quiet", "TQDM_DISABLE=1")
	m := &mover{t: t, log: &logged{}}
	cmd.Stderr = m.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	m.in, m.lines = json.NewEncoder(in), bufio.NewScanner(out)
	m.lines.Buffer(nil, 64<<20)
	return m
}

// ask has something done with a store and gives the answer.
func (m *mover) ask(do, uri string) any {
	m.t.Helper()
	if err := m.in.Encode(map[string]string{"do": do, "uri": uri}); err != nil {
		m.t.Fatalf("%s %s: %v\n%s", do, uri, err, m.log.String())
	}
	var answer any
	if !m.lines.Scan() {
		m.t.Fatalf("%s %s: %s", do, uri, m.log.String())
	}
	if err := json.Unmarshal(m.lines.Bytes(), &answer); err != nil {
		m.t.Fatal(err)
	}
	return answer
}

// trimtab runs a command of ours and gives the report it prints.
func trimtab(t *testing.T, args ...string) transfer.Report {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append(args, "--json")...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("trimtab %s: %v\n%s", strings.Join(args, " "), err, problems.String())
	}
	var report transfer.Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return report
}

// TestMoving takes the work of a real MLflow server in by its URL, by its database and after kills, and that of an mlruns folder; gives it
// to another real server and to a folder; and has the real client compare all of them.
func TestMoving(t *testing.T) {
	client := newMover(t)
	servers := make([]*peer.Server, 2)
	var started sync.WaitGroup
	var failed atomic.Pointer[error]
	for i := range servers {
		dir := t.TempDir()
		started.Go(func() {
			s, err := peer.Start(context.Background(), dir, peer.Options{Workers: 1, Lean: true})
			if err != nil {
				failed.Store(&err)
				return
			}
			servers[i] = s
		})
	}
	// Meanwhile the folder, which needs no server.
	mlruns := filepath.Join(t.TempDir(), "mlruns")
	client.ask("fill", "file://"+mlruns)
	started.Wait()
	for _, s := range servers {
		if s != nil {
			t.Cleanup(s.Stop)
		}
	}
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	theirs, second := servers[0], servers[1]
	client.ask("fill", theirs.URL)
	want := client.ask("dump", theirs.URL)
	same := func(t *testing.T, what, uri string, want any) {
		t.Helper()
		if diff := cmp.Diff(want, client.ask("dump", uri)); diff != "" {
			t.Errorf("%s (-MLflow +moved):\n%s", what, diff)
		}
	}
	dated := func(t *testing.T, from, to string) {
		t.Helper()
		if diff := cmp.Diff(client.ask("times", from), client.ask("times", to)); diff != "" {
			t.Errorf("times (-MLflow +moved):\n%s", diff)
		}
	}
	nothing := func(t *testing.T, report transfer.Report) {
		t.Helper()
		if report.Taken != (transfer.Counts{}) {
			t.Errorf("it takes again: %+v", report.Taken)
		}
	}

	ours := start(t, filepath.Join(t.TempDir(), "state"))
	t.Run("server", func(t *testing.T) {
		args := []string{"import", "mlflow", theirs.URL, "--deleted", "--server", ours.url}
		dry := trimtab(t, append(args, "--dry-run")...)
		report := trimtab(t, args...)
		if dry.Taken.Runs != report.Taken.Runs || report.Taken.Runs != 9 || dry.Taken.Versions != 4 || len(report.Left) != 0 {
			t.Errorf("dry %+v\ntaken %+v\nleft %+v", dry.Taken, report.Taken, report.Left)
		}
		same(t, "by URL", ours.url, want)
		nothing(t, trimtab(t, args...))
		dated(t, theirs.URL, ours.url)
		if diff := cmp.Diff(client.ask("predict", theirs.URL), client.ask("predict", ours.url)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("export to a server", func(t *testing.T) {
		args := []string{"export", "mlflow", second.URL, "--deleted", "--server", ours.url}
		if report := trimtab(t, args...); len(report.Left) != 0 {
			t.Errorf("left %+v", report.Left)
		}
		same(t, "on the second server", second.URL, want)
		nothing(t, trimtab(t, args...))
		if diff := cmp.Diff(client.ask("predict", theirs.URL), client.ask("predict", second.URL)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("export to a folder", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "out")
		args := []string{"export", "mlflow", folder, "--deleted", "--server", ours.url}
		if report := trimtab(t, args...); len(report.Left) != 0 {
			t.Errorf("left %+v", report.Left)
		}
		same(t, "in the folder", "file://"+folder, want)
		nothing(t, trimtab(t, args...))
		client.ask("predict", "file://"+folder)
	})
	t.Run("database, killed", func(t *testing.T) {
		target := start(t, filepath.Join(t.TempDir(), "state"))
		args := []string{"import", "mlflow", filepath.Join(theirs.Dir, "mlflow.db"), "--artifacts", filepath.Join(theirs.Dir, "artifacts"), "--deleted", "--server"}
		for _, request := range []int64{9, 30, 60} {
			kill(t, target.url, request, args...)
		}
		report := trimtab(t, append(args, target.url)...)
		if report.Taken == (transfer.Counts{}) || len(report.Left) != 0 {
			t.Errorf("taken %+v, left %+v", report.Taken, report.Left)
		}
		same(t, "by database", target.url, want)
		nothing(t, trimtab(t, append(args, target.url)...))
		dated(t, theirs.URL, target.url)
	})
	t.Run("folder", func(t *testing.T) {
		target := start(t, filepath.Join(t.TempDir(), "state"))
		args := []string{"import", "mlflow", mlruns, "--deleted", "--server", target.url}
		if report := trimtab(t, args...); len(report.Left) != 0 {
			t.Errorf("left %+v", report.Left)
		}
		same(t, "by folder", target.url, client.ask("dump", "file://"+mlruns))
		nothing(t, trimtab(t, args...))
		dated(t, "file://"+mlruns, target.url)
	})
	t.Run("one experiment, without deleted", func(t *testing.T) {
		target := start(t, filepath.Join(t.TempDir(), "state"))
		report := trimtab(t, "import", "mlflow", theirs.URL, "--experiment", "other", "--server", target.url)
		if want := (transfer.Counts{Experiments: 1, Runs: 1}); report.Taken != want {
			t.Errorf("%+v", report.Taken)
		}
		if len(report.Left) != 4 { // the versions of another experiment
			t.Errorf("%+v", report.Left)
		}
	})
}

// TestMovingFromPostgreSQL takes in the database of a real MLflow server on PostgreSQL, in a schema of its own, by the address that the
// server itself is given.
func TestMovingFromPostgreSQL(t *testing.T) {
	at, err := url.Parse(postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	client := newMover(t)
	query := at.Query()
	schema := query.Get("search_path") // a setting of pgx; libpq has a flag of the server for it
	query.Del("search_path")
	query.Set("options", "-csearch_path="+schema)
	store := "postgresql+psycopg2://" + at.Path + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	theirs, err := peer.Start(t.Context(), t.TempDir(), peer.Options{Workers: 1, Lean: true, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(theirs.Stop)
	client.ask("fill", theirs.URL)
	// MLflow has a column for who made a version, and nothing of its own that fills it.
	db, err := sql.Open("pgx", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE model_versions SET user_id = 'alice' WHERE version = 3`); err != nil {
		t.Fatal(err)
	}
	want := client.ask("dump", theirs.URL)
	ours := start(t, filepath.Join(t.TempDir(), "state"))
	args := []string{"import", "mlflow", store, "--artifacts", filepath.Join(theirs.Dir, "artifacts"), "--deleted", "--server", ours.url}
	dry := trimtab(t, append(args, "--dry-run")...)
	report := trimtab(t, args...)
	if dry.Taken.Runs != report.Taken.Runs || report.Taken.Runs != 9 || report.Taken.Versions != 4 || len(report.Left) != 0 {
		t.Errorf("dry %+v\ntaken %+v\nleft %+v", dry.Taken, report.Taken, report.Left)
	}
	if diff := cmp.Diff(want, client.ask("dump", ours.url)); diff != "" {
		t.Errorf("by the database on PostgreSQL (-MLflow +moved):\n%s", diff)
	}
	if diff := cmp.Diff(client.ask("predict", theirs.URL), client.ask("predict", ours.url)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(client.ask("times", theirs.URL), client.ask("times", ours.url)); diff != "" {
		t.Errorf("times (-MLflow +moved):\n%s", diff)
	}
	// The other way to name a schema, and no change since: nothing is taken again.
	again := trimtab(t, "import", "mlflow", at.String(), "--artifacts", filepath.Join(theirs.Dir, "artifacts"), "--deleted", "--server", ours.url)
	if again.Taken != (transfer.Counts{}) || again.Source != report.Source {
		t.Errorf("from %s again: %+v", again.Source, again.Taken)
	}
}

// kill runs an import and kills it when it sends its so manieth request.
func kill(t *testing.T, base string, request int64, args ...string) {
	t.Helper()
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	var seen atomic.Int64
	begun := make(chan struct{})
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.ErrorLog = log.New(io.Discard, "", 0) // of requests that the kill cut
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		<-begun
		if seen.Add(1) == request {
			_ = cmd.Process.Kill()
		}
		forward.ServeHTTP(w, req)
	}))
	defer proxy.Close()
	cmd = exec.Command(self, append(args, proxy.URL)...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(begun)
	if err := cmd.Wait(); err == nil {
		t.Errorf("the import ended before request %d", request)
	}
}

package life

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/examples/flights"
	"github.com/trimtab-ml/trimtab/infra/duck"
)

// soak is set by `make soak`: ten kills instead of one, and the whole year twice instead of its first weeks.
var soak = os.Getenv("TRIMTAB_SOAK") != ""

// moment is a stage of a life on the demo's data during which the server may be killed.
type moment string

const (
	ingest   moment = "ingest"
	training moment = "training"
	load     moment = "load"
	retrain  moment = "retraining under load"
	rollout  moment = "rollout under load"
)

var moments = []moment{ingest, training, load, retrain, rollout}

func TestKillsOnTheDemosTrafficLoseNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TRIMTAB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TRIMTAB_SEED=%d", seed) // the moments; what the server is at by then is the machine's
	rng := rand.New(rand.NewPCG(seed, 0))
	if !soak {
		liveFlights(t, rng, []moment{moments[rng.IntN(len(moments))]})
		return
	}
	for range 2 {
		liveFlights(t, rng, moments)
	}
}

// flightsLife is one server on the flights, killed now and then.
type flightsLife struct {
	*server
	t     *testing.T
	rng   *rand.Rand
	kills []moment

	mu       sync.Mutex // guards what the clients share
	url      string     // of the server that lives
	answered []string   // predictions that the client knows of
	told     int        // outcomes that the server took
	failed   error
}

// liveFlights ingests, trains, serves three days of April, trains again and rolls out, kills the server at a random time within each
// of the given moments, and looks for everything that was acknowledged.
func liveFlights(t *testing.T, rng *rand.Rand, kills []moment) {
	t.Logf("kills during %v", kills)
	project, file := unpackFlights(t)
	l := &flightsLife{server: start(t, filepath.Join(t.TempDir(), "state")), t: t, rng: rng, kills: kills}
	l.url = l.server.url
	begin := time.Date(2013, 4, 1, 4, 0, 0, 0, time.UTC) // where the project's own data ends
	days := flightDays(t, project, begin, 3)

	l.must(http.MethodPost, "/api/v1/projects/flight-delays/apply", map[string]any{"file": file, "dir": project, "at": begin, "cause": "soak"}, nil)
	l.maybeKill(ingest, 0, 500*time.Millisecond)
	l.maybeKill(training, 500*time.Millisecond, 2*time.Second)
	l.idleOf("flight-delays")

	l.day(days[0], load, nil)
	l.day(days[1], retrain, func() {
		l.must(http.MethodPost, "/api/v1/models/flight-delays/versions", map[string]any{"cause": "soak", "force": map[string]any{"reason": "the rollout is the test"}}, nil)
	})
	l.idleOf("flight-delays")
	l.day(days[2], rollout, nil)
	l.idleOf("flight-delays")
	l.check()
}

// maybeKill kills the server at a random time between from and to, if it is to be killed at this moment, and starts it again.
func (l *flightsLife) maybeKill(at moment, from, to time.Duration) {
	if !slices.Contains(l.kills, at) {
		return
	}
	time.Sleep(from + time.Duration(l.rng.Int64N(int64(to-from)))) // wherever it is by then
	l.kill()
	next := start(l.t, l.dir)
	l.mu.Lock()
	l.server, l.url = next, next.url
	l.mu.Unlock()
}

// day sends a day's flights over eight connections, each until it is answered, does what goes on meanwhile, then tells the truth.
func (l *flightsLife) day(day []flight, at moment, meanwhile func()) {
	work := make(chan flight)
	var clients sync.WaitGroup
	var truth []map[string]any
	for range 8 {
		clients.Go(func() {
			for f := range work {
				id, err := l.predict(f.body)
				l.mu.Lock()
				if err != nil {
					l.failed = err
				} else {
					l.answered = append(l.answered, id)
					truth = append(truth, map[string]any{"prediction_id": id, "known_at": f.at.Add(24 * time.Hour), "values": map[string]any{"arr_delay": f.delay}})
				}
				l.mu.Unlock()
			}
		})
	}
	sent := make(chan struct{})
	go func() {
		for _, f := range day {
			work <- f
		}
		close(work)
		clients.Wait()
		close(sent)
	}()
	if meanwhile != nil {
		meanwhile()
	}
	l.maybeKill(at, 20*time.Millisecond, 320*time.Millisecond)
	<-sent
	if l.failed != nil {
		l.t.Fatal(l.failed)
	}
	l.must(http.MethodPost, "/api/v1/deployments/flight-delays/outcomes", map[string]any{"outcomes": truth}, nil)
	l.told += len(truth)
	last := day[len(day)-1].at
	l.must(http.MethodPost, "/api/v1/projects/flight-delays/clock", map[string]any{"at": last.Add(25 * time.Hour)}, nil)
}

// predict asks until there is an answer; a connection that breaks is a server that was killed. An answer that is no success is an error.
func (l *flightsLife) predict(body string) (string, error) {
	deadline := time.Now().Add(time.Minute)
	for {
		l.mu.Lock()
		url := l.url
		l.mu.Unlock()
		var a answer
		status, err := (&server{url: url}).call(http.MethodPost, "/api/v1/deployments/flight-delays/predict", rawJSON(body), &a)
		if err == nil {
			return a.Predictions[0].ID, nil
		}
		if status != 0 && status != http.StatusOK || time.Now().After(deadline) { // 200: the answer broke off
			return "", err
		}
		time.Sleep(5 * time.Millisecond) // the next one starts
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// check looks for what was acknowledged, and for anything that is half done.
func (l *flightsLife) check() {
	t := l.t
	t.Helper()
	have := logged(t, l.server, "flight-delays")
	missing := 0
	for _, id := range l.answered {
		if !have[id] {
			missing++
		}
	}
	if missing > 0 || len(l.answered) < 1000 {
		t.Errorf("%d of %d answered predictions are not in the log", missing, len(l.answered))
	}
	var d struct {
		Route struct{ Champion int }
		Stats struct {
			Labeled      int
			WithoutLabel int `json:"without_label"`
			Lost         int
		}
	}
	l.must(http.MethodGet, "/api/v1/deployments/flight-delays", nil, &d)
	if got := d.Stats.Labeled + d.Stats.WithoutLabel; got != l.told || d.Stats.Lost != 0 {
		t.Errorf("%d of %d outcomes are known, %d predictions lost", got, l.told, d.Stats.Lost)
	}
	if c := l.championOf("flight-delays"); c != d.Route.Champion || c == 0 {
		t.Errorf("v%d is champion and v%d answers", c, d.Route.Champion)
	}
	var jobs struct {
		Items []struct {
			Kind, State string
			Error       *struct{ Message string }
		}
	}
	l.must(http.MethodGet, "/api/v1/jobs?project=flight-delays&limit=500", nil, &jobs)
	for _, j := range jobs.Items {
		if j.State != "done" {
			t.Errorf("job %s is %s: %+v", j.Kind, j.State, j.Error)
		}
	}
	var versions struct {
		Items []struct {
			Version int
			State   string
		}
	}
	l.must(http.MethodGet, "/api/v1/models/flight-delays/versions", nil, &versions)
	if len(versions.Items) != 2 {
		t.Errorf("two trainings made the versions %+v", versions.Items)
	}
	var datasets struct {
		Items []struct {
			Dataset      string
			Number, Rows int
		}
	}
	l.must(http.MethodGet, "/api/v1/projects/flight-delays/datasets/flights/versions", nil, &datasets)
	first := slices.IndexFunc(datasets.Items, func(v struct {
		Dataset      string
		Number, Rows int
	}) bool {
		return v.Number == 1
	})
	if first < 0 || datasets.Items[first].Rows != 80789 || len(datasets.Items) != 2 { // rows of January to March 2013 in the file
		t.Errorf("versions of the flights: %+v", datasets.Items)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	doctor := exec.Command(self, "doctor", "--dir", l.dir)
	doctor.Env = append(os.Environ(), asMain+"=1")
	if out, err := doctor.CombinedOutput(); err != nil {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

// unpackFlights writes the example to a folder, and returns it and the text of its file.
func unpackFlights(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, flights.Files); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "trimtab.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(data)
}

// flight is one request of the replay and its truth.
type flight struct {
	at    time.Time
	body  string
	delay any // minutes; nil when it never arrived
}

// flightDays is the departures of n days, each with the weather of its hour and its plane, as the demo sends them.
func flightDays(t *testing.T, dir string, from time.Time, n int) [][]flight {
	t.Helper()
	db, err := duck.Open(duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	path := func(name string) string { return duck.Literal(filepath.Join(dir, name)) }
	rows, err := db.Table(context.Background(), fmt.Sprintf(`SELECT f.time_hour, f.carrier, f.flight, f.origin, f.dest, f.distance, f.hour, f.tailnum, f.arr_delay,
		p.year, p.seats, w.temp, w.humid, w.wind_speed, w.precip, w.pressure, w.visib
		FROM read_parquet(%s) f LEFT JOIN read_parquet(%s) w ON f.origin = w.origin AND f.time_hour = w.time_hour LEFT JOIN read_parquet(%s) p ON f.tailnum = p.tailnum
		WHERE f.time_hour < make_timestamp(%d) ORDER BY f.time_hour, f.carrier, f.flight, f.origin`,
		path("flights-2013-replay.parquet"), path("weather.parquet"), path("planes.parquet"), from.AddDate(0, 0, n).UnixMicro()))
	if err != nil {
		t.Fatal(err)
	}
	days := make([][]flight, n)
	for i := range rows.Rows {
		f := flight{at: time.UnixMicro(int64(rows.Column("time_hour").Floats[i])).UTC()}
		when := f.at.Format(time.RFC3339)
		var inputs []string
		for _, c := range rows.Columns {
			v := c.Value(i)
			text := "null"
			switch {
			case v.Null:
			case c.Name == "time_hour":
				text = strconv.Quote(when)
			case v.S != "":
				text = strconv.Quote(v.S)
			default:
				text = strconv.FormatFloat(v.F, 'g', -1, 64)
			}
			switch c.Name {
			case "arr_delay":
				if !v.Null {
					f.delay = v.F
				}
			case "flight": // a part of the key, not an input
			default:
				inputs = append(inputs, strconv.Quote(c.Name)+":"+text)
			}
		}
		key := fmt.Sprintf("%s|%s|%.0f|%s", when, rows.Column("carrier").Strings[i], rows.Column("flight").Floats[i], rows.Column("origin").Strings[i])
		f.body = fmt.Sprintf(`{"rows":[{%s}],"keys":[%q],"at":%q}`, strings.Join(inputs, ","), key, when)
		day := min(int(f.at.Sub(from)/(24*time.Hour)), n-1)
		days[day] = append(days[day], f)
	}
	return days
}

// Package monitor watches what a deployment answers: it counts every request on the cells that training fixed, closes windows by the
// project's clock, judges them, and tells people.
//
// It owns the nouns Verdict and Alert. Four things are judged, each in windows of its own: quality (is the data broken?), sudden drift
// (did an input or the scores break with the days before?), drift (did they move away from training?), performance (what does the truth
// say?). Sudden drift is an alarm: most often something upstream broke. Slow drift from training is what a year does; it is a notice and
// a cause to train again, which sudden drift is not, since training on a fault teaches it. A verdict carries its sample size and
// says "inconclusive" when there are too few rows; no data is never healthy. The inference log is the source of all counts: what is
// counted in memory while requests pass is a cache of it, and whenever the two disagree at the close of a window (a restart, a version
// whose reference was not loaded yet, a late row) the window is counted from the log.
//
// The same rows give the same verdicts in any order. The package must never know what is done about a verdict: retraining subscribes.
package monitor

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// What is judged.
const (
	Quality     = "quality"
	Sudden      = "sudden" // drift against the windows before
	Drift       = "drift"  // against training
	Performance = "performance"
)

// Baselines of drift: what a window is compared with.
const (
	Reference = "reference" // the training rows of the version: drift that retraining answers
	Recent    = "recent"    // the live traffic of the windows before: something broke
)

// States of a verdict.
const (
	OK           = "ok"
	Attention    = "attention"    // over its bar in this window, not yet in enough of them
	Off          = "off"          // over its bar in k of n windows: somebody is told
	Inconclusive = "inconclusive" // too few rows, or too little truth, to say
)

// Interval is a number with its 95 % interval and the rows behind it; Lo and Hi are equal to Value where no interval is known.
type Interval struct {
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	N     int64   `json:"n"`
}

// Verdict is what a window shows.
type Verdict struct {
	ID         string    `json:"id"`
	Project    string    `json:"project"`
	Deployment string    `json:"deployment"`
	Kind       string    `json:"kind" enum:"quality,sudden,drift,performance"`
	Baseline   string    `json:"baseline,omitempty" enum:"reference,recent" doc:"of sudden and drift: what the window is compared with, the version's training rows or the windows before"`
	From       time.Time `json:"from"` // of the project's time, included
	To         time.Time `json:"to"`   // excluded
	Version    int       `json:"version" doc:"the champion that most rows of the window were meant for; its reference is the comparison"`
	Revision   int       `json:"revision" doc:"1, and one more each time late rows or truth changed the window"`
	MadeAt     time.Time `json:"made_at" doc:"by the project's clock"`
	State      string    `json:"state" enum:"ok,attention,off,inconclusive"`
	N          int64     `json:"n" doc:"rows behind the verdict"`
	Rows       int64     `json:"rows" doc:"rows of the window, of all versions"`
	Known      int64     `json:"known" doc:"performance: rows of the window whose truth is known"`
	Coverage   float64   `json:"coverage" doc:"performance: share of rows whose truth is known"`
	Summary    string    `json:"summary"`

	Metrics map[string]Interval `json:"metrics,omitempty"`
	Columns []ColumnDrift       `json:"columns,omitempty"`

	// Over says that the condition held in this window alone, before k of n.
	Over bool `json:"over,omitempty"`
}

// ColumnDrift is one column of a window against its baseline. Shares are of the rows of the window; what is named reference is of the
// windows before where the verdict is of sudden drift.
type ColumnDrift struct {
	Name  string     `json:"name"`
	Kind  table.Kind `json:"kind"`
	Unit  string     `json:"unit,omitempty"`
	View  string     `json:"view,omitempty" doc:"the feature view it was joined from"`
	State string     `json:"state" enum:"ok,watch,drift,off,inconclusive"`

	profile.Stat
	Q          float64  `json:"q" doc:"p adjusted for the number of columns (Benjamini and Hochberg)"`
	Over       bool     `json:"over"`
	OverIn     int      `json:"over_in" doc:"windows over the bar among the last ones"`
	OverOf     int      `json:"over_of" doc:"how many last ones count"`
	Importance *float64 `json:"importance,omitempty"`
	Rank       float64  `json:"rank" doc:"PSI times importance where known, else PSI"`

	Missing          float64  `json:"missing"`
	ReferenceMissing float64  `json:"reference_missing"`
	Unseen           float64  `json:"unseen"`
	OutOfRange       float64  `json:"out_of_range"`
	Mean             *float64 `json:"mean,omitempty"`
	ReferenceMean    *float64 `json:"reference_mean,omitempty"`
	Median           *float64 `json:"median,omitempty"`
	ReferenceMedian  *float64 `json:"reference_median,omitempty"`
	// Quantiles are the 5th, 25th, 50th, 75th and 95th percentiles of a number.
	Quantiles []float64 `json:"quantiles,omitempty"`
	Findings  []Finding `json:"findings,omitempty"`
	Shift     *Shift    `json:"shift,omitempty" doc:"sudden drift: how far the column moved from the windows before"`
}

// Shift is how far a column moved from the windows before: for numbers the Wasserstein distance in the unit of the column, for text the
// Jensen-Shannon distance. The bar of such a column is of Value, and p is the greater of Chance and Natural.
type Shift struct {
	Value   float64 `json:"value"`
	Floor   float64 `json:"floor" doc:"the least that is worth telling"`
	Usual   float64 `json:"usual" doc:"root mean square of the shifts of the windows before"`
	Known   int     `json:"known" doc:"how many shifts that is of"`
	Windows int     `json:"windows" doc:"how many windows before it is compared with"`
	Chance  float64 `json:"p_chance" doc:"p-value that so many independent values differ so much by chance"`
	Natural float64 `json:"p_natural" doc:"p-value of so great a shift among the usual ones"`
}

// Finding is one fault of a column in a quality window.
type Finding struct {
	Kind  string  `json:"kind" enum:"missing,unseen,out_of_range,break,volume"`
	Text  string  `json:"text"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
}

// Plan is what is watched of a deployment.
type Plan struct {
	Project    string
	Deployment string
	Model      string
	Monitor    project.Monitor
	KnownAfter time.Duration // how long truth takes, see project.Label
	Threshold  float64       // decision threshold of a binary model; 0 stands for 0.5
	Replay     bool          // the clock moves with the rows, so that silence at its end is the end of the replay and no alarm
}

// Plans gives what is watched in a project, or everywhere when project is "".
type Plans interface {
	Plans(ctx context.Context, project string) ([]Plan, error)
}

// References gives what training saw: the reference profile and signature of a version. The answer is kept for good, since versions
// do not change. An implementation may also have Importance(ctx, model, version) (map[string]float64, error): the share of the model's
// gain by input, to rank columns.
type References interface {
	Reference(ctx context.Context, model string, version int) (*profile.Reference, *registry.Signature, error)
}

// Scorer scores rows, in the order of the version's Signature.Inputs, with a version, without logging them.
type Scorer interface {
	Score(ctx context.Context, model string, version int, rows [][]table.Value) ([][]float64, error)
}

// Log is the inference log. Coverage counts the predictions of [from, to), and those whose truth is known.
type Log interface {
	Rows(ctx context.Context, deployment string, from, to time.Time, labeledOnly bool) ([]feedback.Labeled, error)
	Coverage(ctx context.Context, deployment string, from, to time.Time) (predictions, labeled int64, err error)
}

// Options is what New needs. Scorer may be nil: then there is no baseline.
type Options struct {
	DB         *catalog.DB
	Events     *govern.Service
	Plans      Plans
	References References
	Scorer     Scorer
	Log        Log
	Logger     *slog.Logger        // default slog.Default()
	Getenv     func(string) string // default os.Getenv; names webhooks
	HTTP       *http.Client        // default: a client that refuses redirects and metadata addresses
	Backoff    []time.Duration     // waits between the tries of a webhook; default 2 s, 15 s, 2 min
}

// Service watches deployments. It is safe for concurrent use.
type Service struct {
	Options

	watches sync.Map    // deployment -> *watch
	unknown atomic.Bool // a deployment was observed that has no watch yet

	mu     sync.Mutex
	ticks  map[string]*tickState     // by project
	late   map[string]map[int64]bool // days, by deployment, whose truth changed
	hooks  []func(context.Context, Verdict) error
	wait   sync.WaitGroup
	stop   context.CancelFunc
	kicked chan struct{}

	decoded decoded

	layoutMu sync.Mutex
	layouts  map[layoutKey]*layout
}

// New makes the service. Nothing is watched before the first Tick of a project, or Start.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.HTTP == nil {
		o.HTTP = newWebhookClient()
	}
	if o.Backoff == nil {
		o.Backoff = []time.Duration{2 * time.Second, 15 * time.Second, 2 * time.Minute}
	}
	return &Service{Options: o, ticks: map[string]*tickState{}, late: map[string]map[int64]bool{}, layouts: map[layoutKey]*layout{}, kicked: make(chan struct{}, 1)}
}

// OnVerdict has f called for every new verdict and every revision, in order, after it is stored, inside Tick. An error of f ends the
// Tick; the windows that are left are judged by the next one. Call it before the first Tick.
func (s *Service) OnVerdict(f func(context.Context, Verdict) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, f)
}

// Start begins to watch every planned deployment and to deliver webhooks, those left over included. It is safe to call once.
func (s *Service) Start(ctx context.Context) error {
	plans, err := s.Plans.Plans(ctx, "")
	if err != nil {
		return fmt.Errorf("start monitors: %w", err)
	}
	s.adopt(plans)
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	s.wait.Add(1)
	go func() {
		defer s.wait.Done()
		s.deliverLoop(run)
	}()
	return nil
}

// Stop ends deliveries and loads and waits for them. What was not delivered is delivered after the next Start.
func (s *Service) Stop(context.Context) error {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.wait.Wait()
	return nil
}

// Refresh has the next Tick of every project read its plans again; call it when a file was applied.
func (s *Service) Refresh() { s.unknown.Store(true) }

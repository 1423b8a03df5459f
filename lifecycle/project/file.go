package project

import "time"

// File is trimtab.yaml. The json names are the keys of the file; the doc comments are the reference that docs/ and the
// JSON Schema are generated from. Maps keep no order, so where order matters the file uses lists.
type File struct {
	// Project is the name: lower-case letters, digits and hyphens.
	Project string `json:"project"`
	// Clock is "wall" (default) or "replay": in a replay, now is the greatest time that a prediction, an outcome or an advance carried.
	Clock string `json:"clock,omitempty"`
	// Problem says what the model is for.
	Problem *Problem `json:"problem,omitempty"`
	// Data is the datasets by name.
	Data map[string]Dataset `json:"data"`
	// Features is the feature views by name: columns of one dataset, looked up by entity, and by time when the dataset has one.
	Features map[string]FeatureView `json:"features,omitempty"`
	// Model is what is trained.
	Model *Model `json:"model,omitempty"`
	// Evaluate says how a version is judged before it may be released.
	Evaluate Evaluate `json:"evaluate,omitempty"`
	// Deploy says how a version reaches traffic.
	Deploy *Deploy `json:"deploy,omitempty"`
	// Monitor says what is watched in production.
	Monitor *Monitor `json:"monitor,omitempty"`
	// Retrain says when a new version is trained.
	Retrain *Retrain `json:"retrain,omitempty"`
}

// Problem is the business side of a project. It is shown against reality and is never a gate.
type Problem struct {
	Goal     string    `json:"goal,omitempty"`
	Owner    string    `json:"owner,omitempty"`
	Success  string    `json:"success,omitempty"` // a condition over metric names
	Priority *Priority `json:"priority,omitempty"`
}

// Priority is impact, confidence and effort, each 1 to 5.
type Priority struct {
	Impact     int `json:"impact,omitempty"`
	Confidence int `json:"confidence,omitempty"`
	Effort     int `json:"effort,omitempty"`
}

// Dataset is a table that comes from files.
type Dataset struct {
	// Files is a path or a glob, beside the file; CSV, TSV (plain, gzip, zstd), JSON lines or Parquet.
	Files Strings `json:"files"`
	// Format overrides the ending of the file names: csv, tsv, jsonl or parquet.
	Format string `json:"format,omitempty"`
	// Key is the columns that name a row; together they are unique.
	Key []string `json:"key,omitempty"`
	// Time is when the row happened.
	Time *TimeColumn `json:"time,omitempty"`
	// Types pins columns to double, long, boolean, datetime or string.
	Types map[string]string `json:"types,omitempty"`
	// Units names the unit of columns, for people.
	Units map[string]string `json:"units,omitempty"`
	// Contract is the checks that rows and the whole must pass.
	Contract []Check `json:"contract,omitempty"`
	// Personal marks columns with personal data: pseudonymise (keyed hash) or drop.
	Personal map[string]string `json:"personal,omitempty"`
}

// TimeColumn is a datetime column; a plain string in the file is the column in UTC.
type TimeColumn struct {
	Column string `json:"column"`
	// Zone is the IANA zone in which hours and weekdays are meant; the values themselves are UTC.
	Zone string `json:"zone,omitempty"`
}

// Check is one entry of a contract: about a column, about the rows, or about freshness.
// Row checks quarantine the rows that fail; rows and fresh refuse the whole version.
type Check struct {
	Column  string     `json:"column,omitempty"`
	Type    string     `json:"type,omitempty"`
	NotNull bool       `json:"not_null,omitempty"`
	Between []float64  `json:"between,omitempty"` // two numbers, both included
	Matches string     `json:"matches,omitempty"` // RE2 pattern; must match somewhere, so anchor it
	In      []string   `json:"in,omitempty"`
	Unique  []string   `json:"unique,omitempty"` // columns that are unique together
	Rows    *RowCount  `json:"rows,omitempty"`
	Fresh   *Freshness `json:"fresh,omitempty"`
	// Mostly is the share of rows that must pass for the version to be accepted (default 0.5: worse than that and the whole version is refused).
	Mostly float64 `json:"mostly,omitempty"`
}

// RowCount bounds the number of rows of a version.
type RowCount struct {
	AtLeast int64 `json:"at_least,omitempty"`
	AtMost  int64 `json:"at_most,omitempty"`
}

// Freshness bounds the age of the newest value of a datetime column.
type Freshness struct {
	Column string   `json:"column"`
	Within Duration `json:"within"`
}

// FeatureView is columns of a dataset, found by entity and, when the dataset has a time, the latest known at or before the row's time.
type FeatureView struct {
	Entity []string `json:"entity"`
	From   string   `json:"from"`
	Select []string `json:"select"`
	// MaxAge is how old a value may be; zero means any age.
	MaxAge Duration `json:"max_age,omitempty"`
}

// Model is what is trained, from which rows, to predict what.
type Model struct {
	Name  string `json:"name"`
	From  string `json:"from"`
	Label Label  `json:"label"`
	// Inputs are columns, expressions such as weekday(time_hour), and names of feature views.
	Inputs  []string         `json:"inputs"`
	Split   Split            `json:"split,omitempty"`
	Prepare []map[string]any `json:"prepare,omitempty"` // each entry has one key, the step
	Train   Train            `json:"train"`
}

// Label is the thing predicted: one name and its expression, e.g. {late: "arr_delay >= 15", known_after: 24h}.
type Label struct {
	Name       string
	Expr       string
	KnownAfter Duration
}

// Split keeps rows for judging.
type Split struct {
	By    string `json:"by,omitempty"`   // time (default when the dataset has one), random, or group:COLUMN
	Test  string `json:"test,omitempty"` // a share, "20%"
	Refit bool   `json:"refit,omitempty"`
}

// Train names the learner; every other key is one of its parameters.
type Train struct {
	Learner string         `json:"learner"`
	Params  map[string]any `json:"-"`
}

// Evaluate is metrics, slices and gates.
type Evaluate struct {
	Metrics   []string `json:"metrics,omitempty"`
	Threshold float64  `json:"threshold,omitempty"` // default 0.5
	Slices    []string `json:"slices,omitempty"`
	// Gates are conditions (CEL) over metric names and champion.NAME.
	Gates []string `json:"gates,omitempty"`
}

// Deploy is how a version reaches traffic.
type Deploy struct {
	Name      string `json:"name,omitempty"`     // default: the model's name
	Strategy  string `json:"strategy,omitempty"` // canary (default) or immediate
	Steps     []Step `json:"steps,omitempty"`
	AbortWhen string `json:"abort_when,omitempty"` // CEL over error_rate, p50_ms, p99_ms, rank_correlation, mean_shift, n
	Log       string `json:"log,omitempty"`        // required (default), strict or best_effort
}

// Step is one stage of a canary: its share, and what must pass before the next: a number of requests that the canary answered, a time, or both.
type Step struct {
	To       string   `json:"to"` // a share, "5%"
	Requests int64    `json:"requests,omitempty"`
	Hold     Duration `json:"hold,omitempty"`
}

// Monitor is the windows and bars.
type Monitor struct {
	Quality     *Window      `json:"quality,omitempty"`
	Drift       *Window      `json:"drift,omitempty"`
	Performance *Performance `json:"performance,omitempty"`
	Alert       []string     `json:"alert,omitempty"` // webhook URLs, or names from TRIMTAB_WEBHOOK_<NAME>
}

// Window is a span of project time over which a verdict is made.
type Window struct {
	Window Duration `json:"window"`
	// Times is "k of n": how many of the last windows must be off before an alert. Default 2 of 3 for drift, 1 of 1 for quality.
	Times string `json:"times,omitempty"`
}

// Performance is the window over which truth is compared, and the condition that is bad.
type Performance struct {
	Window Duration `json:"window"`
	When   string   `json:"when"` // CEL over metric names
	Times  string   `json:"times,omitempty"`
}

// Retrain is when a challenger is trained: performance, drift, "new_labels: N", "cron: SPEC".
type Retrain struct {
	When     []string `json:"when"`
	Cooldown Duration `json:"cooldown,omitempty"`
	// Budget bounds trainings, "N per DURATION", e.g. "4 per 90d". Empty is no bound.
	Budget string `json:"budget,omitempty"`
}

// Duration is a length of project time, written 30s, 5m, 24h, 7d or 2w.
type Duration time.Duration

// Strings is one string or a list of them.
type Strings []string

package project

import "time"

// File is a trimtab.yaml: the whole definition of a project.
//
// The json names are the keys of the file; the doc comments are the reference that docs/ and the
// JSON Schema are generated from, and the tags enum, default and required are both that reference and what ParseFile enforces.
// Maps keep no order, so where order matters the file uses lists.
type File struct {
	// Project is the name: lower-case letters, digits and hyphens.
	Project string `json:"project" required:"true"`
	// Clock is "wall" (default) or "replay": in a replay, now is the greatest time that a prediction, an outcome or an advance carried.
	Clock string `json:"clock,omitempty" enum:"wall,replay" default:"wall"`
	// Problem says what the model is for.
	Problem *Problem `json:"problem,omitempty"`
	// Data is the datasets by name.
	Data map[string]Dataset `json:"data" required:"true"`
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
	// Goal is what the model is for, in one sentence.
	Goal string `json:"goal,omitempty"`
	// Owner is the person or the team that answers for it.
	Owner string `json:"owner,omitempty"`
	// Success is a condition over metric names, e.g. auc >= 0.66.
	Success string `json:"success,omitempty"`
	// Priority ranks the project among others.
	Priority *Priority `json:"priority,omitempty"`
}

// Priority is impact, confidence and effort, each 1 to 5.
type Priority struct {
	// Impact is what it is worth, 1 to 5.
	Impact int `json:"impact,omitempty"`
	// Confidence is how sure that is, 1 to 5.
	Confidence int `json:"confidence,omitempty"`
	// Effort is what it costs, 1 to 5.
	Effort int `json:"effort,omitempty"`
}

// Dataset is a table that comes from files.
type Dataset struct {
	// Files is a path or a glob, beside the file; CSV, TSV (plain, gzip, zstd), JSON lines or Parquet.
	Files Strings `json:"files" required:"true"`
	// Format overrides the ending of the file names: csv, tsv, jsonl or parquet.
	Format string `json:"format,omitempty" enum:"csv,tsv,jsonl,parquet"`
	// Key is the columns that name a row; together they are unique.
	Key []string `json:"key,omitempty"`
	// Time is when the row happened.
	Time *TimeColumn `json:"time,omitempty"`
	// Types pins columns to double, long, boolean, datetime or string.
	Types map[string]string `json:"types,omitempty" enum:"double,long,boolean,datetime,string"`
	// Units names the unit of columns, for people.
	Units map[string]string `json:"units,omitempty"`
	// Contract is the checks that rows and the whole must pass.
	Contract []Check `json:"contract,omitempty"`
	// Personal marks columns with personal data: pseudonymise (keyed hash) or drop.
	Personal map[string]string `json:"personal,omitempty" enum:"pseudonymise,drop"`
}

// TimeColumn is a datetime column; a plain string in the file is the column in UTC.
type TimeColumn struct {
	// Column is the name of the column.
	Column string `json:"column" required:"true"`
	// Zone is the IANA zone in which hours and weekdays are meant; the values themselves are UTC.
	Zone string `json:"zone,omitempty" default:"UTC"`
}

// Check is one entry of a contract: about a column, about the rows, or about freshness.
// Row checks quarantine the rows that fail; rows and fresh refuse the whole version.
type Check struct {
	// Column is the column that type, not_null, between, matches and in are about.
	Column string `json:"column,omitempty"`
	// Type is the type every value must have.
	Type string `json:"type,omitempty" enum:"double,long,boolean,datetime,string"`
	// NotNull refuses rows without a value.
	NotNull bool `json:"not_null,omitempty"`
	// Between is the least and the greatest number allowed, both included.
	Between []float64 `json:"between,omitempty"`
	// Matches is an RE2 pattern that must match somewhere in the text, so anchor it.
	Matches string `json:"matches,omitempty"`
	// In is the values allowed, as text.
	In []string `json:"in,omitempty"`
	// Unique is columns that are unique together.
	Unique []string `json:"unique,omitempty"`
	// Rows bounds the number of rows of the version.
	Rows *RowCount `json:"rows,omitempty"`
	// Fresh bounds the age of the newest row.
	Fresh *Freshness `json:"fresh,omitempty"`
	// Mostly is the share of rows, above 0 and up to 1, that must pass for the version to be accepted: worse than that and the whole version is refused.
	Mostly float64 `json:"mostly,omitempty" default:"0.5"`
}

// RowCount bounds the number of rows of a version.
type RowCount struct {
	// AtLeast is the fewest rows a version may have.
	AtLeast int64 `json:"at_least,omitempty"`
	// AtMost is the most rows a version may have.
	AtMost int64 `json:"at_most,omitempty"`
}

// Freshness bounds the age of the newest value of a datetime column.
type Freshness struct {
	// Column is the datetime column.
	Column string `json:"column" required:"true"`
	// Within is the greatest age, by the project's clock.
	Within Duration `json:"within" required:"true"`
}

// FeatureView is columns of a dataset, found by entity and, when the dataset has a time, the latest known at or before the row's time.
type FeatureView struct {
	// Entity is the columns that find the row: in the view's dataset and in the model's rows under the same names.
	Entity []string `json:"entity" required:"true"`
	// From is the dataset.
	From string `json:"from" required:"true"`
	// Select is the columns that become inputs.
	Select []string `json:"select" required:"true"`
	// MaxAge is how old a value may be; zero means any age.
	MaxAge Duration `json:"max_age,omitempty"`
}

// Model is what is trained, from which rows, to predict what.
type Model struct {
	// Name is the name in the registry: lower-case letters, digits and hyphens.
	Name string `json:"name" required:"true"`
	// From is the dataset whose rows are learned from.
	From string `json:"from" required:"true"`
	// Label is what is predicted: one name with its expression, and known_after, e.g. {late: "arr_delay >= 15", known_after: 24h}.
	Label Label `json:"label" required:"true"`
	// Inputs are columns, expressions such as weekday(time_hour), and names of feature views.
	Inputs []string `json:"inputs" required:"true"`
	// Split keeps rows for judging.
	Split Split `json:"split,omitempty"`
	// Prepare is the preparation steps in order; each entry has one key, the step: {impute: median}, {one_hot: [carrier, origin]}.
	Prepare []map[string]any `json:"prepare,omitempty"`
	// Train names the learner and its parameters.
	Train Train `json:"train" required:"true"`
}

// Label is the thing predicted: one name and its expression, e.g. {late: "arr_delay >= 15", known_after: 24h}.
type Label struct {
	Name       string
	Expr       string
	KnownAfter Duration
}

// Split keeps rows for judging.
type Split struct {
	// By is time (the newest rows judge; default when the dataset has a time) or random.
	By string `json:"by,omitempty" enum:"time,random"`
	// Test is the share of rows that judge, e.g. 20%.
	Test string `json:"test,omitempty" default:"20%"`
	// Refit fits once more on all rows, with the same settings, after the held-out rows have judged.
	Refit bool `json:"refit,omitempty"`
}

// Train names a learner, every other key being one of its parameters, or a program of your own with run.
type Train struct {
	// Learner is the algorithm; fast, good and best are presets that need no parameters.
	Learner string `json:"learner,omitempty" enum:"gbdt,tree,random_forest,extra_trees,logistic,linear,ridge,lasso,elastic_net,knn,naive_bayes,dummy,mlp,fast,good,best"`
	// Preset is another way to write learner with one of the presets.
	Preset string `json:"preset,omitempty" enum:"fast,good,best"`
	// Calibrate makes the learner's probabilities come true as often as they say, by a curve that is fitted to predictions out of fold; auto is platt for two classes and temperature for more. It takes six fits instead of one.
	Calibrate string `json:"calibrate,omitempty" enum:"auto,platt,isotonic,beta,temperature"`
	// Run is the program that trains instead of a learner, e.g. python train.py: it reads its rows from $TRIMTAB_DATASET and logs its model through the MLflow client.
	Run string `json:"run,omitempty"`
	// Env is where that program finds its packages: a uv.lock, a Python interpreter, the folder of a virtual environment, or none.
	Env string `json:"env,omitempty" default:"none"`
	// Params is every other key beside learner, e.g. rounds or learning_rate of gbdt.
	Params map[string]any `json:"-"`
}

// Evaluate is metrics, slices and gates.
type Evaluate struct {
	// Metrics is the metrics to show first; all that the task has are computed.
	Metrics []string `json:"metrics,omitempty"`
	// Threshold is the probability from which a binary model says yes; it is stored with the version.
	Threshold float64 `json:"threshold,omitempty" default:"0.5"`
	// Slices is the columns by whose values the metrics are shown separately.
	Slices []string `json:"slices,omitempty"`
	// Gates are conditions (CEL) over metric names and champion.NAME.
	Gates []string `json:"gates,omitempty"`
	// CV cross-validates on the training rows before the fit: a kind of split and its settings, e.g. stratified k=5 repeats=3 seed=1 or time_series k=5 gap=24. Its folds, and each metric in each of them, are kept with the run.
	CV string `json:"cv,omitempty"`
	// Fairness measures the gaps between groups of the judging rows.
	Fairness *Fairness `json:"fairness,omitempty"`
}

// Fairness is which groups are compared.
type Fairness struct {
	// Groups are the columns whose values are the groups.
	Groups []string `json:"groups" required:"true"`
	// Cross compares the combinations of the columns' values too.
	Cross bool `json:"cross,omitempty"`
	// MinSize is the rows that a group needs to count.
	MinSize int `json:"min_size,omitempty" default:"50"`
}

// Deploy is how a version reaches traffic.
type Deploy struct {
	// Name is the name of the deployment; the model's name when left out.
	Name string `json:"name,omitempty"`
	// Strategy is canary (a share of the traffic first, in steps), immediate (all of it at once), blue_green (all of it at once, with the version before standing by for an instant way back), shadow (it is asked what the champion was asked, and nobody sees its answers) or ab (a share of the keys, until somebody decides).
	Strategy string `json:"strategy,omitempty" enum:"canary,immediate,blue_green,shadow,ab" default:"canary"`
	// Steps is the stages of a canary, each with a greater share, the last with 100%.
	// Left out they are 5% for 400 requests, 25% for 2000 requests, 100%.
	Steps []Step `json:"steps,omitempty"`
	// AbortWhen is a condition (CEL) over error_rate, p50_ms, p99_ms, rank_correlation, mean_shift and n that sends the canary back.
	AbortWhen string `json:"abort_when,omitempty"`
	// Log is when a prediction is written: required (before the answer leaves), strict (and on the disk), best_effort (counted when dropped) or off (never: nothing is watched).
	Log string `json:"log,omitempty" enum:"required,strict,best_effort,off" default:"required"`
	// BlueGreen is the settings of the strategy blue_green.
	BlueGreen *BlueGreen `json:"blue_green,omitempty"`
	// Shadow is the settings of the strategy shadow.
	Shadow *Shadow `json:"shadow,omitempty"`
	// AB is the settings of the strategy ab.
	AB *ABTest `json:"ab,omitempty"`
	// Limits bounds what the deployment is asked at once. Left out, what was set by hand stays.
	Limits *Limits `json:"limits,omitempty"`
}

// BlueGreen is how the versions change places.
type BlueGreen struct {
	// Switch is at_once, or by_hand: the new version is loaded and stands by until trimtab deployments swap.
	Switch string `json:"switch,omitempty" enum:"at_once,by_hand" default:"at_once"`
}

// Shadow is how a version is tried on live traffic before it answers any.
type Shadow struct {
	// Share is the part of the requests that it is asked.
	Share string `json:"share,omitempty" default:"100%"`
	// Requests is how many rows must have been compared before it goes on.
	Requests int64 `json:"requests,omitempty" default:"1000"`
	// Then is what follows when its checks pass: hold (until trimtab deployments promote), canary (the steps of deploy.steps) or immediate.
	Then string `json:"then,omitempty" enum:"hold,canary,immediate" default:"hold"`
}

// ABTest is how the keys are divided.
type ABTest struct {
	// Share is the part of the keys that the new version answers. A key keeps its version.
	Share string `json:"share,omitempty" default:"50%"`
}

// Limits is what a deployment lets in. A request beyond them is refused at once, with the time after which to try again.
type Limits struct {
	// Concurrency is how many requests are answered at the same time; the others wait. Left out, there is no limit.
	Concurrency int `json:"concurrency,omitempty"`
	// Queue is how many requests wait for their turn; beyond it they are refused. It is 100 where concurrency is set.
	Queue int `json:"queue,omitempty"`
	// Timeout is how long a request may take, waiting and answering. Left out, as long as its caller waits.
	Timeout Duration `json:"timeout,omitempty"`
	// MaxRows is how many rows a request may have. Left out, 10,000.
	MaxRows int `json:"max_rows,omitempty"`
	// Cache keeps answers of models that run in processes of their own or as ONNX graphs. Left out, nothing is kept.
	Cache *Cache `json:"cache,omitempty"`
}

// Cache is how many answers are kept, for how long.
type Cache struct {
	// Megabytes is the memory that questions and answers may take.
	Megabytes int64 `json:"megabytes" required:"true"`
	// TTL is how long an answer is good. Left out, until its place is needed.
	TTL Duration `json:"ttl,omitempty"`
}

// Step is one stage of a canary: its share, and what must pass before the next: a number of requests that the canary answered, a time, or both.
type Step struct {
	// To is the share of the traffic, e.g. 5%.
	To string `json:"to" required:"true"`
	// Requests is how many the canary must have answered.
	Requests int64 `json:"requests,omitempty"`
	// Hold is how long the stage lasts at least.
	Hold Duration `json:"hold,omitempty"`
}

// Monitor is the windows and bars.
type Monitor struct {
	// Quality watches nulls, unseen values, values out of range and volume.
	Quality *Window `json:"quality,omitempty"`
	// Drift watches the distributions of the inputs and predictions: over its window against those of training, which makes a notice, and in the
	// windows of quality against the ones just before, which makes an alarm of sudden drift.
	Drift *Window `json:"drift,omitempty"`
	// Performance watches metrics and calibration as the truth arrives.
	Performance *Performance `json:"performance,omitempty"`
	// Alert is who is told: webhook URLs, or names whose URL is in the environment as TRIMTAB_WEBHOOK_NAME.
	Alert []string `json:"alert,omitempty"`
}

// Window is a span of project time over which a verdict is made.
type Window struct {
	// Window is the length of the span.
	Window Duration `json:"window" required:"true"`
	// Times is "k of n": how many of the last windows must be off before an alert. Default 2 of 3 for drift, 1 of 1 for quality.
	Times string `json:"times,omitempty"`
}

// Performance is the window over which truth is compared, and the condition that is bad.
type Performance struct {
	// Window is the length of the span.
	Window Duration `json:"window" required:"true"`
	// When is the condition (CEL) over metric names that is bad.
	When string `json:"when" required:"true"`
	// Times is "k of n": how many of the last windows must be bad.
	Times string `json:"times,omitempty" default:"2 of 3"`
}

// Retrain is when a challenger is trained, and how often at most.
type Retrain struct {
	// When is the causes: performance, drift, "new_labels: N", "cron: SPEC" (five fields, UTC); manual is always possible. Drift is that from
	// training; sudden drift trains nothing, as it is mostly a fault.
	When []string `json:"when" required:"true"`
	// Cooldown is the least time between two trainings.
	Cooldown Duration `json:"cooldown,omitempty"`
	// Budget bounds trainings, "N per DURATION", e.g. "4 per 90d". Empty is no bound.
	Budget string `json:"budget,omitempty"`
}

// Duration is a length of project time, written 30s, 5m, 24h, 7d or 2w.
type Duration time.Duration

// Strings is one string or a list of them.
type Strings []string

package registry

import (
	"time"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/fair"
	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/learn/leak"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Aliases that the platform moves itself.
const (
	Champion  = "champion"  // answers the traffic of its deployment
	Candidate = "candidate" // the newest version whose gate passed
)

// States of a version. They say how it came to be, not where it runs: aliases and routes say that.
const (
	Accepted   = "accepted"   // its gate passed
	Forced     = "forced"     // its gate refused it and somebody forced it, with a reason
	Refused    = "refused"    // its gate refused it; it is kept, and can't be released
	Registered = "registered" // somebody registered it as it is: no gate has judged it
)

// Formats of a version that the platform knows by its files. Every other flavour goes by its MLflow name.
const (
	FormatTrimtab  = "trimtab"  // recipe and learner of our own
	FormatONNX     = "onnx"     // a graph of somebody else
	FormatExternal = "external" // its files lie outside of our store, or there are none
	formatFiles    = "files"    // files that say nothing about themselves
)

// Model is a registered model: a name for a line of versions.
type Model struct {
	Name        string         `json:"name"`
	Project     string         `json:"project"`
	LastVersion int            `json:"last_version"`
	Aliases     map[string]int `json:"aliases"`
	CreatedAt   time.Time      `json:"created_at"`
	Latest      *Version       `json:"latest,omitempty"`

	UpdatedAt   time.Time         `json:"updated_at"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// Version is an immutable package and the facts of its making. The aliases are those that hold now.
type Version struct {
	Model      string             `json:"model"`
	Version    int                `json:"version"`
	Project    string             `json:"project"`
	Digest     string             `json:"digest"` // BLAKE3 of the manifest of files
	State      string             `json:"state"`
	Aliases    []string           `json:"aliases"`
	Cause      string             `json:"cause"`
	Actor      string             `json:"actor"`
	CreatedAt  time.Time          `json:"created_at"`
	AsOf       time.Time          `json:"as_of"` // no row known later went in
	RunID      string             `json:"run_id"`
	Learner    string             `json:"learner"`
	Params     map[string]any     `json:"params"`
	Signature  Signature          `json:"signature"`
	Training   Training           `json:"training"`
	Metrics    map[string]float64 `json:"metrics"` // on the held-out rows
	Threshold  float64            `json:"threshold"`
	Gate       Gate               `json:"gate"`
	Importance []Importance       `json:"importance"`
	Datasets   []track.Input      `json:"datasets"`
	Files      []File             `json:"files"`
	GitCommit  string             `json:"git_commit,omitempty"`
	Built      Environment        `json:"built"`
	GoldenRows int                `json:"golden_rows"`

	// BuildKey is what the version was made from; the same key again is the same version.
	BuildKey string `json:"build_key"`

	// What people say about the version; unlike everything above, it can change.
	UpdatedAt   time.Time         `json:"updated_at"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Stage       string            `json:"stage"` // None, Staging, Production or Archived; aliases have replaced stages

	// Where its files came from. Location is where they can be read from now on.
	Format   string `json:"format"` // FormatTrimtab, FormatONNX, a library (lightgbm, xgboost, catboost), the name of an MLflow flavour, a kind of Kinds, or FormatExternal
	Source   string `json:"source,omitempty"`
	Location string `json:"location,omitempty"`
	RunLink  string `json:"run_link,omitempty"`
	ModelID  string `json:"model_id,omitempty"` // the logged model that was registered

	// How a version that is not Trimtab's own is run: what somebody said, and what examining it found out. Serving is nil until then.
	Options *RunOptions `json:"options,omitempty"`
	Serving *Serving    `json:"serving,omitempty"`
	// Certificate is how far the engines that serve the version agree with the original; nil until it is examined.
	Certificate *Certificate `json:"certificate,omitempty"`

	// Imported is set when the version came from another registry: CreatedAt and UpdatedAt are then what they were there.
	Imported *Imported `json:"imported,omitempty"`
}

// Imported is how a version came here, and whose it was there.
type Imported struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`             // the actor of the import
	User string    `json:"user,omitempty"` // who made the version, as the other registry has it
}

// Training is which rows went where. Refit says that the released fit saw the held-out rows too, after they had judged it.
type Training struct {
	Rows      int       `json:"rows"`
	TestRows  int       `json:"test_rows"`
	Unlabeled int       `json:"unlabeled"` // rows without a label, left out
	Served    int       `json:"served"`    // rows that came from the inference log
	From      time.Time `json:"from"`
	SplitAt   time.Time `json:"split_at"`
	To        time.Time `json:"to"`
	Refit     bool      `json:"refit"`
	FitRows   int       `json:"fit_rows"` // rows of the released fit
	Permuted  bool      `json:"permuted,omitempty"`
}

// Importance is the share of a feature in the model's gain; shares sum to 1.
type Importance struct {
	Feature string  `json:"feature"`
	Input   string  `json:"input"`
	Share   float64 `json:"share"`
}

// File is one file of a version's tree.
type File struct {
	Path string `json:"path"`
	Blob string `json:"blob"`
	Size int64  `json:"size"`
}

// Environment is what built the version.
type Environment struct {
	Trimtab string `json:"trimtab"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Measure is a number with its 95 % interval, where one is known, and its n.
type Measure struct {
	Value float64  `json:"value"`
	Lo    *float64 `json:"lo,omitempty"`
	Hi    *float64 `json:"hi,omitempty"`
	N     int64    `json:"n"`
}

// Evaluation is how a version did on rows that its judged fit had not seen.
type Evaluation struct {
	// Explanations is kept in a file of its own and read by Service.Explanations; nil when the model cannot be explained.
	Explanations *explain.Summary `json:"-"`

	Rows        int                        `json:"rows"`
	From        time.Time                  `json:"from"`
	To          time.Time                  `json:"to"`
	Note        string                     `json:"note,omitempty"`
	Threshold   float64                    `json:"threshold"`
	Metrics     map[string]Measure         `json:"metrics"`
	ROC         *evaluate.ROCCurve         `json:"roc,omitempty"`
	PR          *evaluate.PRCurve          `json:"pr,omitempty"`
	Calibration *evaluate.CalibrationCurve `json:"calibration,omitempty"` // of several classes, that of the likeliest one
	Confusion   *evaluate.ConfusionMatrix  `json:"confusion,omitempty"`
	Decisions   *Decisions                 `json:"decisions,omitempty"` // of several classes
	Slices      []Slice                    `json:"slices"`
	Weak        *evaluate.WeakSlices       `json:"weak,omitempty"` // by log loss or squared error
	Comparison  *Comparison                `json:"comparison,omitempty"`
	Fairness    []Fairness                 `json:"fairness,omitempty"`
	Folds       *Folds                     `json:"folds,omitempty"`
	Alarms      []leak.Alarm               `json:"alarms,omitempty"`  // of training columns that know the label too well
	Members     []preset.Score             `json:"members,omitempty"` // of a preset, beside its baselines, on rows held out of training
}

// Fairness is how groups of rows were treated: by the values of one column, or by the combinations of two.
type Fairness struct {
	Columns    []string               `json:"columns"`
	Binary     *fair.BinaryReport     `json:"binary,omitempty"`
	Regression *fair.RegressionReport `json:"regression,omitempty"`
}

// Folds is a cross-validation on the training rows.
type Folds struct {
	Split    string            `json:"split"` // as the file has it
	Count    int               `json:"count"`
	Digest   string            `json:"digest"`   // of which row was in which fold
	Artifact string            `json:"artifact"` // of the run: the fold of every row
	Metrics  map[string]Spread `json:"metrics"`
	Notes    []string          `json:"notes,omitempty"`
}

// Spread is a metric over the folds.
type Spread struct {
	Mean   float64   `json:"mean"`
	SD     float64   `json:"sd"`
	Values []float64 `json:"values"`
}

// Slice is one value of a column, judged by itself. Small says that n is too low to judge.
type Slice struct {
	Column  string             `json:"column"`
	Value   string             `json:"value"`
	N       int                `json:"n"`
	Small   bool               `json:"small,omitempty"`
	Metrics map[string]Measure `json:"metrics"`
}

// Decisions are those of a model of several classes: Matrix[i][j] rows of class i were decided to be of class j, both in
// the order of the signature's classes.
type Decisions struct {
	Matrix [][]int `json:"matrix"`
}

// Comparison is challenger against champion on the same rows, none of which the champion was trained on.
type Comparison struct {
	Champion    int                `json:"champion"`
	N           int                `json:"n"`
	Since       time.Time          `json:"since"` // the champion's training ended here
	Challenger  map[string]float64 `json:"challenger"`
	Incumbent   map[string]float64 `json:"incumbent"`
	Differences map[string]Measure `json:"differences"` // challenger minus champion
	DeLongP     *float64           `json:"delong_p,omitempty"`
	Tests       []Test             `json:"tests,omitempty"`
}

// Test is one statistical test of challenger against champion on the same rows.
type Test struct {
	Name       string   `json:"name"`
	Of         string   `json:"of"`                   // the metric it is about
	Difference *float64 `json:"difference,omitempty"` // challenger minus champion
	Lo         *float64 `json:"lo,omitempty"`
	Hi         *float64 `json:"hi,omitempty"`
	P          *float64 `json:"p,omitempty"`
}

// Move is one change of an alias.
type Move struct {
	ID       string    `json:"id"`
	Model    string    `json:"model"`
	Alias    string    `json:"alias"`
	From     int       `json:"from"` // 0: it named nothing
	To       int       `json:"to"`   // 0: it was taken away
	At       time.Time `json:"at"`
	Recorded time.Time `json:"recorded"`
	Actor    string    `json:"actor"`
	Reason   string    `json:"reason"`
}

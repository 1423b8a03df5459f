// Package transfer moves tracked work between Trimtab and MLflow: experiments, runs with every point of their metrics, files, logged
// models and the registry, from a Source into a Sink.
//
// It owns how MLflow keeps things (its REST API as a client sees it, its folder of files, its SQL tables) and how a transfer is repeated
// without duplicates. It runs on the client's side and must never reach into the server: it writes through the same public API that
// everybody uses.
package transfer

import (
	"context"
	"io"
)

// Stages, states and the marks of a transfer, in MLflow's words.
const (
	active  = "active"
	deleted = "deleted"

	// TagFrom names the source of an imported thing.
	TagFrom = "trimtab.imported.from"
	// TagID is the id that the thing had there.
	TagID = "trimtab.imported.id"
	// TagDigest is of what was taken, and there only when all of it was: another transfer knows by it that nothing changed.
	TagDigest = "trimtab.imported.digest"
	// TagFiles is where the files of a run or model are that could not be taken.
	TagFiles = "trimtab.imported.files"
)

const (
	tagPrompt   = "mlflow.prompt.is_prompt"
	tagParent   = "mlflow.parentRunId"
	tagRunName  = "mlflow.runName"
	tagVersions = "mlflow.modelVersions"
	markPrefix  = "trimtab.imported."
	stageNone   = "None"
)

// Experiment is a folder of runs. Times here and below are milliseconds since 1970, 0 = unknown.
type Experiment struct {
	ID        string
	Name      string
	Root      string // where its files lie
	Stage     string
	CreatedAt int64
	UpdatedAt int64
	Tags      map[string]string
}

// Run is a run without the history of its metrics.
type Run struct {
	ID           string
	Experiment   string
	Name         string
	User         string
	Status       string // RUNNING, SCHEDULED, FINISHED, FAILED, KILLED
	Stage        string
	Files        string // artifact URI
	StartedAt    int64
	EndedAt      int64
	Params       map[string]string
	Tags         map[string]string
	Latest       map[string]Point
	Datasets     []Dataset
	ModelInputs  []string
	ModelOutputs []ModelOutput
}

// Point is one point of a metric. What it measured is set when it is about to be written.
type Point struct {
	Key           string
	Value         float64
	At            int64
	Step          int64
	Model         string
	DatasetName   string
	DatasetDigest string
}

// Dataset is what a run read.
type Dataset struct {
	Name       string
	Digest     string
	SourceType string
	Source     string
	Schema     string
	Profile    string
	Tags       map[string]string
}

// ModelOutput is a logged model that a run wrote.
type ModelOutput struct {
	Model string
	Step  int64
}

// LoggedModel is a model that a run wrote.
type LoggedModel struct {
	ID         string
	Experiment string
	Name       string
	Type       string
	Run        string
	Status     string // LOGGED_MODEL_PENDING, LOGGED_MODEL_READY, LOGGED_MODEL_UPLOAD_FAILED
	Message    string
	Files      string
	CreatedAt  int64
	UpdatedAt  int64
	Tags       map[string]string
	Params     map[string]string
	Metrics    []ModelMetric
}

// ModelMetric is the latest point of a metric of a model, for one run and dataset.
type ModelMetric struct {
	Run string
	Point
}

// Model is a registered model.
type Model struct {
	Name        string
	Description string
	CreatedAt   int64
	UpdatedAt   int64
	Tags        map[string]string
	Aliases     map[string]int
	Versions    []Version // by number
}

// Version is one of its versions.
type Version struct {
	Number      int
	Description string
	Source      string
	Files       string // where the source leads to, when known
	Run         string
	RunLink     string
	LoggedModel string
	Stage       string
	User        string
	CreatedAt   int64
	UpdatedAt   int64
	Tags        map[string]string
}

// File is one file below a place.
type File struct {
	Path    string // relative, with slashes
	Size    int64
	Changed int64 // milliseconds; 0 = unknown
}

// Source is where things come from. It is only read. Calls may come from several goroutines at once.
type Source interface {
	// Address names the source without secrets.
	Address() string
	// Experiments lists all, deleted ones too.
	Experiments(ctx context.Context) ([]Experiment, error)
	// Runs calls f for every run of an experiment, deleted ones too.
	Runs(ctx context.Context, experiment string, f func(*Run) error) error
	// Run reads one run.
	Run(ctx context.Context, experiment, id string) (*Run, error)
	// History calls f with the points of one metric in pieces.
	History(ctx context.Context, r *Run, key string, f func([]Point) error) error
	// LoggedModels lists the active logged models of an experiment.
	LoggedModels(ctx context.Context, experiment string) ([]LoggedModel, error)
	// Models lists the registry, with all versions that are not deleted.
	Models(ctx context.Context) ([]Model, error)
	// Place opens the folder of files at a URI; the text says why when it cannot be read from here.
	Place(uri string) (Place, string)
	// Rest counts what the source holds that no transfer takes.
	Rest(ctx context.Context) ([]Left, error)
	Close() error
}

// Place is a folder of files, with those below it.
type Place interface {
	List(ctx context.Context) ([]File, error)
	Open(ctx context.Context, path string) (io.ReadCloser, error)
}

// Known is what a sink has of a source already.
type Known struct {
	ID     string // in the sink
	Digest string // "" when it is not complete
	Stage  string
	Files  string
	Own    bool // it did not come here by a transfer, and is not written to
}

// Sink is where things go. Ids in what it is given are the sink's own, except those of Begin and PutLoggedModel, which are the source's
// and kept when the sink can. Calls for different runs may come from several goroutines at once.
type Sink interface {
	Address() string
	// Experiment finds the experiment that was made of e before, or else the active one of its name, or makes it.
	Experiment(ctx context.Context, from string, e *Experiment, foreign bool) (id string, err error)
	// FindExperiment is Experiment without making anything; "" when there is none.
	FindExperiment(ctx context.Context, from string, e *Experiment) (id string, err error)
	// EndExperiment gives it the stage of e, and its times where the sink can.
	EndExperiment(ctx context.Context, id string, e *Experiment) error
	// KnownRuns are the runs in an experiment that were taken before, by the ids of the source.
	KnownRuns(ctx context.Context, experiment string) (map[string]Known, error)
	KnownModels(ctx context.Context, experiment string) (map[string]Known, error)
	// Begin makes a run, or opens one that is known. It is active and running until End.
	Begin(ctx context.Context, experiment string, r *Run, known *Known) (Known, error)
	Log(ctx context.Context, run string, points []Point) error
	// End writes all but points and files, at last the digest.
	End(ctx context.Context, run string, r *Run, digest string) error
	PutLoggedModel(ctx context.Context, experiment string, m *LoggedModel, known *Known) (Known, error)
	EndLoggedModel(ctx context.Context, id string, m *LoggedModel, digest string) error
	// PutFile writes one file below the URI of a run or logged model of the sink.
	PutFile(ctx context.Context, uri string, f File, body io.Reader) error
	// Models lists the registry.
	Models(ctx context.Context) ([]Model, error)
	PutModel(ctx context.Context, m *Model, had *Model) error
	// PutVersion makes the version with this number: those before it that the source no longer has are made and deleted.
	PutVersion(ctx context.Context, m *Model, v *Version, last int) error
	// ChangeVersion gives a version that is there the description, tags and stage of v.
	ChangeVersion(ctx context.Context, m *Model, v, had *Version) error
	DeleteVersion(ctx context.Context, model string, number int) error
	SetAlias(ctx context.Context, model, alias string, version int) error
	// EndModel gives a model and the versions in it their times and users where the sink can, after all else. What comes from
	// somewhere else is not in it, nor are versions that did not change; a model that did not has the time 0.
	EndModel(ctx context.Context, m *Model) error
	Close() error
}

// Left is something that was not taken.
type Left struct {
	What   string `json:"what"`
	Where  string `json:"where,omitempty"`
	Count  int64  `json:"count"`
	Reason string `json:"reason"`
}

// Counts of things.
type Counts struct {
	Experiments  int64 `json:"experiments"`
	Runs         int64 `json:"runs"`
	Points       int64 `json:"points"`
	LoggedModels int64 `json:"logged_models"`
	Models       int64 `json:"models"`
	Versions     int64 `json:"versions"`
	Aliases      int64 `json:"aliases"`
	Files        int64 `json:"files"`
	Bytes        int64 `json:"bytes"`
}

// Report says what a transfer did.
type Report struct {
	Source  string `json:"source"`
	Target  string `json:"target"`
	DryRun  bool   `json:"dry_run"`
	Taken   Counts `json:"taken"`
	Present Counts `json:"present"` // were there already, unchanged
	Left    []Left `json:"left"`
}

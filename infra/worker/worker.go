// Package worker runs models that only their own library can run: Python, R and ONNX Runtime, each in processes of its own, held in by
// what the machine offers, behind one Predictor.
//
// It owns the processes, the pipes to them, the interpreters and environments they run in, and their log. It must never know what a
// version, a deployment or a route is. A worker answers one request after the other; a pool has several. Nothing that a worker sends is
// run or unpickled here: answers are tensors, and what is none ends the worker.
package worker

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

//go:embed worker.py
var pythonSource []byte

//go:embed worker.R
var rSource []byte

//go:embed worker.mjs
var nodeSource []byte

// Kind is how a model is opened.
type Kind string

// The kinds. docs/serving/python.md describes each.
const (
	Sklearn     Kind = "sklearn"      // a file of pickle, joblib or cloudpickle with an estimator
	Pyfunc      Kind = "pyfunc"       // a model folder of MLflow
	LightGBM    Kind = "lightgbm"     // a model file of LightGBM's own
	XGBoost     Kind = "xgboost"      // of XGBoost's own
	TorchScript Kind = "torchscript"  // a file of torch.jit.save
	TorchExport Kind = "torch_export" // of torch.export.save
	Keras       Kind = "keras"        // a .keras or .h5 file
	TensorFlow  Kind = "tensorflow"   // a SavedModel folder
	Program     Kind = "predict.py"   // a program with load and predict
	ONNXRuntime Kind = "onnxruntime"  // an ONNX file, by ONNX Runtime
	R           Kind = "r"            // an .rds file, or a folder with a predict.R
)

var kinds = []Kind{Sklearn, Pyfunc, LightGBM, XGBoost, TorchScript, TorchExport, Keras, TensorFlow, Program, ONNXRuntime, R}

// Env is what a worker runs in. The zero value is the manager's default interpreter.
type Env struct {
	Interpreter  string // path of a Python, an Rscript or a node
	Requirements string // path of a requirements.txt or uv.lock: an environment of its own is made
	Python       string // version for it, "3.11"; "" = what is there
}

// Spec is a model to run.
type Spec struct {
	Name string // for the log and metrics
	Kind Kind
	Dir  string // folder of the model; the worker can read all of it and write none
	File string // inside Dir; "" = the folder itself
	Env  Env

	Min, Max    int           // workers; 0 = 1 each
	Deadline    time.Duration // for one request, after which its worker is killed; 0 = 30 s
	Start       time.Duration // for a worker to load the model; 0 = 2 min
	Memory      int64         // ceiling of a worker in bytes; 0 = none
	MaxRequests int64         // after which a worker is replaced; 0 = never
	MaxQueue    int           // requests that wait for a worker; more are fault.TooMany; 0 = 1,000
	Idle        time.Duration // after which workers beyond Min end; 0 = 5 min

	Network  bool              // let it reach the network
	Environ  map[string]string // variables that it gets beside the few that it needs
	ReadOnly []string          // files and folders outside of Dir that it may read

	Predict string            // function of a predict.py; "" = predict
	Flavor  map[string]any    // what the flavour of an MLflow model says; read from MLmodel when nil
	Inputs  []predictor.Field // what is known better than the model tells; nil = ask the model
	Outputs []predictor.Field
}

// Model is what a worker told about its model when it was loaded.
type Model struct {
	Inputs   []predictor.Field `json:"inputs"`
	Outputs  []predictor.Field `json:"outputs"`
	About    About             `json:"about"`
	Versions map[string]string `json:"versions"` // of the libraries that it imported, and of the language
}

// About is what some models know of themselves.
type About struct {
	Task      string   `json:"task,omitempty"`      // classifier, regressor, booster, pyfunc, tensors, …
	Estimator string   `json:"estimator,omitempty"` // the class
	Classes   []any    `json:"classes,omitempty"`   // texts, numbers or booleans, in the order of predict_proba
	Features  []string `json:"features,omitempty"`
}

// Options say where a Manager keeps what it makes.
type Options struct {
	Dir     string // for environments, logs and temporary files; must be there or can be made
	Python  string // default interpreter; "" = python3 in PATH
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil = none
	Guest   bool                  // another one may have the folder: its temporary files are left alone, and no pool is opened
}

// Manager opens pools. It is safe for concurrent use.
type Manager struct {
	options Options
	log     *slog.Logger
	metrics *metrics

	mu           sync.Mutex
	interpreters map[string]*interpreter
	building     map[string]*sync.Mutex // environments, by their hash
	scripts      map[string]string
	apartOnce    sync.Once
	apartErr     error // why workers have no namespaces of their own
	next         int
}

// NewManager makes the folder if need be. Temporary files that a killed server left are removed; a folder has one manager at a time.
func NewManager(o Options) (*Manager, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if !o.Guest {
		if err := os.RemoveAll(filepath.Join(dir, "tmp")); err != nil {
			return nil, fmt.Errorf("clear the temporary files of workers: %w", err)
		}
	}
	for _, sub := range []string{"tmp", "log", "env", "bin"} {
		if o.Guest {
			break
		}
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of workers: %w", err)
		}
	}
	m := &Manager{options: o, log: o.Log, interpreters: map[string]*interpreter{}, building: map[string]*sync.Mutex{}, scripts: map[string]string{}}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	return m, nil
}

// Open starts a pool: its environment is made if need be, and one worker has loaded the model when Open returns. A model that does not
// load is fault.Invalid with what the worker said; an interpreter or environment that cannot be had is fault.Unavailable.
func (m *Manager) Open(ctx context.Context, s Spec) (*Pool, error) {
	if err := s.complete(); err != nil {
		return nil, err
	}
	in, err := m.prepare(ctx, &s)
	if err != nil {
		return nil, err
	}
	script, err := m.script(s.Kind, in)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.next++
	number := m.next
	m.mu.Unlock()
	p := newPool(m, s, in, script, number)
	if err := p.open(ctx); err != nil {
		_ = p.Close() // it has no worker
		return nil, err
	}
	return p, nil
}

// complete fills in what was left out and refuses what cannot be.
func (s *Spec) complete() error {
	if !slices.Contains(kinds, s.Kind) {
		return fault.New(fault.NotSupported, "there is no worker for models of the kind %q", s.Kind)
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fault.Wrap(err, fault.NotFound, "the folder of the model %q", s.Name)
	}
	s.Dir = dir
	if s.File != "" && !filepath.IsLocal(s.File) {
		return fault.New(fault.Invalid, "%q is not inside the folder of the model", s.File)
	}
	if _, err := os.Stat(s.path()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.NotFound, "the model %q has no file %q", s.Name, s.File)
		}
		return err
	}
	s.Min, s.Max = max(s.Min, 1), max(s.Max, s.Min, 1)
	for value, standard := range map[*time.Duration]time.Duration{&s.Deadline: 30 * time.Second, &s.Start: 2 * time.Minute, &s.Idle: 5 * time.Minute} {
		if *value <= 0 {
			*value = standard
		}
	}
	if s.MaxQueue <= 0 {
		s.MaxQueue = 1000
	}
	if s.Kind == Pyfunc && s.Flavor == nil {
		if s.Flavor, err = readFlavor(s.path()); err != nil {
			return err
		}
	}
	return nil
}

// path is the file or folder that the worker opens.
func (s *Spec) path() string { return filepath.Join(s.Dir, s.File) }

// script writes the worker's program beside the others, under the hash of its text.
func (m *Manager) script(kind Kind, in *interpreter) (string, error) {
	source, suffix := pythonSource, ".py"
	switch {
	case kind == R:
		source, suffix = rSource, ".R"
	case in.language == "node":
		source, suffix = nodeSource, ".mjs"
	}
	sum := sha256.Sum256(source)
	path := filepath.Join(m.options.Dir, "bin", "worker-"+hex.EncodeToString(sum[:6])+suffix)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.scripts[path] == "" {
		if err := os.WriteFile(path, source, 0o600); err != nil {
			return "", fmt.Errorf("write the worker's program: %w", err)
		}
		m.scripts[path] = path
	}
	return path, nil
}

// fileName makes a name that is safe as one of a file.
func fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
	return safe[:min(len(safe), 100)]
}

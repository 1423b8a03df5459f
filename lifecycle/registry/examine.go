package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// maxGraph bounds an ONNX file that is evaluated in the server.
const maxGraph = 512 << 20

// RunOptions is what somebody said of how a version is to be run. The zero value leaves everything to the files.
type RunOptions struct {
	Kind         string   `json:"kind,omitempty"`         // one of Kinds: how a worker opens the files
	Task         string   `json:"task,omitempty"`         // binary, multiclass, regression or tensors
	Engine       string   `json:"engine,omitempty"`       // the one that serves; "" = the first that can
	Python       string   `json:"python,omitempty"`       // interpreter of its worker, a path on the server
	Requirements string   `json:"requirements,omitempty"` // file of the version of which its environment is made
	Allow        []string `json:"allow,omitempty"`        // imports of a pickle beside those that are always allowed
	Tolerance    float64  `json:"tolerance,omitempty"`    // of the certificate; 0 = DefaultTolerance
}

// Serving is how a version that is not Trimtab's own is run, as examining it found out.
type Serving struct {
	Engine  string    `json:"engine"`
	Reason  string    `json:"reason"` // why this engine
	Kind    string    `json:"kind,omitempty"`
	Path    string    `json:"path,omitempty"` // the file that is opened; "" = the folder
	Binding Binding   `json:"binding"`
	Imports []string  `json:"imports,omitempty"` // that its pickles ask for
	Memory  int64     `json:"memory_bytes,omitempty"`
	At      time.Time `json:"examined_at"`
}

// prospect is one way to serve a version.
type prospect struct {
	engine string
	kind   string
	path   string
	why    string
}

// prospects are the ways to serve files, the best first: a graph made of the model, trees and linear models read from their own file, the
// graph that is the model, and last a worker with the model's own library.
func (c *content) prospects(given RunOptions) ([]prospect, error) {
	var out []prospect
	graph := func(why string) {
		out = append(out, prospect{engine: EngineONNX, path: c.graph, why: why},
			prospect{engine: EngineNative, path: c.graph, why: "the trees of the graph are read into Trimtab's own"},
			prospect{engine: EngineONNXRuntime, kind: KindONNX, path: c.graph, why: "ONNX Runtime evaluates the graph in a process of its own"})
	}
	if c.graph != "" && !c.lone {
		graph("the graph beside the model answers in this process")
	}
	if c.exchange != "" {
		out = append(out, prospect{engine: EngineNative, path: c.exchange, why: fmt.Sprintf("the model of %s is read into Trimtab's own", c.format)})
	}
	if c.lone && c.graph != "" {
		graph("every operator of the graph is evaluated in this process")
	}
	switch {
	case c.kind == KindR:
		out = append(out, prospect{engine: EngineR, kind: c.kind, path: c.path, why: "R programs run in a worker"})
	case c.kind != "" && c.kind != KindONNX:
		out = append(out, prospect{engine: EnginePython, kind: c.kind, path: c.path, why: fmt.Sprintf("models of the kind %s run in a worker with their own Python", c.kind)})
	}
	if given.Engine == "" {
		return out, nil
	}
	all := out
	out = slices.DeleteFunc(slices.Clone(all), func(p prospect) bool { return p.engine != given.Engine })
	if len(out) == 0 {
		var names []string
		for _, p := range all {
			names = append(names, p.engine)
		}
		return nil, fault.New(fault.Invalid, "the engine %q cannot serve a model of the format %s", clip(given.Engine), c.format).WithHint("engines for it: %v", names)
	}
	return out, nil
}

// opened is a version in an engine, with what was found on the way.
type opened struct {
	*Package
	prospect
	passed []string // why engines before this one do not serve it
}

// openFiles opens a version in the first engine that takes it, and finds out what it answers.
func (s *Service) openFiles(ctx context.Context, v *Version, c *content, m *mlflow, ex *exampleRows) (*opened, error) {
	if v.Format == FormatExternal {
		return nil, fault.New(fault.FormatNotServed, "the files of %s v%d are not in this server's store, at %s", v.Model, v.Version, v.Location).WithHint("log the model through this server")
	}
	ways, err := c.prospects(v.run())
	if err != nil {
		return nil, err
	}
	var passed []string
	var last error
	for i, way := range ways {
		p, err := s.openWith(ctx, v, c, m, way, ex)
		if err == nil {
			return &opened{Package: p, prospect: way, passed: passed}, nil
		}
		next := unreadable(err) || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Corrupt) && way.engine == EngineONNX // another reader may know more
		if i == len(ways)-1 || !next || ctx.Err() != nil {
			if fault.Is(last, fault.Corrupt) {
				return nil, last
			}
			if last != nil && (fault.Is(err, fault.Unavailable) || s.engines == nil) {
				err = fault.Wrap(err, fault.FormatNotServed, "%v; and", last) // the first engine's reason is what can be changed
			}
			return nil, err
		}
		if passed = append(passed, err.Error()); !fault.Is(last, fault.Corrupt) {
			last = err
		}
	}
	return nil, fault.New(fault.FormatNotServed, "%s v%d holds %s, which no engine here serves", v.Model, v.Version, v.Format).
		WithHint("formats that are served: LightGBM, XGBoost, CatBoost, ONNX, MLflow folders, pickles, TorchScript, SavedModel, predict.py")
}

// openWith opens a version in one engine.
func (s *Service) openWith(ctx context.Context, v *Version, c *content, m *mlflow, way prospect, ex *exampleRows) (*Package, error) {
	var p *Package
	var err error
	switch way.engine {
	case EngineNative:
		with := *c
		with.exchange = way.path
		if p, err = s.loadExchanged(ctx, v, &with, m); err != nil {
			return nil, err
		}
	case EngineONNX:
		data, rerr := s.open(ctx, v.Files, way.path, maxGraph)
		if rerr != nil {
			return nil, rerr
		}
		p = &Package{Engine: EngineONNX, Memory: int64(len(data))}
		p.Predictor, err = onnx.Open(data)
	default:
		p = &Package{Engine: way.engine}
		p.Predictor, err = s.openWorker(ctx, v, m, way)
	}
	if err != nil {
		return nil, err
	}
	p.Model, p.Version, p.Reference = v.Model, v.Version, &profile.Reference{}
	p.Threshold = v.Threshold
	if p.Threshold == 0 {
		p.Threshold = half
	}
	if way.engine == EngineNative {
		return p, nil
	}
	if v.Serving != nil && v.Serving.Engine == way.engine && v.Serving.Path == way.path && len(v.Signature.Features) > 0 {
		p.Signature, p.Binding = v.Signature, v.Serving.Binding // it was examined before
		return p, nil
	}
	if err := p.describe(ctx, m, &content{kind: way.kind}, v.run().Task, ex); err != nil {
		_ = p.Predictor.Close()
		return nil, err
	}
	return p, nil
}

// openWorker opens a version outside of this process. What its pickles import is checked first.
func (s *Service) openWorker(ctx context.Context, v *Version, m *mlflow, way prospect) (predictor.Predictor, error) {
	if s.engines == nil {
		return nil, fault.New(fault.FormatNotServed, "%s v%d holds %s, which needs a worker, and this server runs none", v.Model, v.Version, v.Format)
	}
	run := v.run()
	if way.engine == EnginePython {
		if _, err := s.scan(ctx, v.Files, way, run.Allow); err != nil {
			return nil, err
		}
	}
	dir, err := s.layOut(ctx, v.Digest, v.Files)
	if err != nil {
		return nil, err
	}
	w := WorkerSpec{Engine: way.engine, Kind: way.kind, Model: v.Model, Version: v.Version, Dir: dir, Path: way.path, Python: run.Python, Requirements: run.Requirements}
	if w.Python == "" && w.Requirements == "" && way.engine == EnginePython && slices.ContainsFunc(v.Files, func(f File) bool { return f.Path == fileNeeds }) {
		w.Requirements = fileNeeds
	}
	if m != nil && way.kind != KindONNX {
		w.Flavor, w.Data, w.Inputs = v.Format, clean(m.says(v.Format, "data")), m.tensors
	}
	e, release, err := s.acquire(ctx, v.Digest, w)
	if err != nil {
		return nil, err
	}
	return &pooled{engine: e, release: release}, nil
}

// exampleFor reads the input example of a version: the one that was given with it, else the one that MLmodel names; nil when there is none
// that can be read.
func (s *Service) exampleFor(ctx context.Context, files []File, m *mlflow) *exampleRows {
	names := []string{fileExample, "input_example.csv"}
	if m != nil {
		names = append(names, clean(m.Example.Path), clean(m.Example.Served))
	}
	for _, name := range names {
		at := slices.IndexFunc(files, func(f File) bool { return f.Path == name && name != "" })
		if at < 0 || files[at].Size > maxExample {
			continue
		}
		data, err := blob.ReadAll(ctx, s.blobs, files[at].Blob)
		if err != nil {
			continue
		}
		if e, err := readExample(data, name == "input_example.csv"); err == nil {
			return e
		}
	}
	return nil
}

func (v *Version) run() RunOptions {
	if v.Options == nil {
		return RunOptions{}
	}
	return *v.Options
}

// examine opens a version of another kind than Trimtab's own, finds out its signature and what serves it, and compares the engines. It
// changes v and stores nothing; the package it opened is the caller's to close.
func (s *Service) examine(ctx context.Context, v *Version) (*Package, error) {
	c, m, err := s.look(ctx, v.Files, v.run().Kind)
	if err != nil {
		return nil, err
	}
	known := v.Signature
	v.Format, v.Serving, v.Signature = c.format, nil, Signature{}
	ex := s.exampleFor(ctx, v.Files, m)
	o, err := s.openFiles(ctx, v, &c, m, ex)
	if err != nil {
		return nil, err
	}
	if v.Threshold == 0 && v.Signature.Task != TaskTensors {
		v.Threshold = o.Threshold
	}
	if o.Signature.knownAs(&known, o.Binding.Matrix == "") {
		o.Signature = known // who trained the version knows more of its inputs
	}
	v.Signature = o.Signature
	v.Serving = &Serving{Engine: o.engine, Reason: o.why, Kind: o.kind, Path: o.path, Binding: o.Binding, Memory: o.Memory, At: time.Now().UTC()}
	for _, why := range o.passed {
		v.Serving.Reason += "; passed over: " + why
	}
	if o.engine == EnginePython {
		v.Serving.Imports, _ = s.scan(ctx, v.Files, o.prospect, v.run().Allow) // it was scanned before it was opened
	}
	v.Certificate = s.certify(ctx, v, &c, m, o, ex)
	return o.Package, nil
}

// knownAs tells whether a signature that somebody gave a version is about the same columns and answers as what its engine takes and gives.
func (s *Signature) knownAs(known *Signature, byName bool) bool {
	if known.Task != s.Task || len(known.Features) == 0 || len(known.Classes) != len(s.Classes) {
		return false
	}
	return slices.Equal(known.Features, s.Features) || byName && sameSet(known.Features, s.Features)
}

// examineHere is examine without other processes: fault.Unavailable when the version needs one.
func (s *Service) examineHere(ctx context.Context, v *Version) (*Package, error) {
	alone := &Service{db: s.db, blobs: s.blobs, events: s.events}
	return alone.examine(ctx, v)
}

// Examine opens a registered version again, and stores what serves it and how far its engines agree. run says how it is to be run from now
// on; nil = as before.
func (s *Service) Examine(ctx context.Context, model string, version int, run *RunOptions) (*Version, error) {
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return nil, err
	}
	if run != nil {
		if err := run.check(v.Files); err != nil {
			return nil, err
		}
		v.Options = run
	}
	if v.Format == FormatTrimtab {
		p, err := s.LoadPackage(ctx, model, version)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		if v.Certificate, err = s.certifyOwn(ctx, v, p); err != nil {
			return nil, err
		}
	} else {
		p, err := s.examine(ctx, v)
		if err != nil {
			return nil, err
		}
		defer p.Close()
	}
	return s.keepExamined(ctx, v)
}

// keepExamined stores what examining a version found out.
func (s *Service) keepExamined(ctx context.Context, v *Version) (*Version, error) {
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		now, err := s.get(ctx, tx, v.Model, v.Version)
		if err != nil {
			return err
		}
		if now.Certificate != nil && v.Certificate != nil {
			v.Certificate.Forced = now.Certificate.Forced
		}
		now.Format, now.Signature, now.Threshold, now.Options, now.Serving, now.Certificate = v.Format, v.Signature, v.Threshold, v.Options, v.Serving, v.Certificate
		return s.storeDocument(ctx, tx, now)
	})
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, v.Model, v.Version)
}

func (s *Service) storeDocument(ctx context.Context, tx *catalog.Tx, v *Version) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode version: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE model_versions SET state = $1, format = $2, document = $3 WHERE workspace_id = 'default' AND model = $4 AND version = $5`,
		v.State, v.Format, string(doc), v.Model, v.Version)
	if err != nil {
		return fmt.Errorf("store version: %w", err)
	}
	return nil
}

// Ready makes sure that a version can be served, before anything is promised: one that was never examined is examined now. It must not be
// called inside of a transaction.
func (s *Service) Ready(ctx context.Context, model string, version int) (*Version, error) {
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return nil, err
	}
	if v.Format == FormatTrimtab || v.Serving != nil {
		return v, nil
	}
	return s.Examine(ctx, model, version, nil)
}

// loadForeign opens a version that is not Trimtab's own as it was examined.
func (s *Service) loadForeign(ctx context.Context, v *Version) (*Package, error) {
	if v.Serving == nil {
		p, err := s.examine(ctx, v)
		if err != nil {
			return nil, err
		}
		if _, err := s.keepExamined(ctx, v); err != nil {
			_ = p.Close()
			return nil, err
		}
		return p, nil
	}
	c, m, err := s.look(ctx, v.Files, v.run().Kind)
	if err != nil {
		return nil, err
	}
	return s.openWith(ctx, v, &c, m, prospect{engine: v.Serving.Engine, kind: v.Serving.Kind, path: v.Serving.Path}, nil)
}

// Close gives back what the package holds beside memory. It may be called more than once.
func (p *Package) Close() error {
	if p == nil || p.Predictor == nil {
		return nil
	}
	return p.Predictor.Close()
}

func allFinite(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// forced says in an event that somebody overruled a certificate.
func (s *Service) forced(ctx context.Context, tx *catalog.Tx, v *Version, at time.Time, reason string) error {
	v.Certificate.Forced = &Force{Actor: govern.Actor(ctx), Reason: reason, At: at}
	if err := s.storeDocument(ctx, tx, v); err != nil {
		return err
	}
	return s.events.Append(ctx, tx, govern.Event{At: at, Project: v.Project, Kind: "version.forced", Subject: subject(v.Model, v.Version), Actor: govern.Actor(ctx), Level: "attention",
		Message: fmt.Sprintf("%s v%d forced past its load certificate: %s", v.Model, v.Version, reason), Data: map[string]any{"model": v.Model, "version": v.Version, "reason": reason}})
}

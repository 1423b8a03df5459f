package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/api/inference"
	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor"
	"github.com/trimtab-ml/trimtab/api/mlflow"
	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/backup"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/infra/otel"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/infra/worker"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
	"github.com/trimtab-ml/trimtab/lifecycle/pipeline"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/retrain"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// program is everything that runs behind the listener.
type program struct {
	router *route.Router
	grpc   *grpcdoor.Door
	closer []closer // in order of start; stopped in reverse
	starts []func(context.Context) error
}

// closer is something that has to be stopped, by name for the log.
type closer struct {
	name string
	stop func(context.Context) error
}

// onStop has stop run when the program stops, after everything that was added later.
func (p *program) onStop(name string, stop func(context.Context) error) {
	p.closer = append(p.closer, closer{name, stop})
}

// onStart has start run when everything is wired, in the order of the calls.
func (p *program) onStart(start func(context.Context) error) { p.starts = append(p.starts, start) }

func (p *program) start(ctx context.Context) error {
	for _, start := range p.starts {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) stop(ctx context.Context) error {
	var errs []error
	for i := len(p.closer) - 1; i >= 0; i-- {
		if err := p.closer[i].stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.closer[i].name, err))
		}
	}
	p.closer = nil
	return errors.Join(errs...)
}

// schemas are the migrations of every package that keeps rows in the catalog.
var schemas = []fs.FS{
	queue.Schema,
	govern.Schema,
	project.Schema,
	data.Schema,
	track.Schema,
	registry.Schema,
	serve.Schema,
	feedback.Schema,
	monitor.Schema,
	rollout.Schema,
	retrain.Schema,
}

// build makes every part of the program and ties it to the others, in the order of the house. A new service takes
// three lines: its Schema above, its constructor below, its Register call among the doors.
func build(ctx context.Context, cfg Config, token string, loopback bool) (_ *program, err error) {
	p := &program{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop(context.WithoutCancel(ctx)))
		}
	}()

	// ---- infra
	if err := backup.Clean(cfg.Dir); err != nil {
		return nil, fmt.Errorf("remove an unfinished backup: %w", err)
	}
	metrics := prometheus.NewRegistry()
	place, err := CatalogPlace(cfg.Dir, cfg.Catalog)
	if err != nil {
		return nil, err
	}
	db, err := catalog.Open(ctx, place, schemas...)
	if err != nil {
		return nil, err
	}
	p.onStop("catalog", func(context.Context) error { return db.Close() })
	release, err := db.Alone(ctx, func(err error) { cfg.Log.Error("the catalog is not ours alone", "error", err) })
	if err != nil {
		return nil, err
	}
	p.onStop("catalog's lock", func(context.Context) error { return release() })
	if err := rememberCatalog(cfg.Dir, place); err != nil {
		return nil, err
	}
	jobs := queue.New(db, queue.Options{Log: cfg.Log})
	files, err := blob.NewFile(filepath.Join(cfg.Dir, "blobs"), blob.Disk{})
	if err != nil {
		return nil, err
	}
	blobs := blob.NewGuard(files, time.Hour)
	tables, err := duck.Open(duck.Options{TempDir: filepath.Join(cfg.Dir, "temp")})
	if err != nil {
		return nil, err
	}
	p.onStop("tables", func(context.Context) error { return tables.Close() })
	secret, err := secretOf(filepath.Join(cfg.Dir, "pseudonym.key"), "pseudonyms")
	if err != nil {
		return nil, err
	}
	hookKey, err := secretOf(filepath.Join(cfg.Dir, "webhook.key"), "webhooks")
	if err != nil {
		return nil, err
	}

	// ---- lifecycle, in the order of the house
	events := govern.New(db)
	projects, err := project.New(ctx, db)
	if err != nil {
		return nil, err
	}
	datasets := data.New(db, blobs, tables, events, secret)
	points, err := series.Open(ctx, series.Options{Dir: filepath.Join(cfg.Dir, "series"), Log: cfg.Log, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	p.onStop("metric points", func(context.Context) error { return points.Close() })
	runs, err := track.New(ctx, track.Config{DB: db, Blobs: blobs, Series: points, Events: events, Uploads: filepath.Join(cfg.Dir, "uploads"), Points: filepath.Join(cfg.Dir, "metrics"), Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	p.onStop("runs", runs.Close)
	links := &links{projects: projects}
	workers, err := worker.NewManager(worker.Options{Dir: filepath.Join(cfg.Dir, "workers"), Log: cfg.Log, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	models := registry.New(registry.Config{DB: db, Blobs: blobs, Events: events, Runs: runs, Artifacts: runs.Artifacts, InUse: links.deploymentOf,
		Engines: &engines{workers}, Folder: filepath.Join(cfg.Dir, "models")})
	p.onStop("models", func(context.Context) error { return models.Close() })
	p.onStart(models.Sweep)
	links.models = models
	hooks, err := govern.OpenWebhooks(ctx, govern.WebhookConfig{DB: db, Events: events, Key: hookKey, Allow: cfg.Webhooks, Dialect: mlflow.Dialect(models), Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	p.onStop("webhooks", hooks.Stop)
	builder := pipeline.New(pipeline.Config{DB: db, Duck: tables, Jobs: jobs, Events: events, Projects: projects, Datasets: datasets, Runs: runs, Models: models, Address: cfg.url, Token: secretFor(token, loopback)})
	truth, err := feedback.Open(ctx, feedback.Config{Dir: filepath.Join(cfg.Dir, "log"), DB: db, Blobs: blobs, Duck: tables, Now: links.now, Metrics: metrics, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	p.onStop("inference log", func(context.Context) error { return truth.Close() })
	serving := serve.New(serve.Config{DB: db, Loader: models, Recorder: truth, Observers: []serve.Observer{links}, Clock: projects.Clock,
		Seen: projects.Seen, Pseudonymise: datasets.Pseudonymise, Catalog: links, Memory: cfg.ModelMemory, Metrics: metrics, Log: cfg.Log})
	p.onStop("engines", serving.Stop)
	links.serving = serving
	watch := monitor.New(monitor.Options{DB: db, Events: events, Plans: links, References: links, Scorer: serving, Log: truth, Logger: cfg.Log})
	links.watch = watch
	truth.OnLabels(watch.Late)
	p.onStop("monitors", watch.Stop)
	rollouts := rollout.New(db, events, projects, models, serving, truth)
	builder.SetReleaser(rollouts)
	trainer := retrain.New(db, jobs, events, projects, datasets, builder, models, truth, rollouts)
	watch.OnVerdict(trainer.Verdict)
	compactor := feedback.NewCompactor(truth, jobs, serving)
	for _, hook := range []project.Hook{watch.Tick, rollouts.Tick, trainer.Tick, compactor.Tick} {
		projects.OnTick(hook)
	}
	collector := track.NewCollector(track.CollectorConfig{Runs: runs, Blobs: blobs, Holders: []track.BlobHolder{datasets, models, truth}, Jobs: jobs, Log: cfg.Log})

	// ---- doors
	traces, err := otel.Open(ctx, cfg.Version, cfg.Log)
	if err != nil {
		return nil, err
	}
	p.onStop("traces", traces.Close)
	routes := route.Config{Tracer: traces.Tracer("trimtab"), Version: cfg.Version, Hosts: cfg.Hosts, Log: cfg.Log, Metrics: metrics, Token: secretFor(token, loopback)}
	p.router = route.New(routes)
	native.RegisterServer(p.router, native.ServerOptions{Version: cfg.Version, Compatible: mlflow.Version, Metrics: metrics})
	native.RegisterBackup(p.router, snapshots(cfg, db, points), cfg.Log)
	native.RegisterEvents(p.router, events)
	native.RegisterWebhooks(p.router, hooks)
	native.RegisterJobs(p.router, jobs)
	native.RegisterProjects(p.router, projects)
	native.RegisterPipeline(p.router, builder)
	native.RegisterData(p.router, datasets)
	native.RegisterExperiments(p.router, runs)
	native.RegisterFilters(p.router, runs)
	native.RegisterRuns(p.router, runs)
	native.RegisterCurves(p.router, runs)
	native.RegisterArtifacts(p.router, runs, runs.Artifacts)
	native.RegisterCollect(p.router, collector, runs)
	native.RegisterImport(p.router, runs, models)
	native.RegisterModels(p.router, db, models, projects, trainer, rollouts)
	native.RegisterModelFiles(p.router, models)
	native.RegisterExplanations(p.router, serving, models)
	native.RegisterScore(p.router, builder, filepath.Join(cfg.Dir, "temp"))
	native.RegisterDeployments(p.router, serving, truth, projects.Seen, func(name string) time.Time { return projects.Clock(name).Now() }, filepath.Join(cfg.Dir, "temp"))
	native.RegisterRollouts(p.router, rollouts, serving)
	native.RegisterEngines(p.router, serving, models)
	native.RegisterRetrain(p.router, trainer, projects, jobs)
	native.RegisterMonitors(p.router, watch)
	native.RegisterWeb(p.router)
	inference.Register(p.router, serving, inference.Options{Version: cfg.Version, Log: cfg.Log, Champion: rollouts.Rollback})
	p.grpc = grpcdoor.Register(p.router, serving, codec.Options{Version: cfg.Version, Log: cfg.Log})
	mlflow.Register(p.router, mlflow.Services{Track: runs, Registry: models, Webhooks: hooks})
	native.DescribePlain(p.router)

	// ---- start: handlers of jobs are registered by now
	p.onStart(func(ctx context.Context) error { return runs.Abandon(ctx, time.Now().UTC()) })
	p.onStart(serving.Start)
	p.onStart(watch.Start)
	p.onStart(hooks.Start)
	p.onStart(jobs.Start)
	p.onStop("jobs", jobs.Stop)
	ticking, stopTicking := context.WithCancel(context.WithoutCancel(ctx))
	var ticks sync.WaitGroup
	p.onStart(func(context.Context) error {
		ticks.Go(func() { collector.Keep(ticking) })
		ticks.Go(func() { projects.RunTicks(ticking, time.Second) })
		return nil
	})
	p.onStop("clocks", func(context.Context) error {
		stopTicking()
		ticks.Wait()
		return nil
	})
	return p, nil
}

// secretFor is the token that is asked for: on a loopback address none is.
func secretFor(token string, loopback bool) string {
	if loopback {
		return ""
	}
	return token
}

// secretOf reads a key, or makes one on the first start. It never leaves the directory.
func secretOf(path, of string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) == 32 {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the key of the %s: %w", of, err)
	}
	if err == nil {
		return nil, fmt.Errorf("the key of the %s %s has %d bytes and not 32: restore it from a backup", of, path, len(secret))
	}
	secret = make([]byte, 32)
	_, _ = rand.Read(secret) // never fails since Go 1.24
	if err := writeSecret(path, secret); err != nil {
		return nil, fmt.Errorf("write the key of the %s: %w", of, err)
	}
	return secret, nil
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// program is everything that runs behind the listener.
type program struct {
	router *route.Router
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
	metrics := prometheus.NewRegistry()
	db, err := catalog.Open(ctx, filepath.Join(cfg.Dir, "catalog.db"), schemas...)
	if err != nil {
		return nil, err
	}
	p.onStop("catalog", func(context.Context) error { return db.Close() })
	jobs := queue.New(db, queue.Options{Log: cfg.Log})

	// ---- lifecycle: govern
	events := govern.New(db)

	// ---- doors
	routes := route.Config{Version: cfg.Version, Hosts: cfg.Hosts, Log: cfg.Log, Metrics: metrics}
	if !loopback {
		routes.Token = token
	}
	p.router = route.New(routes)
	native.RegisterServer(p.router, native.ServerOptions{Version: cfg.Version, Metrics: metrics})
	native.RegisterEvents(p.router, events)
	native.RegisterJobs(p.router, jobs)

	// ---- start: handlers of jobs are registered by now
	p.onStart(jobs.Start)
	p.onStop("jobs", jobs.Stop)
	return p, nil
}

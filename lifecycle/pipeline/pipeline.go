// Package pipeline owns the flow from trimtab.yaml to a model version: what would change (plan), making it so (apply), and the
// building of a version, from a frame of labelled rows through recipe, learner, judgement and gate to a registered package.
//
// It must not know traffic: a finished version is handed to a Releaser.
package pipeline

import (
	"context"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Releaser brings a version to traffic. It is rollout, wired by the server.
type Releaser interface {
	ReleaseVersion(ctx context.Context, project, model string, version int, cause, force string) error
	// Configure brings what the project's file says of limits to its deployment, if it has one.
	Configure(ctx context.Context, project string) error
}

// Progress is told how far work is; total 0 means unknown.
type Progress func(done, total int64, unit, message string)

// Service builds versions. Its methods are safe for concurrent use; a project's builds are made one at a time by the queue's keys.
type Service struct {
	db       *catalog.DB
	duck     *duck.DB
	jobs     *queue.Queue
	events   *govern.Service
	projects *project.Service
	datasets *data.Service
	runs     *track.Service
	models   *registry.Service
	releaser Releaser
	workers  int
	address  string
	token    string
}

// Config is what the service is made from.
type Config struct {
	DB       *catalog.DB
	Duck     *duck.DB
	Jobs     *queue.Queue
	Events   *govern.Service
	Projects *project.Service
	Datasets *data.Service
	Runs     *track.Service
	Models   *registry.Service
	Workers  int // of a training; 0 is one per core
	// Where a program that trains finds this server, and with what token it is let in; "" = it needs none.
	Address, Token string
}

// New makes the service and registers its jobs.
func New(c Config) *Service {
	s := &Service{db: c.DB, duck: c.Duck, jobs: c.Jobs, events: c.Events, projects: c.Projects, datasets: c.Datasets, runs: c.Runs, models: c.Models, workers: c.Workers, address: c.Address, token: c.Token}
	c.Jobs.Register(ApplyJob, s.runApply)
	return s
}

// SetReleaser wires rollout, which comes after this package in the order of the house. It is called once, before jobs start.
func (s *Service) SetReleaser(r Releaser) { s.releaser = r }

// BuildRequest asks for a version of a project's model.
type BuildRequest struct {
	Project       string
	AsOf          time.Time // no label known later goes in
	Cause         string
	PermuteLabels bool   // train on shuffled labels: an alarm test
	Force         string // the reason to go on past a refusing gate
	Nonce         string // makes a build that would equal an earlier one a new one
}

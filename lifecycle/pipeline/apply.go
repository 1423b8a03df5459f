package pipeline

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// ApplyJob is the queue's name for applying a file.
const ApplyJob = "apply"

// ApplyRequest is a file to make true.
type ApplyRequest struct {
	Name   string // of the file, for messages
	Source []byte // its text
	Dir    string // the folder that its paths are relative to, on the server
	Cause  string
	Force  string    // the reason to release past a refusing gate
	At     time.Time // moves a replay clock first; zero leaves it
}

// Applied is what an apply did; it is the result of its job.
type Applied struct {
	Project  string    `json:"project"`
	Datasets []Ingest  `json:"datasets"`
	Model    string    `json:"model,omitempty"`
	Version  int       `json:"version,omitempty"`
	Trained  bool      `json:"trained"` // false: the version stood already
	Gate     string    `json:"gate,omitempty"`
	Released bool      `json:"released"`
	Note     string    `json:"note,omitempty"` // why a version that may be released is not
	Finished time.Time `json:"finished"`
}

// Ingest is one dataset's part of an apply.
type Ingest struct {
	Dataset     string `json:"dataset"`
	Number      int    `json:"number"`
	Rows        int64  `json:"rows"`
	Quarantined int64  `json:"quarantined"`
	New         bool   `json:"new"`
}

type applyArgs struct {
	Project string    `json:"project"`
	At      time.Time `json:"at"`
	Cause   string    `json:"cause"`
	Force   string    `json:"force,omitempty"`
	Actor   string    `json:"actor"`
}

// Apply stores the file as the project's and enqueues the job that makes it true. Applying the same again changes nothing.
func (s *Service) Apply(ctx context.Context, req ApplyRequest) (queue.Job, error) {
	file, err := project.ParseFile(req.Name, req.Source)
	if err != nil {
		return queue.Job{}, err
	}
	cause := req.Cause
	if cause == "" {
		cause = "apply"
	}
	var job queue.Job
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		if err := s.projects.Save(ctx, tx, &project.Project{File: file, Source: string(req.Source), Dir: req.Dir}); err != nil {
			return err
		}
		job, err = s.jobs.Enqueue(ctx, tx, queue.Enqueue{Kind: ApplyJob, Project: file.Project, Key: file.Project, Cause: cause,
			Args: applyArgs{Project: file.Project, At: req.At, Cause: cause, Force: req.Force, Actor: govern.Actor(ctx)}})
		return err
	})
	return job, err
}

func (s *Service) runApply(ctx context.Context, r *queue.Running) error {
	var a applyArgs
	if err := r.Decode(&a); err != nil {
		return err
	}
	ctx = govern.WithActor(ctx, a.Actor)
	if !a.At.IsZero() {
		if err := s.projects.Advance(ctx, a.Project, a.At); err != nil {
			return err
		}
	}
	p, err := s.projects.Get(ctx, a.Project)
	if err != nil {
		return err
	}
	out := Applied{Project: p.Name, Datasets: []Ingest{}}
	for _, name := range datasetNames(p.File) {
		v, err := s.datasets.Ingest(ctx, ingestRequest(p, name, a.Cause, s.asOf(p)), func(done, total int64, unit, message string) {
			r.Progress(done, total, unit, name+": "+message)
		})
		if err != nil {
			return err
		}
		out.Datasets = append(out.Datasets, Ingest{Dataset: name, Number: v.Number, Rows: v.Rows, Quarantined: v.Quarantined, New: v.New})
	}
	if p.File.Model != nil {
		if err := s.applyModel(ctx, p, a, &out, r); err != nil {
			return err
		}
	}
	out.Finished = s.projects.Clock(p.Name).Now()
	return r.Result(out)
}

func (s *Service) applyModel(ctx context.Context, p *project.Project, a applyArgs, out *Applied, r *queue.Running) error {
	before, err := s.models.Aliases(ctx, p.File.Model.Name)
	if err != nil {
		return err
	}
	v, err := s.Build(ctx, BuildRequest{Project: p.Name, AsOf: s.asOf(p), Cause: a.Cause, Force: a.Force}, r.Progress)
	if err != nil {
		return err
	}
	out.Model, out.Version, out.Gate = v.Model, v.Version, v.Gate.Sentence()
	out.Trained = before[registry.Candidate] != v.Version
	if a.Force == "" {
		if err := v.Gate.Refusal(v.Model, v.Version); err != nil {
			return err
		}
	}
	if p.File.Deploy == nil {
		return nil
	}
	if err := s.releaser.Configure(ctx, p.Name); err != nil {
		return err
	}
	if !out.Trained && before[registry.Champion] != 0 {
		return nil // the version stands and traffic has been decided since: applying again must not undo that
	}
	if err := v.Served(); err != nil {
		out.Note = err.Error()
		return nil
	}
	r.Progress(0, 0, "", "releasing")
	if _, err := s.models.Ready(ctx, v.Model, v.Version); fault.Is(err, fault.FormatNotServed) || fault.Is(err, fault.Unavailable) {
		out.Note = err.Error()
		return nil
	} else if err != nil {
		return err
	}
	if err := s.releaser.ReleaseVersion(ctx, p.Name, v.Model, v.Version, a.Cause, a.Force); err != nil {
		return err
	}
	out.Released = true
	return nil
}

// asOf is the project's now. A replay that has seen nothing yet knows everything in its files.
func (s *Service) asOf(p *project.Project) time.Time {
	now := s.projects.Clock(p.Name).Now()
	if now.IsZero() || now.Unix() <= 0 {
		return time.Now().UTC()
	}
	return now
}

func ingestRequest(p *project.Project, name, cause string, asOf time.Time) data.IngestRequest {
	return data.IngestRequest{Project: p.Name, Dataset: name, Spec: p.File.Data[name], Dir: p.Dir, Files: p.File.Data[name].Files, AsOf: asOf, Cause: cause}
}

func datasetNames(f *project.File) []string {
	out := make([]string, 0, len(f.Data))
	for name := range f.Data {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Plan is what an apply would change, without doing it.
type Plan struct {
	Project string   `json:"project"`
	Changes []Change `json:"changes"`
}

// Change is one line of a plan. Action is create, update or keep.
type Change struct {
	Action  string `json:"action"`
	Subject string `json:"subject"` // "dataset flights"
	Detail  string `json:"detail"`
}

// Plan compares a file with what stands.
func (s *Service) Plan(ctx context.Context, req ApplyRequest) (*Plan, error) {
	file, err := project.ParseFile(req.Name, req.Source)
	if err != nil {
		return nil, err
	}
	hash, err := file.Hash()
	if err != nil {
		return nil, err
	}
	out := &Plan{Project: file.Project, Changes: []Change{}}
	add := func(action, subject, format string, args ...any) {
		out.Changes = append(out.Changes, Change{Action: action, Subject: subject, Detail: fmt.Sprintf(format, args...)})
	}
	old, err := s.projects.Get(ctx, file.Project)
	switch {
	case fault.Is(err, fault.NotFound):
		add("create", "project "+file.Project, "new")
	case err != nil:
		return nil, err
	case old.Hash != hash:
		add("update", "project "+file.Project, "the file changed since %s", old.AppliedAt.Format(time.RFC3339))
	default:
		add("keep", "project "+file.Project, "the file is as applied")
	}
	p := &project.Project{Name: file.Project, File: file, Dir: req.Dir}
	changed := false
	for _, name := range datasetNames(file) {
		n, why, err := s.datasets.Pending(ctx, ingestRequest(p, name, "plan", time.Time{}))
		if err != nil {
			return nil, err
		}
		switch {
		case why == "":
			add("keep", "dataset "+name, "v%d holds these files", n)
		case n == 0:
			add("create", "dataset "+name, "%s", why)
			changed = true
		default:
			add("update", "dataset "+name, "%s", why)
			changed = true
		}
	}
	if file.Model == nil {
		return out, nil
	}
	return out, s.planModel(ctx, p, changed, add)
}

// whenServed is the condition on releasing what a program trains: its format is known when it has logged its model.
func whenServed(p *project.Project, word string) string {
	if p.File.Model.Train.Run == "" {
		return ""
	}
	return word + " an engine here serves the format that the program logs"
}

func (s *Service) planModel(ctx context.Context, p *project.Project, dataChanges bool, add func(action, subject, format string, args ...any)) error {
	subject := "model " + p.File.Model.Name
	deployment := "deployment " + p.Deployment()
	m, err := s.models.Model(ctx, p.File.Model.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		add("create", subject, "train v1 with %s", p.File.Model.Train.By())
		if p.File.Deploy != nil {
			add("create", deployment, "v1 answers everything"+whenServed(p, ", if"))
		}
		return nil
	case err != nil:
		return err
	}
	var standing *registry.Version
	if !dataChanges {
		src, err := s.sources(ctx, p)
		if err != nil {
			return err
		}
		key, err := buildKey(p, src, BuildRequest{})
		if err != nil {
			return err
		}
		if standing, err = s.models.ByBuild(ctx, m.Name, key); err != nil {
			return err
		}
	}
	if standing != nil {
		add("keep", subject, "v%d is made of this file and data", standing.Version)
		return nil
	}
	add("update", subject, "train v%d with %s", m.LastVersion+1, p.File.Model.Train.By())
	if p.File.Deploy != nil {
		add("update", deployment, "release v%d if its gates pass%s", m.LastVersion+1, whenServed(p, " and"))
	}
	return nil
}

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Register stores a version whose files are in the blob store already, numbers it, and moves the candidate alias to it
// unless its gate refused it. Number, digest and aliases of v are set. A version with the same build key is a conflict.
// The files show among the artifacts of the run that made the version, as folder "model".
func (s *Service) Register(ctx context.Context, tx *catalog.Tx, v *Version, at time.Time) error {
	if v.Format == "" {
		v.Format = FormatTrimtab
	}
	if err := s.link(ctx, tx, v); err != nil {
		return err
	}
	if err := s.insert(ctx, tx, v, at); err != nil {
		return err
	}
	level, message := "good", fmt.Sprintf("%s v%d registered: %s", v.Model, v.Version, v.Gate.Sentence())
	switch v.State {
	case Refused:
		level, message = "bad", fmt.Sprintf("%s v%d refused: %s", v.Model, v.Version, v.Gate.Sentence())
	case Forced:
		level, message = "attention", fmt.Sprintf("%s v%d forced past its gate: %s", v.Model, v.Version, v.Gate.Sentence())
	}
	err := s.events.Append(ctx, tx, govern.Event{At: at, Project: v.Project, Kind: "version." + v.State, Subject: subject(v.Model, v.Version), Actor: v.Actor, Level: level,
		Message: message, Data: map[string]any{"model": v.Model, "version": v.Version, "metrics": v.Metrics, "cause": v.Cause, "rows": v.Training.FitRows, "run_id": v.RunID, "source": v.Source}})
	if err != nil {
		return err
	}
	if v.State == Refused {
		return nil
	}
	return s.SetAlias(ctx, tx, v.Project, v.Model, Candidate, v.Version, at, "registered")
}

// link makes the files of a version readable as artifacts: under the version's digest for ever, and in the run.
func (s *Service) link(ctx context.Context, tx *catalog.Tx, v *Version) error {
	if len(v.Files) == 0 {
		return nil
	}
	files := make([]track.Artifact, len(v.Files))
	for i, f := range v.Files {
		files[i] = track.Artifact{Path: f.Path, Blob: f.Blob, Size: f.Size, ModifiedAt: time.Now().UTC()}
	}
	root := snapshots + v.Digest
	if err := s.artifacts.LinkArtifacts(ctx, tx, root, files); err != nil {
		return err
	}
	v.Location = artifactScheme + root
	if v.Source != "" || v.RunID == "" {
		return nil
	}
	run, err := s.runs.Get(ctx, v.RunID)
	if err != nil {
		return err
	}
	path, ours := artifactPath(run.ArtifactURI)
	if !ours {
		v.Source = v.Location
		return nil
	}
	v.Source = run.ArtifactURI + "/model"
	return s.artifacts.LinkArtifacts(ctx, tx, path+"/model", files)
}

// NewVersion is a version to be registered by where its files are.
type NewVersion struct {
	Model       string
	Source      string // runs:/…, models:/…, mlflow-artifacts:/…, or a place outside of our store
	RunID       string
	RunLink     string
	ModelID     string // the logged model that Source is
	Description string
	Tags        []track.Tag
}

// CreateVersion registers the files at a source as the next version of a model. The list of files is taken now, without
// copying a byte: what happens to the run or the logged model later does not change the version.
func (s *Service) CreateVersion(ctx context.Context, n NewVersion) (*Version, error) {
	if err := checkModelName(n.Model); err != nil {
		return nil, err
	}
	tags, err := checkTags(n.Tags)
	if err != nil {
		return nil, err
	}
	m, err := s.find(ctx, s.db.Read(), n.Model)
	if err != nil {
		return nil, err
	}
	from := origin{source: n.Source, run: n.RunID, model: n.ModelID}
	if m.Tags[IsPrompt] != "true" && tags[IsPrompt] != "true" {
		if from, err = s.resolve(ctx, n); err != nil {
			return nil, err
		}
	}
	v := &Version{Model: n.Model, Project: m.Project, State: Registered, Cause: "registered from " + from.source, Actor: govern.Actor(ctx), Source: from.source,
		RunID: from.run, ModelID: from.model, RunLink: n.RunLink, Description: n.Description, Tags: tags, Format: FormatExternal,
		BuildKey: "registered:" + id.New(), Location: from.location, AsOf: time.Now().UTC()}
	if err := s.snapshot(ctx, v, from); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		if _, err := s.find(ctx, tx, n.Model); err != nil {
			return err // deleted or renamed meanwhile
		}
		if err := s.link(ctx, tx, v); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, v, time.Now().UTC()); err != nil {
			return err
		}
		return s.events.Append(ctx, tx, govern.Event{Project: v.Project, Kind: "version.registered", Subject: subject(v.Model, v.Version), Level: govern.Info,
			Message: fmt.Sprintf("%s v%d registered from %s", v.Model, v.Version, v.Source),
			Data:    map[string]any{"model": v.Model, "version": v.Version, "source": v.Source, "run_id": v.RunID, "description": v.Description, "tags": v.Tags, "format": v.Format}})
	})
	if err != nil {
		return nil, err
	}
	if from.model != "" {
		if err := s.nameOnModel(ctx, from.model, v); err != nil {
			return nil, err
		}
	}
	return s.Get(ctx, v.Model, v.Version)
}

// modelVersions is the tag in which MLflow's clients look for the versions that a logged model became.
const modelVersions = "mlflow.modelVersions"

// nameOnModel adds a version to that tag.
func (s *Service) nameOnModel(ctx context.Context, model string, v *Version) error {
	logged, err := s.runs.LoggedModel(ctx, model, false)
	if err != nil {
		return err
	}
	type named struct {
		Name    string `json:"name"`
		Version any    `json:"version"`
	}
	list := []named{}
	at := slices.IndexFunc(logged.Tags, func(t track.Tag) bool { return t.Key == modelVersions })
	if at >= 0 {
		if err := json.Unmarshal([]byte(logged.Tags[at].Value), &list); err != nil {
			list = nil // somebody wrote the tag by hand: it is replaced
		}
	}
	doc, err := json.Marshal(append(list, named{Name: v.Model, Version: v.Version}))
	if err != nil {
		return fmt.Errorf("encode tag: %w", err)
	}
	_, err = s.runs.SetLoggedModelTags(ctx, model, []track.Tag{{Key: modelVersions, Value: string(doc)}})
	return err
}

// ForceVersion marks a version that its gate or its load certificate refused as forced, with the reason, so that it may be released. It is
// audited.
func (s *Service) ForceVersion(ctx context.Context, tx *catalog.Tx, model string, version int, at time.Time, reason string) error {
	if reason == "" {
		return fault.New(fault.Invalid, "forcing %s v%d past its gate needs a reason", model, version).WithHint("give --reason TEXT")
	}
	v, err := s.get(ctx, tx, model, version)
	if err != nil {
		return err
	}
	if v.Certificate.Refuses() {
		if err := s.forced(ctx, tx, v, at, reason); err != nil {
			return err
		}
	}
	if v.State != Refused {
		return nil
	}
	v.State = Forced
	v.Gate.Forced = &Force{Actor: govern.Actor(ctx), Reason: reason, At: at}
	if err := s.storeDocument(ctx, tx, v); err != nil {
		return err
	}
	return s.events.Append(ctx, tx, govern.Event{At: at, Project: v.Project, Kind: "version.forced", Subject: subject(model, version), Actor: govern.Actor(ctx), Level: "attention",
		Message: fmt.Sprintf("%s v%d forced past its gate: %s", model, version, reason), Data: map[string]any{"model": model, "version": version, "reason": reason}})
}

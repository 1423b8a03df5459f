package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

const (
	artifactScheme = "mlflow-artifacts:/"
	snapshots      = "versions/" // where artifact trees live that never change
)

// origin is what a source turned out to be.
type origin struct {
	source   string // as it is shown
	location string // where the files lie; mlflow-artifacts:/… when in our store
	run      string // of which run, when known
	model    string // of which logged model, when known
}

func badSource(source, why string) error {
	return fault.New(fault.Invalid, "Invalid model version source: '%s'. %s", source, why)
}

func badParent(source, parameter string) error {
	return badSource(source, "The "+parameter+" request parameter must identify the resource that contains the source.")
}

// resolve checks a source as MLflow does (a caller may only register what lies under the run or the logged model it
// names) and finds the place of its files.
func (s *Service) resolve(ctx context.Context, n NewVersion) (origin, error) {
	o := origin{source: n.Source, run: n.RunID, model: n.ModelID}
	if err := checkSourcePath(n.Source); err != nil {
		return o, err
	}
	scheme, rest, _ := strings.Cut(n.Source, ":")
	switch {
	case scheme == "models" && strings.Contains(n.Source, ":"):
		return s.resolveModels(ctx, o, rest)
	case scheme == "runs" && strings.Contains(n.Source, ":"):
		return s.resolveRuns(ctx, o, rest)
	case local(n.Source):
		parent, err := s.parent(ctx, o)
		if err != nil {
			return o, err
		}
		if parent == "" || !local(parent) || !within(n.Source, parent) {
			name := "run_id"
			if n.ModelID != "" {
				name = "model_id"
			}
			return o, badSource(n.Source, "To use a local path as a model version source, the "+name+" request parameter has to be specified and the local path has to be contained within the artifact directory of the run specified by the "+name+".")
		}
		o.location = n.Source
		return o, nil
	}
	if location, ours := proxied(n.Source); ours {
		parent, err := s.parent(ctx, o)
		if err != nil {
			return o, err
		}
		if parent == "" || !within(location, parent) {
			if n.ModelID != "" {
				return o, badParent(n.Source, "model_id")
			}
			return o, badParent(n.Source, "run_id")
		}
		o.location = location
		return o, nil
	}
	switch kind := strings.ToLower(scheme); kind {
	case "http", "https", "ftp", "sftp": // whoever loads the version would be sent to a host that the caller chose
		return o, fault.New(fault.Invalid, "'source' cannot use the '%s' scheme: the '%s' scheme addresses a host other than the tracking server's configured artifact storage", kind, kind).
			WithHint("log the model to a run, or name a place in an object store")
	}
	o.location = n.Source
	return o, nil
}

// parent is where the artifacts of the named logged model, or else of the named run, lie; "" when none is named.
func (s *Service) parent(ctx context.Context, o origin) (string, error) {
	switch {
	case o.model != "":
		m, err := s.runs.LoggedModel(ctx, o.model, false)
		if fault.Is(err, fault.NotFound) {
			return "", badParent(o.source, "model_id")
		}
		if err != nil {
			return "", err
		}
		return m.ArtifactURI, nil
	case o.run != "":
		r, err := s.runs.Get(ctx, o.run)
		if fault.Is(err, fault.NotFound) {
			return "", badParent(o.source, "run_id")
		}
		if err != nil {
			return "", err
		}
		return r.ArtifactURI, nil
	}
	return "", nil
}

var loggedModelForm = regexp.MustCompile(`^m-[0-9a-zA-Z_-]+$`)

// resolveModels follows models:/m-… to a logged model, and models:/name/version (or @alias, or a stage) to a version.
func (s *Service) resolveModels(ctx context.Context, o origin, rest string) (origin, error) {
	if strings.HasPrefix(rest, "//") {
		return o, badSource(o.source, "Registered model sources must use the active model registry.")
	}
	name := strings.Trim(rest, "/")
	if loggedModelForm.MatchString(name) {
		if o.model != name {
			return o, badParent(o.source, "model_id")
		}
		m, err := s.runs.LoggedModel(ctx, name, false)
		if fault.Is(err, fault.NotFound) {
			return o, badParent(o.source, "model_id")
		}
		if err != nil {
			return o, err
		}
		o.location = m.ArtifactURI
		if o.run == "" {
			o.run = m.SourceRunID
		}
		return o, nil
	}
	v, err := s.byURI(ctx, o.source, name)
	if err != nil {
		return o, err
	}
	if (o.run != "" && o.run != v.RunID) || (o.model != "" && o.model != v.ModelID) {
		return o, badSource(o.source, "The run_id and model_id request parameters must match the referenced model version.")
	}
	o.source = fmt.Sprintf("models:/%s/%d", v.Model, v.Version)
	o.run, o.model, o.location = v.RunID, v.ModelID, v.Location
	if o.location == "" {
		o.location = v.Source
	}
	return o, nil
}

// byURI finds the version that name/3, name/Production, name/latest or name@alias means.
func (s *Service) byURI(ctx context.Context, source, name string) (*Version, error) {
	if model, alias, ok := strings.Cut(name, "@"); ok {
		return s.ByAlias(ctx, model, alias)
	}
	model, which, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(which, "/") {
		return nil, badParent(source, "model_id")
	}
	if number, err := ParseVersion(which); err == nil {
		return s.Get(ctx, model, number)
	}
	if strings.EqualFold(which, "latest") {
		return s.ByAlias(ctx, model, which)
	}
	vs, err := s.LatestVersions(ctx, model, []string{which})
	if err != nil {
		return nil, err
	}
	if len(vs) == 0 {
		return nil, fault.New(fault.NotFound, "model %s has no version in stage %s", model, which)
	}
	return vs[0], nil
}

// resolveRuns follows runs:/id/path. A logged model of that name stands in for files that are not in the run itself.
func (s *Service) resolveRuns(ctx context.Context, o origin, rest string) (origin, error) {
	id, folder, _ := strings.Cut(strings.Trim(rest, "/"), "/")
	if strings.HasPrefix(rest, "//") || o.run == "" || id != o.run || o.model != "" {
		return o, badParent(o.source, "run_id")
	}
	r, err := s.runs.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return o, badParent(o.source, "run_id")
	}
	if err != nil {
		return o, err
	}
	o.location = strings.TrimSuffix(r.ArtifactURI+"/"+folder, "/")
	p, ours := artifactPath(o.location)
	if !ours {
		return o, nil
	}
	files, err := s.artifacts.Tree(ctx, p)
	if err != nil {
		return o, err
	}
	if len(files) == 0 {
		named, _, err := s.runs.SearchLoggedModels(ctx, track.ModelSearch{Experiments: []string{r.ExperimentID}, MaxResults: 1,
			Filter: "source_run_id = " + literal(id) + " AND name = " + literal(folder)})
		if err != nil {
			return o, err
		}
		if len(named) > 0 {
			o.location = named[0].ArtifactURI
		}
	}
	return o, nil
}

// literal quotes a text for a filter; one with a quote in it can name no model and finds nothing.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "") + "'" }

// snapshot lists the files at the origin in our store, stores the list, and looks what they are.
func (s *Service) snapshot(ctx context.Context, v *Version, o origin) error {
	p, ours := artifactPath(o.location)
	if !ours {
		return nil
	}
	tree, err := s.artifacts.Tree(ctx, p)
	if err != nil || len(tree) == 0 {
		return err
	}
	for _, a := range tree {
		v.Files = append(v.Files, File{Path: a.Path, Blob: a.Blob, Size: a.Size})
	}
	if v.Digest, err = s.manifest(ctx, v.Files); err != nil {
		return err
	}
	if v.Format, err = s.format(ctx, v.Files); err != nil {
		return err
	}
	if v.Format == FormatTrimtab {
		return s.describe(ctx, v)
	}
	return s.glance(ctx, v)
}

// glance examines a version that needs no process of its own, which takes a moment. The others are examined when they are first asked for:
// whoever registers a version does not wait for an environment to be made.
func (s *Service) glance(ctx context.Context, v *Version) error {
	c, _, err := s.look(ctx, v.Files, "")
	if err != nil || c.exchange == "" && c.graph == "" {
		return nil // it is kept all the same; who wants it served is told then
	}
	here := *v
	here.Options = &RunOptions{}
	p, err := s.examineHere(ctx, &here)
	if err != nil {
		return nil // the same
	}
	defer p.Close()
	v.Format, v.Signature, v.Threshold, v.Serving, v.Certificate = here.Format, here.Signature, here.Threshold, here.Serving, here.Certificate
	return nil
}

// describe reads what a package of our own says about itself. One that cannot be read is registered as plain files.
func (s *Service) describe(ctx context.Context, v *Version) error {
	ev := Evaluation{}
	for name, into := range map[string]any{fileSignature: &v.Signature, fileEvaluation: &ev} {
		at := slices.IndexFunc(v.Files, func(f File) bool { return f.Path == name })
		if at < 0 {
			v.Format, v.Signature = formatFiles, Signature{}
			return nil
		}
		if v.Files[at].Size > maxMLmodel {
			return fault.New(fault.TooLarge, "%s has %d bytes, more than %d", name, v.Files[at].Size, maxMLmodel)
		}
		data, err := blob.ReadAll(ctx, s.blobs, v.Files[at].Blob)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if json.Unmarshal(data, into) != nil {
			v.Format, v.Signature = formatFiles, Signature{}
			return nil
		}
	}
	v.Threshold, v.Metrics = ev.Threshold, map[string]float64{}
	for name, m := range ev.Metrics {
		v.Metrics[name] = m.Value
	}
	return nil
}

// format is what the files are, by their names, by MLmodel, and by the first bytes of a lone model file.
func (s *Service) format(ctx context.Context, files []File) (string, error) {
	c, _, err := s.look(ctx, files, "")
	if fault.Is(err, fault.FormatNotServed) {
		return c.format, nil // a file that its description names is not there, or is too large
	}
	return c.format, err
}

// maxMLmodel bounds a description: it may hold a signature of thousands of columns.
const maxMLmodel = 16 << 20

// artifactPath is the path in our store of an address in it.
func artifactPath(location string) (string, bool) {
	rest, ok := strings.CutPrefix(location, artifactScheme)
	if !ok {
		return "", false
	}
	if strings.HasPrefix(rest, "/") { // mlflow-artifacts://host/path names this server by its host
		_, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	}
	return strings.Trim(rest, "/"), true
}

// proxied turns the address of an artifact by way of this server's HTTP proxy into its address in the store.
func proxied(source string) (string, bool) {
	if _, ok := artifactPath(source); ok {
		return source, true
	}
	u, err := url.Parse(source)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return "", false
	}
	const route = "/api/2.0/mlflow-artifacts/artifacts/"
	if _, rest, ok := strings.Cut(u.Path, route); ok {
		return artifactScheme + rest, true
	}
	return "", false
}

// within tells whether an address lies in a folder, after all escapes are undone.
func within(address, folder string) bool {
	a, f := strings.TrimRight(unescape(address), "/"), strings.TrimRight(unescape(folder), "/")
	if p, ok := artifactPath(a); ok {
		a = artifactScheme + p
	}
	if p, ok := artifactPath(f); ok {
		f = artifactScheme + p
	}
	return f != "" && (a == f || strings.HasPrefix(a, f+"/"))
}

func unescape(text string) string {
	for range 8 {
		next, err := url.QueryUnescape(text)
		if err != nil || next == text {
			break
		}
		text = next
	}
	return text
}

// local tells whether a source names a place on a disk.
func local(source string) bool {
	scheme, _, ok := strings.Cut(source, ":")
	return !ok || strings.EqualFold(scheme, "file") || strings.Contains(scheme, "/")
}

// checkSourcePath refuses paths that would leave where they point to, however they are escaped.
func checkSourcePath(source string) error {
	plain := unescape(source)
	if strings.ContainsRune(plain, 0) || slices.Contains(strings.FieldsFunc(plain, func(r rune) bool { return r == '/' || r == '\\' }), "..") {
		return badSource(source, "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references present. Please provide an absolute path.")
	}
	return nil
}

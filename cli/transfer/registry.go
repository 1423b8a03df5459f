package transfer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var (
	loggedModelURI  = regexp.MustCompile(`^models:/(m-[0-9A-Za-z_-]+)/?$`)
	loggedModelPath = regexp.MustCompile(`/models/(m-[0-9A-Za-z_-]+)/artifacts(/.*)?$`)
	noModelName     = strings.NewReplacer("/", "-", ":", "-", ".", "-", "%", "-", `"`, "-", "'", "-")
)

const elsewhere = "its run is in an experiment that was not asked for"

// registry moves models, versions and aliases.
func (c *copier) registry(ctx context.Context, models []Model, jobs []*work) error {
	list, err := c.to.Models(ctx)
	if err != nil {
		return fmt.Errorf("read the registry of %s: %w", c.to.Address(), err)
	}
	had := map[string]*Model{}
	for i := range list {
		had[list[i].Name] = &list[i]
	}
	for i := range models {
		if err := c.model(ctx, &models[i], had[models[i].Name], jobs); err != nil {
			return fmt.Errorf("model %s: %w", models[i].Name, err)
		}
	}
	return nil
}

func (c *copier) model(ctx context.Context, m, had *Model, jobs []*work) error {
	var versions []Version
	for _, v := range m.Versions {
		if len(c.Experiments) > 0 && !c.chosen(&v) {
			c.leave(Left{"version", fmt.Sprintf("%s v%d", m.Name, v.Number), 1, elsewhere})
			c.step(1, m.Name)
			continue
		}
		versions = append(versions, v)
	}
	if len(c.Experiments) > 0 && len(versions) == 0 {
		return nil
	}
	out := *m
	out.Tags = mapsWithout(m.Tags)
	if had == nil || had.Tags[TagFrom] != "" {
		out.Tags[TagFrom] = c.from.Address()
	}
	if !c.DryRun {
		err := c.to.PutModel(ctx, &out, had)
		if fault.Is(err, fault.Invalid) {
			c.leave(Left{"model", m.Name, int64(len(versions)), err.Error()})
			return nil
		}
		if err != nil {
			return err
		}
	}
	last := 0
	mine := map[int]*Version{}
	if had != nil {
		c.report.Present.Models++
		for i := range had.Versions {
			v := &had.Versions[i]
			if id := v.Tags[TagID]; v.Tags[TagFrom] == c.from.Address() && id != versionID(m.Name, v.Number) && !c.DryRun {
				if err := c.to.DeleteVersion(ctx, m.Name, v.Number); err != nil { // a transfer ended while it counted up to a number
					return err
				}
			} else {
				mine[v.Number] = v
			}
			last = max(last, v.Number)
		}
	} else {
		c.report.Taken.Models++
	}
	there := map[int]bool{}
	end := Model{Name: m.Name}
	touched := had == nil || m.UpdatedAt > had.UpdatedAt || !holds(had.Tags, out.Tags)
	for i := range versions {
		v := &versions[i]
		ok, changed, err := c.version(ctx, &out, v, mine[v.Number], last, jobs)
		if err != nil {
			return fmt.Errorf("version %d: %w", v.Number, err)
		}
		if ok {
			there[v.Number] = true
			last = max(last, v.Number)
			// One that was dated otherwise came in a transfer that ended early.
			if old := mine[v.Number]; changed || v.CreatedAt != 0 && old.CreatedAt != v.CreatedAt || old.User != v.User {
				end.Versions = append(end.Versions, *v)
				touched = touched || changed
			}
		}
		c.step(1, m.Name)
	}
	for _, alias := range sortedKeys(m.Aliases) {
		number := m.Aliases[alias]
		switch {
		case !there[number]:
			c.leave(Left{"alias", m.Name + "@" + alias, 1, fmt.Sprintf("version %d is not there", number)})
		case had != nil && had.Aliases[alias] == number:
			c.report.Present.Aliases++
		default:
			c.report.Taken.Aliases++
			if c.DryRun {
				continue
			}
			if err := c.to.SetAlias(ctx, m.Name, alias, number); err != nil {
				return fmt.Errorf("alias %s: %w", alias, err)
			}
			touched = true
		}
	}
	if out.Tags[TagFrom] != "" && (touched || had.CreatedAt != m.CreatedAt) {
		end.CreatedAt, end.UpdatedAt = m.CreatedAt, m.UpdatedAt
	}
	if c.DryRun || end.CreatedAt == 0 && len(end.Versions) == 0 {
		return nil
	}
	return c.to.EndModel(ctx, &end)
}

// holds tells that tags are among others.
func holds(had, tags map[string]string) bool {
	for key, value := range tags {
		if old, ok := had[key]; !ok || old != value {
			return false
		}
	}
	return true
}

func versionID(model string, number int) string { return model + "/" + strconv.Itoa(number) }

// chosen tells that a version belongs to a run or logged model that was taken.
func (c *copier) chosen(v *Version) bool {
	_, run := c.files[v.Run]
	_, model := c.files[loggedModelOf(v)]
	return run || model
}

// loggedModelOf is the id of the logged model that a version is, "" = none.
func loggedModelOf(v *Version) string {
	if v.LoggedModel != "" {
		return v.LoggedModel
	}
	if found := loggedModelURI.FindStringSubmatch(v.Source); found != nil {
		return found[1]
	}
	return ""
}

// version moves one: whether the sink has it now, and whether it was made or changed.
func (c *copier) version(ctx context.Context, m *Model, v, had *Version, last int, jobs []*work) (there, changed bool, err error) {
	name := fmt.Sprintf("%s v%d", m.Name, v.Number)
	digest := digestVersion(v)
	out := *v
	out.Tags = mapsWithout(v.Tags)
	out.Tags[TagFrom], out.Tags[TagID], out.Tags[TagDigest] = c.from.Address(), versionID(m.Name, v.Number), digest
	switch {
	case had != nil && (had.Tags[TagID] == "" || had.Tags[TagFrom] != c.from.Address() && had.Run != c.runs[v.Run].ID):
		c.leave(Left{"version", name, 1, "the target has a version of this number that came from somewhere else"})
		return false, false, nil
	case had != nil && had.Tags[TagDigest] == digest && sameStage(had.Stage, v.Stage):
		c.report.Present.Versions++
		return true, false, nil
	case had == nil && v.Number <= last:
		c.leave(Left{"version", name, 1, "the target has used this number already"})
		return false, false, nil
	}
	c.report.Taken.Versions++
	if c.DryRun {
		return true, true, nil
	}
	if had != nil {
		return true, true, c.to.ChangeVersion(ctx, m, &out, had)
	}
	why, err := c.place(ctx, m, v, &out, jobs)
	if err == nil && why == "" {
		if err = c.to.PutVersion(ctx, m, &out, last); fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
			why, err = err.Error(), nil
		}
	}
	if err != nil || why != "" {
		c.report.Taken.Versions--
		if why != "" {
			c.leave(Left{"version", name, 1, why})
		}
		return false, false, err
	}
	return true, true, nil
}

func sameStage(a, b string) bool {
	none := func(s string) bool { return s == "" || s == stageNone }
	return a == b || none(a) && none(b)
}

// place says where the files of a version are in the sink: in the run or the logged model that they are in in the source, or where they
// were when no transfer reads them, or else in a logged model that is made for them.
func (c *copier) place(ctx context.Context, m *Model, v, out *Version, jobs []*work) (string, error) {
	out.Run = c.runs[v.Run].ID
	out.LoggedModel = ""
	if id := loggedModelOf(v); id != "" {
		if k, ok := c.models[id]; ok {
			out.LoggedModel = k.ID
			if below, ok := under(v.Source, c.files[id]); ok {
				out.Source = strings.TrimSuffix(k.Files+"/"+below, "/")
			} else {
				out.Source = "models:/" + k.ID
			}
			return "", nil
		}
	}
	if found := loggedModelPath.FindStringSubmatch(v.Source); found != nil {
		if k, ok := c.models[found[1]]; ok {
			out.LoggedModel, out.Source = k.ID, k.Files+found[2]
			return "", nil
		}
	}
	if below, ok := strings.CutPrefix(v.Source, "runs:/"); ok {
		id, folder, _ := strings.Cut(strings.TrimLeft(below, "/"), "/")
		if k, ok := c.runs[id]; ok {
			out.Run, out.Source = k.ID, "runs:/"+path.Join(k.ID, folder)
			return "", nil
		}
	}
	if k, ok := c.runs[v.Run]; ok && k.Files != "" {
		if below, ok := under(v.Source, c.files[v.Run]); ok {
			out.Source = strings.TrimSuffix(k.Files+"/"+below, "/")
			return "", nil
		}
	}
	uri := v.Files
	if s, ok := c.from.(*Server); ok && uri == "" {
		var err error
		if uri, err = s.VersionFiles(ctx, m.Name, v.Number); err != nil {
			return err.Error(), nil
		}
	}
	if uri == "" {
		uri = v.Source
	}
	if scheme, _, ok := strings.Cut(uri, ":"); ok && !slices.Contains([]string{"file", "mlflow-artifacts", "models", "runs", "http", "https"}, scheme) && !strings.Contains(scheme, "/") {
		out.Source = uri
		c.leave(Left{"files", fmt.Sprintf("%s v%d: %s", m.Name, v.Number, uri), 1, "they are in " + scheme + " storage, which is not read: they stay there"})
		return "", nil
	}
	return c.orphan(ctx, m, v, out, uri, jobs)
}

// under is the rest of a path below a folder.
func under(uri, folder string) (string, bool) {
	a, _ := localPath(uri)
	f, _ := localPath(folder)
	if a == "" {
		a = uri
	}
	if f == "" {
		f = folder
	}
	f = strings.TrimRight(f, "/")
	if folder == "" || (a != f && !strings.HasPrefix(a, f+"/")) {
		return "", false
	}
	return strings.Trim(strings.TrimPrefix(a, f), "/"), true
}

// orphan makes a logged model of files that belong to no run that was taken, and the version of it.
func (c *copier) orphan(ctx context.Context, m *Model, v, out *Version, uri string, jobs []*work) (string, error) {
	place, why := c.from.Place(uri)
	if place == nil {
		return "its files cannot be read: " + why, nil
	}
	if len(jobs) == 0 {
		return "there is no experiment for its files", nil
	}
	files, why, err := c.list(ctx, uri)
	if err != nil {
		return "", err
	}
	if why != "" || len(files) == 0 {
		return "its files are not at " + uri, nil
	}
	sum := sha256.Sum256([]byte(c.from.Address() + "\n" + versionID(m.Name, v.Number)))
	model := LoggedModel{ID: fmt.Sprintf("m-%x", sum[:16]), Name: noModelName.Replace(m.Name), Run: v.Run, Status: "LOGGED_MODEL_READY", Files: uri, CreatedAt: v.CreatedAt}
	if _, there := c.models[model.ID]; !there {
		if err := c.loggedModel(ctx, jobs[0].to, &model); err != nil {
			return "", err
		}
	}
	out.LoggedModel = c.models[model.ID].ID
	out.Source = "models:/" + out.LoggedModel
	return "", nil
}

func digestVersion(v *Version) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", v.Description, v.Source, v.Run, v.Stage)
	writeMap(h, mapsWithout(v.Tags))
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

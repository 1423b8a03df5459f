package mlflow

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

var jsonType = []string{"application/json"}

// flushAt is how many bytes of an answer are held before they are sent.
const flushAt = 64 << 10

// out writes JSON by appending. Long answers go to w piece by piece, so that memory does not grow with them.
type out struct {
	b    []byte
	w    http.ResponseWriter // nil = nothing is sent before the end
	sent bool
	last byte // before b, when something was sent
}

// element begins a value: it sets the comma after the one before.
func (o *out) element() {
	last := o.last
	if len(o.b) > 0 {
		last = o.b[len(o.b)-1]
	}
	switch last {
	case 0, '{', '[', ':':
	default:
		o.b = append(o.b, ',')
	}
}

func (o *out) key(name string) {
	o.element()
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *out) open(bracket byte) {
	o.element()
	o.b = append(o.b, bracket)
}

func (o *out) close(bracket byte) { o.b = append(o.b, bracket) }

// object and list begin a value with a name.
func (o *out) object(name string) {
	o.key(name)
	o.b = append(o.b, '{')
}

func (o *out) list(name string) {
	o.key(name)
	o.b = append(o.b, '[')
}

func (o *out) text(name, value string) {
	o.key(name)
	o.b = appendText(o.b, value)
}

// optional leaves an empty text out.
func (o *out) optional(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *out) int(name string, value int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *out) bool(name string, value bool) {
	o.key(name)
	o.b = strconv.AppendBool(o.b, value)
}

func (o *out) float(name string, value float64) {
	o.key(name)
	o.b = appendFloat(o.b, value)
}

func (o *out) millis(name string, at time.Time) {
	if at.IsZero() {
		o.int(name, 0)
		return
	}
	o.int(name, at.UnixMilli())
}

// flush sends what is held when that is much.
func (o *out) flush() {
	if o.w == nil || len(o.b) < flushAt {
		return
	}
	o.sent, o.last = true, o.b[len(o.b)-1]
	o.w.Header()["Content-Type"] = jsonType
	_, _ = o.w.Write(o.b) // a client that left is noticed by the server
	o.b = o.b[:0]
}

// appendFloat writes the shortest number that reads back as value, always as a floating one; JSON's missing ones are texts.
func appendFloat(b []byte, value float64) []byte {
	switch {
	case math.IsNaN(value):
		return append(b, `"NaN"`...)
	case math.IsInf(value, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(value, -1):
		return append(b, `"-Infinity"`...)
	}
	start := len(b)
	form := byte('f')
	if abs := math.Abs(value); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		form = 'e'
	}
	b = strconv.AppendFloat(b, value, form, -1, 64)
	if form == 'f' && !slices.Contains(b[start:], '.') {
		b = append(b, '.', '0')
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string. What is not UTF-8 becomes U+FFFD.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, "\uFFFD"...)
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// sorted are the keys of a map in order, in memory that is used again.
func sorted[V any](keys []string, m map[string]V) []string {
	keys = slices.AppendSeq(keys[:0], maps.Keys(m))
	slices.Sort(keys)
	return keys
}

// pairs writes a list of keys and values, and nothing when there are none.
func (o *out) pairs(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	var space [32]string
	o.list(name)
	for _, key := range sorted(space[:0], m) {
		o.open('{')
		o.text("key", key)
		o.text("value", m[key])
		o.close('}')
	}
	o.close(']')
}

func (o *out) experiment(e *track.Experiment) {
	o.text("experiment_id", e.ID)
	o.text("name", e.Name)
	o.text("artifact_location", e.ArtifactRoot)
	o.text("lifecycle_stage", e.Stage)
	o.millis("last_update_time", e.UpdatedAt)
	o.millis("creation_time", e.CreatedAt)
	o.pairs("tags", e.Tags)
	o.text("workspace", "default")
}

var stateNames = map[string]string{track.Running: "RUNNING", track.Scheduled: "SCHEDULED", track.Finished: "FINISHED", track.Failed: "FAILED", track.Killed: "KILLED"}

func (o *out) runInfo(r *track.Run) {
	o.text("run_uuid", r.ID)
	o.text("experiment_id", r.ExperimentID)
	o.text("run_name", r.Name)
	o.text("user_id", r.User)
	o.text("status", stateNames[r.State])
	o.millis("start_time", r.StartedAt)
	if r.FinishedAt != nil {
		o.millis("end_time", *r.FinishedAt)
	}
	o.text("artifact_uri", r.ArtifactURI)
	o.text("lifecycle_stage", r.Stage)
	o.text("run_id", r.ID)
}

func (o *out) metric(m *track.Metric) {
	o.text("key", m.Key)
	o.float("value", m.Value)
	o.int("timestamp", m.At)
	o.int("step", m.Step)
}

// run writes a run. A new one has no outputs yet, and says so by leaving them out.
func (o *out) run(r *track.Run, outputs bool) {
	o.object("info")
	o.runInfo(r)
	o.close('}')
	o.object("data")
	var space [64]string
	if len(r.Metrics) > 0 {
		o.list("metrics")
		for _, key := range sorted(space[:0], r.Metrics) {
			m, ok := r.Latest[key]
			if !ok {
				m = track.Metric{Value: r.Metrics[key]}
			}
			m.Key = key
			o.open('{')
			o.metric(&m)
			o.close('}')
		}
		o.close(']')
	}
	o.pairs("params", r.Params)
	o.pairs("tags", r.Tags)
	o.close('}')
	o.object("inputs")
	o.inputs(r)
	o.close('}')
	if !outputs {
		return
	}
	o.object("outputs")
	if len(r.ModelOutputs) > 0 {
		o.list("model_outputs")
		for _, m := range r.ModelOutputs {
			o.open('{')
			o.text("model_id", m.ModelID)
			o.int("step", m.Step)
			o.close('}')
		}
		o.close(']')
	}
	o.close('}')
}

func (o *out) inputs(r *track.Run) {
	if len(r.Datasets) > 0 {
		o.list("dataset_inputs")
		for _, in := range r.Datasets {
			o.open('{')
			o.tags("tags", in.Tags)
			o.object("dataset")
			o.text("name", in.Dataset.Name)
			o.text("digest", in.Dataset.Digest)
			o.text("source_type", in.Dataset.SourceType)
			o.text("source", in.Dataset.Source)
			o.optional("schema", in.Dataset.Schema)
			o.optional("profile", in.Dataset.Profile)
			o.close('}')
			o.close('}')
		}
		o.close(']')
	}
	if len(r.ModelInputs) > 0 {
		o.list("model_inputs")
		for _, m := range r.ModelInputs {
			o.open('{')
			o.text("model_id", m.ModelID)
			o.close('}')
		}
		o.close(']')
	}
}

func (o *out) tags(name string, tags []track.Tag) {
	if len(tags) == 0 {
		return
	}
	o.list(name)
	for _, t := range tags {
		o.open('{')
		o.text("key", t.Key)
		o.text("value", t.Value)
		o.close('}')
	}
	o.close(']')
}

// files writes a list of artifacts; under is put before their names.
func (o *out) files(files []track.Artifact, under string) {
	if len(files) == 0 {
		return
	}
	if under != "" {
		under += "/"
	}
	o.list("files")
	for i := range files {
		o.open('{')
		o.text("path", under+files[i].Path)
		o.bool("is_dir", files[i].Dir)
		if !files[i].Dir {
			o.int("file_size", files[i].Size)
		}
		o.close('}')
		o.flush()
	}
	o.close(']')
}

var loggedStates = map[string]string{track.ModelPending: "LOGGED_MODEL_PENDING", track.ModelReady: "LOGGED_MODEL_READY", track.ModelFailed: "LOGGED_MODEL_UPLOAD_FAILED"}

func (o *out) loggedModel(m *track.LoggedModel) {
	o.object("info")
	o.text("model_id", m.ID)
	o.text("experiment_id", m.ExperimentID)
	o.text("name", m.Name)
	o.millis("creation_timestamp_ms", m.CreatedAt)
	o.millis("last_updated_timestamp_ms", m.UpdatedAt)
	o.text("artifact_uri", m.ArtifactURI)
	o.text("status", loggedStates[m.Status])
	o.text("model_type", m.ModelType)
	o.text("source_run_id", m.SourceRunID)
	o.optional("status_message", m.StatusMessage)
	o.tags("tags", m.Tags)
	o.close('}')
	o.object("data")
	if len(m.Params) > 0 {
		o.list("params")
		for _, p := range m.Params {
			o.open('{')
			o.text("key", p.Key)
			o.text("value", p.Value)
			o.close('}')
		}
		o.close(']')
	}
	if len(m.Metrics) > 0 {
		o.list("metrics")
		for i := range m.Metrics {
			metric := &m.Metrics[i]
			o.open('{')
			o.metric(&metric.Metric)
			o.optional("dataset_name", metric.DatasetName)
			o.optional("dataset_digest", metric.DatasetDigest)
			o.text("model_id", m.ID)
			o.optional("run_id", metric.RunID)
			o.close('}')
		}
		o.close(']')
	}
	o.close('}')
}

func (o *out) version(v *registry.Version) {
	o.text("name", v.Model)
	o.text("version", strconv.Itoa(v.Version))
	o.millis("creation_timestamp", v.CreatedAt)
	o.millis("last_updated_timestamp", v.UpdatedAt)
	switch name, ok := strings.CutPrefix(v.Actor, "user:"); {
	case v.Imported != nil:
		o.optional("user_id", v.Imported.User)
	case ok: // somebody who gave a name
		o.text("user_id", name)
	}
	o.text("current_stage", v.Stage)
	o.text("description", v.Description)
	o.text("source", v.Source)
	o.text("run_id", v.RunID)
	o.text("status", "READY")
	o.pairs("tags", v.Tags)
	o.text("run_link", v.RunLink)
	if len(v.Aliases) > 0 {
		o.list("aliases")
		for _, alias := range v.Aliases {
			o.element()
			o.b = appendText(o.b, alias)
		}
		o.close(']')
	}
}

func (o *out) versions(name string, versions []*registry.Version) {
	if len(versions) == 0 {
		return
	}
	o.list(name)
	for _, v := range versions {
		o.open('{')
		o.version(v)
		o.close('}')
		o.flush()
	}
	o.close(']')
}

func (o *out) model(m *registry.Model, latest []*registry.Version) {
	o.text("name", m.Name)
	o.millis("creation_timestamp", m.CreatedAt)
	o.millis("last_updated_timestamp", m.UpdatedAt)
	o.optional("description", m.Description)
	o.versions("latest_versions", latest)
	o.pairs("tags", m.Tags)
	if len(m.Aliases) > 0 {
		o.list("aliases")
		for _, alias := range sorted(nil, m.Aliases) {
			o.open('{')
			o.text("alias", alias)
			o.text("version", strconv.Itoa(m.Aliases[alias]))
			o.close('}')
		}
		o.close(']')
	}
}

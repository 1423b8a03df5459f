package track

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Tag is a note on a run, an experiment, a model or a version. It can be changed and taken away.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Param is a setting of a run. It never changes once it is there.
type Param struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Metric is one point: a value at a step and a moment.
type Metric struct {
	Key   string
	Value float64
	At    int64 // milliseconds since 1970, as the client gave it
	Step  int64

	// What was measured, when the client said so.
	ModelID       string
	DatasetName   string
	DatasetDigest string
}

// Batch is what one request logs to a run.
type Batch struct {
	Metrics []Metric
	Params  []Param
	Tags    []Tag
}

// errSame ends a write that would change nothing.
var errSame = errors.New("nothing changes")

// LogMetric logs one point. It is in the series store when LogMetric returns.
func (s *Service) LogMetric(ctx context.Context, run string, m Metric) error {
	if err := checkMetric(&m, "", 0); err != nil {
		return err
	}
	metrics := []Metric{m}
	if err := s.logRows(ctx, run, nil, nil, modelPointsOf(metrics)); err != nil {
		return err
	}
	return s.appendPoints(ctx, run, metrics)
}

// LogParam sets a parameter. The same value again is no error, another one is.
func (s *Service) LogParam(ctx context.Context, run string, p Param) error {
	p, err := checkParam(p, "", 0)
	if err != nil {
		return err
	}
	_, err = s.changeRun(ctx, run, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		if old, ok := r.doc.Params[p.Key]; ok {
			if old == p.Value {
				return errSame
			}
			return invalid("Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for run ID='%s'. Attempted logging new value '%s'.",
				p.Key, old, run, p.Value)
		}
		return s.addParams(ctx, c, r, []Param{p})
	})
	return unlessSame(err)
}

func unlessSame(err error) error {
	if errors.Is(err, errSame) {
		return nil
	}
	return err
}

func (s *Service) addParams(ctx context.Context, c *change, r *record, params []Param) error {
	if r.doc.Params == nil {
		r.doc.Params = make(map[string]string, len(params))
	}
	for _, p := range params {
		r.doc.Params[p.Key] = p.Value
		if err := s.cell(ctx, c, r, kindParam, p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) addTags(ctx context.Context, c *change, r *record, tags []Tag) error {
	for _, t := range tags {
		if t.Key == TagRunName {
			if t.Value == "" {
				continue // a run keeps a name
			}
			r.run.Name = t.Value
		}
		r.setTag(t)
		if err := s.cell(ctx, c, r, kindTag, t.Key, t.Value); err != nil {
			return err
		}
	}
	return nil
}

// newParams are those of params that the run does not have; MLflow's error when it has one with another value.
func (r *record) newParams(params []Param) ([]Param, error) {
	var fresh []Param
	var clash []string
	for _, p := range params {
		old, ok := r.doc.Params[p.Key]
		switch {
		case !ok:
			fresh = append(fresh, p)
		case old != p.Value:
			clash = append(clash, fmt.Sprintf("{'key': %s, 'old_value': %s, 'new_value': %s}", pyRepr(p.Key), pyRepr(old), pyRepr(p.Value)))
		}
	}
	if len(clash) > 0 {
		return nil, invalid("Changing param values is not allowed. Params were already logged='[%s]' for run ID='%s'.", strings.Join(clash, ", "), r.run.ID)
	}
	return fresh, nil
}

// LogBatch logs metrics, parameters and tags. Whatever the client did wrong is found before anything is stored; should the machine fail in
// the middle, the same batch can be sent again.
func (s *Service) LogBatch(ctx context.Context, run string, b Batch) error {
	if !runForm(run) {
		return invalid("Invalid value %s for parameter 'run_id' supplied.", pyJSON(cut(text(run), 300)))
	}
	if err := checkBatch(&b); err != nil {
		return err
	}
	if err := s.logRows(ctx, run, b.Params, b.Tags, modelPointsOf(b.Metrics)); err != nil {
		return err
	}
	return s.appendPoints(ctx, run, b.Metrics)
}

// logRows writes the part of a batch that goes to the catalog, if there is any: all of it or nothing.
func (s *Service) logRows(ctx context.Context, run string, params []Param, tags []Tag, models modelPoints) error {
	if len(params)+len(tags)+len(models.order) == 0 {
		return nil
	}
	_, err := s.changeRun(ctx, run, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		fresh, err := r.newParams(params)
		if err != nil {
			return err
		}
		if len(fresh)+len(tags)+len(models.order) == 0 {
			return errSame
		}
		if err := models.check(ctx, c); err != nil {
			return err
		}
		if err := s.addParams(ctx, c, r, fresh); err != nil {
			return err
		}
		if err := s.addTags(ctx, c, r, tags); err != nil {
			return err
		}
		return models.write(ctx, c, run)
	})
	return unlessSame(err)
}

// SetTag sets or replaces a tag. The tag mlflow.runName is the run's name.
func (s *Service) SetTag(ctx context.Context, run string, t Tag) error {
	t, err := checkTag(t, "", 0)
	if err != nil {
		return err
	}
	_, err = s.changeRun(ctx, run, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		return s.addTags(ctx, c, r, []Tag{t})
	})
	return err
}

// DeleteTag takes a tag away; fault.NotFound when it is not there.
func (s *Service) DeleteTag(ctx context.Context, run, key string) error {
	_, err := s.changeRun(ctx, run, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		if _, ok := r.doc.Tags[key]; !ok {
			return fault.New(fault.NotFound, "No tag with name: %s in run with id %s", text(key), run)
		}
		only := &record{number: r.number, run: Run{ID: run}, doc: document{Tags: map[string]string{key: ""}}}
		if err := s.dropCells(ctx, c, only); err != nil {
			return err
		}
		delete(r.doc.Tags, key)
		return nil
	})
	return err
}

// LogLegacyModel appends a model's description to the tag mlflow.log-model.history: what clients before 3.0 do when they log a model.
func (s *Service) LogLegacyModel(ctx context.Context, run, modelJSON string) error {
	var model map[string]json.RawMessage
	if err := json.Unmarshal([]byte(modelJSON), &model); err != nil || model == nil {
		return invalid("Malformed model info. \n %s \n is not a valid JSON.", cut(text(modelJSON), 1000))
	}
	var missing []string
	for _, field := range []string{"artifact_path", "flavors", "run_id", "utc_time_created"} {
		if _, ok := model[field]; !ok {
			missing = append(missing, pyRepr(field))
		}
	}
	if len(missing) > 0 {
		return invalid("Model json is missing mandatory fields: {%s}", strings.Join(missing, ", "))
	}
	entry := map[string]json.RawMessage{}
	for _, field := range []string{"run_id", "utc_time_created", "artifact_path", "model_uuid"} {
		if value, ok := model[field]; ok {
			entry[field] = value
		}
	}
	var err error
	if entry["flavors"], err = withoutConfig(model["flavors"]); err != nil {
		return err
	}
	_, err = s.changeRun(ctx, run, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		var history []json.RawMessage
		if old, ok := r.doc.Tags[TagHistory]; ok {
			if err := json.Unmarshal([]byte(old), &history); err != nil {
				history = nil // a client has put something else there
			}
		}
		one, err := json.Marshal(entry)
		if err != nil {
			return fmt.Errorf("encode model: %w", err)
		}
		value, err := json.Marshal(append(history, one))
		if err != nil {
			return fmt.Errorf("encode models: %w", err)
		}
		// Cut in the middle it would be no JSON any more: the oldest go.
		for len(value) > maxTag && len(history) > 0 {
			history = history[1:]
			if value, err = json.Marshal(append(history, one)); err != nil {
				return fmt.Errorf("encode models: %w", err)
			}
		}
		return s.addTags(ctx, c, r, []Tag{{TagHistory, cut(string(value), maxTag)}})
	})
	return err
}

// withoutConfig is flavors without their configurations, which can be large.
func withoutConfig(flavors json.RawMessage) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(flavors, &all); err != nil {
		return nil, invalid("Malformed model info: flavors is not an object.")
	}
	for name, flavor := range all {
		var fields map[string]json.RawMessage
		if json.Unmarshal(flavor, &fields) != nil || fields == nil {
			continue
		}
		delete(fields, "config")
		doc, err := json.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("encode flavor: %w", err)
		}
		all[name] = doc
	}
	return json.Marshal(all)
}

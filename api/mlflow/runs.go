package mlflow

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

var stateOf = []string{"", track.Running, track.Scheduled, track.Finished, track.Failed, track.Killed}

func (d *door) registerRuns() {
	const path = "/mlflow/runs/"
	d.add(endpoint{method: http.MethodPost, path: path + "create", action: "run.create", resource: "run", form: runNew, do: d.createRun})
	d.add(endpoint{method: http.MethodPost, path: path + "update", action: "run.update", resource: "run", form: runUpdate, do: d.updateRun})
	d.add(endpoint{method: http.MethodGet, path: path + "get", action: "run.read", resource: "run", form: runID, do: d.getRun})
	d.add(endpoint{method: http.MethodPost, path: path + "search", action: "run.list", resource: "run", class: route.Read, form: runSearch, do: d.searchRuns})
	d.add(endpoint{method: http.MethodPost, path: path + "delete", action: "run.delete", resource: "run", form: runID, do: func(c *call) error {
		return d.track.DeleteRun(c.ctx, c.in.text("run_id"))
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "restore", action: "run.restore", resource: "run", form: runID, do: func(c *call) error {
		return d.track.RestoreRun(c.ctx, c.in.text("run_id"))
	}})
	// What a training loop sends is the data plane: no audit line for each.
	d.add(endpoint{method: http.MethodPost, path: path + "log-parameter", action: "run.log", resource: "run", class: route.Infer, form: paramNew, do: func(c *call) error {
		return d.track.LogParam(c.ctx, c.in.text("run_id"), track.Param{Key: c.in.text("key"), Value: c.in.text("value")})
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "set-tag", action: "run.log", resource: "run", class: route.Infer, form: tagNew, do: func(c *call) error {
		return d.track.SetTag(c.ctx, c.in.text("run_id"), track.Tag{Key: c.in.text("key"), Value: c.in.text("value")})
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "delete-tag", action: "run.log", resource: "run", class: route.Infer, form: tagName, do: func(c *call) error {
		return d.track.DeleteTag(c.ctx, c.in.text("run_id"), c.in.text("key"))
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "log-inputs", action: "run.log", resource: "run", class: route.Infer, form: inputsNew, maxBody: maxInputs, do: d.logInputs})
	d.add(endpoint{method: http.MethodPost, path: path + "outputs", action: "run.log", resource: "run", class: route.Infer, form: outputsNew, do: d.logOutputs})
	d.add(endpoint{method: http.MethodPost, path: path + "log-model", action: "run.log", resource: "run", class: route.Infer, form: modelJSON, do: d.logModel})
}

func (d *door) createRun(c *call) error {
	n := track.NewRun{ExperimentID: c.in.text("experiment_id"), Name: c.in.text("run_name"), User: c.in.text("user_id"), Tags: tagsOf(c.in, "tags")}
	if ms := c.in.int("start_time"); ms != 0 {
		at := time.UnixMilli(ms).UTC()
		n.StartedAt = &at
	}
	run, err := d.track.CreateRun(c.ctx, n)
	if err != nil {
		return err
	}
	c.object("run")
	c.run(run, false)
	c.close('}')
	return nil
}

func (d *door) updateRun(c *call) error {
	var change track.RunChange
	if v := c.in.get("run_name"); v.set {
		change.Name = &v.text
	}
	if v := c.in.get("status"); v.set {
		change.State = &stateOf[v.int]
	}
	if v := c.in.get("end_time"); v.set {
		at := time.UnixMilli(v.int).UTC()
		change.FinishedAt = &at
	}
	run, err := d.track.UpdateRun(c.ctx, c.in.text("run_id"), change)
	if err != nil {
		return err
	}
	c.object("run_info")
	c.runInfo(run)
	c.close('}')
	return nil
}

func (d *door) getRun(c *call) error {
	run, err := d.track.Get(c.ctx, c.in.text("run_id"))
	if err != nil {
		return err
	}
	c.object("run")
	c.run(run, true)
	c.close('}')
	return nil
}

func (d *door) searchRuns(c *call) error {
	q, err := searchOf(c.in, 1000, 50000)
	if err != nil {
		return err
	}
	q.View = views[c.in.int("run_view_type")]
	found, next, err := d.track.SearchRuns(c.ctx, track.RunSearch{Experiments: c.in.texts("experiment_ids"), Search: q})
	if err != nil {
		return err
	}
	if len(found) > 0 {
		c.list("runs")
		for _, run := range found {
			c.open('{')
			c.run(run, true)
			c.close('}')
			c.flush()
		}
		c.close(']')
	}
	c.optional("next_page_token", next)
	return nil
}

func (d *door) logInputs(c *call) error {
	var datasets []track.DatasetInput
	for _, in := range c.in.records("datasets") {
		input := track.DatasetInput{Tags: tagsOf(in, "tags")}
		if d := in.get("dataset").record; d != nil {
			input.Dataset = track.Dataset{Name: d.text("name"), Digest: d.text("digest"), SourceType: d.text("source_type"), Source: d.text("source"),
				Schema: d.text("schema"), Profile: d.text("profile")}
		}
		datasets = append(datasets, input)
	}
	return d.track.LogInputs(c.ctx, c.in.text("run_id"), datasets, linksOf(c.in, false))
}

func linksOf(in *record, steps bool) []track.ModelLink {
	var links []track.ModelLink
	for _, m := range in.records("models") {
		link := track.ModelLink{ModelID: m.text("model_id")}
		if steps {
			link.Step = m.int("step")
		}
		links = append(links, link)
	}
	return links
}

func (d *door) logOutputs(c *call) error {
	return d.track.LogOutputs(c.ctx, c.in.text("run_id"), linksOf(c.in, true))
}

// logModel keeps the description of a model as clients before 3.0 send it.
func (d *door) logModel(c *call) error {
	given := c.in.text("model_json")
	var model map[string]json.RawMessage
	if !json.Valid([]byte(given)) {
		return fault.New(fault.Invalid, "Malformed model info. \n %.1000s \n is not a valid JSON.", given)
	}
	if json.Unmarshal([]byte(given), &model) != nil {
		return fault.New(fault.Invalid, "Malformed model info. \n %.1000s \n is not a JSON object.", given)
	}
	lacking := slices.DeleteFunc([]string{"artifact_path", "flavors", "run_id", "utc_time_created"}, func(name string) bool { return model[name] != nil })
	if len(lacking) > 0 {
		return fault.New(fault.Invalid, "Model json is missing mandatory fields: {'%s'}", strings.Join(lacking, "', '"))
	}
	return d.track.LogLegacyModel(c.ctx, c.in.text("run_id"), given)
}

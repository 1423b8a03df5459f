package mlflow

import (
	"fmt"
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

var views = []track.View{track.ViewActive, track.ViewActive, track.ViewDeleted, track.ViewAll}

// tagsOf reads a list of pairs.
func tagsOf(in *record, name string) []track.Tag {
	list := in.get(name).list
	out := make([]track.Tag, len(list))
	for i := range list {
		out[i] = track.Tag{Key: list[i].record.text("key"), Value: list[i].record.text("value")}
	}
	return out
}

func paramsOf(in *record, name string) []track.Param {
	list := in.get(name).list
	out := make([]track.Param, len(list))
	for i := range list {
		out[i] = track.Param{Key: list[i].record.text("key"), Value: list[i].record.text("value")}
	}
	return out
}

// positive is the page size of a search: fallback when the request has none, and refused when it is not above 0.
func positive(in *record, fallback int64) (int, error) {
	n := in.int("max_results")
	if !in.has("max_results") {
		n = fallback
	}
	if n <= 0 {
		return 0, fault.New(fault.Invalid, "Invalid value %d for parameter 'max_results' supplied. It must be a positive integer", n)
	}
	return int(min(n, 1<<30)), nil
}

// searchOf reads what all searches share.
func searchOf(in *record, fallback, most int64) (track.Search, error) {
	n, err := positive(in, fallback)
	if err == nil && int64(n) > most {
		err = fault.New(fault.Invalid, "Invalid value %d for parameter 'max_results' supplied. It must be at most %d", n, most)
	}
	return track.Search{Filter: in.text("filter"), OrderBy: in.texts("order_by"), MaxResults: n, PageToken: in.text("page_token")}, err
}

func (d *door) registerExperiments() {
	const path = "/mlflow/experiments/"
	d.add(endpoint{method: http.MethodPost, path: path + "create", action: "experiment.create", resource: "experiment", form: experimentNew, do: d.createExperiment})
	d.add(endpoint{method: http.MethodGet, path: path + "get", action: "experiment.read", resource: "experiment", form: experimentID, do: d.getExperiment})
	d.add(endpoint{method: http.MethodGet, path: path + "get-by-name", action: "experiment.read", resource: "experiment", form: experimentName, do: d.experimentByName})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		d.add(endpoint{method: method, path: path + "search", action: "experiment.list", resource: "experiment", class: route.Read, form: experimentSearch, do: d.searchExperiments})
	}
	d.add(endpoint{method: http.MethodPost, path: path + "delete", action: "experiment.delete", resource: "experiment", form: experimentID, do: func(c *call) error {
		return d.track.DeleteExperiment(c.ctx, c.in.text("experiment_id"))
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "restore", action: "experiment.restore", resource: "experiment", form: experimentID, do: func(c *call) error {
		return d.track.RestoreExperiment(c.ctx, c.in.text("experiment_id"))
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "update", action: "experiment.rename", resource: "experiment", form: experimentRename, do: func(c *call) error {
		return d.track.RenameExperiment(c.ctx, c.in.text("experiment_id"), c.in.text("new_name"))
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "set-experiment-tag", action: "experiment.tag", resource: "experiment", form: experimentTag, do: func(c *call) error {
		return d.track.SetExperimentTag(c.ctx, c.in.text("experiment_id"), track.Tag{Key: c.in.text("key"), Value: c.in.text("value")})
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "delete-experiment-tag", action: "experiment.tag", resource: "experiment", form: experimentTagName, do: func(c *call) error {
		return d.track.DeleteExperimentTag(c.ctx, c.in.text("experiment_id"), c.in.text("key"))
	}})
	// The protocol says "mlflowexperiments", without the slash: clients that follow it to the letter are heard as well.
	for _, p := range []string{path + "search-datasets", "/mlflowexperiments/search-datasets"} {
		d.add(endpoint{method: http.MethodPost, path: p, action: "dataset.list", resource: "experiment", class: route.Read, form: datasetSearch, do: d.searchDatasets})
	}
}

func (d *door) createExperiment(c *call) error {
	e, err := d.track.CreateExperiment(c.ctx, track.NewExperiment{Name: c.in.text("name"), ArtifactRoot: c.in.text("artifact_location"), Tags: tagsOf(c.in, "tags")})
	if err != nil {
		return err
	}
	c.text("experiment_id", e.ID)
	return nil
}

func (d *door) getExperiment(c *call) error {
	e, err := d.track.Experiment(c.ctx, c.in.text("experiment_id"))
	if err != nil {
		return err
	}
	c.object("experiment")
	c.experiment(e)
	c.close('}')
	return nil
}

func (d *door) experimentByName(c *call) error {
	e, err := d.track.ExperimentByName(c.ctx, c.in.text("experiment_name"))
	if err != nil {
		return err
	}
	c.object("experiment")
	c.experiment(e)
	c.close('}')
	return nil
}

func (d *door) searchExperiments(c *call) error {
	q, err := searchOf(c.in, 0, 50000)
	if err != nil {
		return err
	}
	q.View = views[c.in.int("view_type")]
	found, next, err := d.track.SearchExperiments(c.ctx, q)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		c.list("experiments")
		for _, e := range found {
			c.open('{')
			c.experiment(e)
			c.close('}')
			c.flush()
		}
		c.close(']')
	}
	c.optional("next_page_token", next)
	return nil
}

func (d *door) searchDatasets(c *call) error {
	ids := c.in.texts("experiment_ids")
	const most = 20
	switch {
	case len(ids) == 0:
		return fault.New(fault.Invalid, "SearchDatasets request must specify at least one experiment_id.")
	case len(ids) > most:
		return fault.New(fault.Invalid, "SearchDatasets request cannot specify more than %d experiment_ids. Received %d experiment_ids.", most, len(ids))
	}
	found, err := d.track.SearchDatasets(c.ctx, ids)
	if err != nil {
		return fmt.Errorf("search datasets: %w", err)
	}
	if len(found) == 0 {
		return nil
	}
	c.list("dataset_summaries")
	for _, s := range found {
		c.open('{')
		c.text("experiment_id", s.ExperimentID)
		c.text("name", s.Name)
		c.text("digest", s.Digest)
		c.optional("context", s.Context)
		c.close('}')
		c.flush()
	}
	c.close(']')
	return nil
}

package mlflow

import (
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

var loggedStateOf = []string{"", track.ModelPending, track.ModelReady, track.ModelFailed}

func (d *door) registerLoggedModels() {
	const root, path, resource = "/mlflow/logged-models", "/mlflow/logged-models/{model_id}", "logged-model/{model_id}"
	d.add(endpoint{method: http.MethodPost, path: root, action: "logged-model.create", resource: "logged-model", form: loggedNew, do: d.createLoggedModel})
	d.add(endpoint{method: http.MethodPost, path: root + "/search", action: "logged-model.list", resource: "logged-model", class: route.Read, form: loggedSearch, do: d.searchLoggedModels})
	d.add(endpoint{method: http.MethodGet, path: path, action: "logged-model.read", resource: resource, form: loggedGet, do: func(c *call) error {
		return c.sendLoggedModel(d.track.LoggedModel(c.ctx, c.path("model_id"), c.in.get("allow_deleted").flag))
	}})
	d.add(endpoint{method: http.MethodPatch, path: path, action: "logged-model.update", resource: resource, form: loggedFinal, do: func(c *call) error {
		if err := sameModel(c); err != nil {
			return err
		}
		status := loggedStateOf[c.in.int("status")]
		if status == "" {
			return fault.New(fault.Invalid, "Invalid value \"LOGGED_MODEL_STATUS_UNSPECIFIED\" for parameter 'status' supplied. It must be a status")
		}
		return c.sendLoggedModel(d.track.FinalizeLoggedModel(c.ctx, c.path("model_id"), status, ""))
	}})
	d.add(endpoint{method: http.MethodDelete, path: path, action: "logged-model.delete", resource: resource, form: nothing, do: func(c *call) error {
		err := d.track.DeleteLoggedModel(c.ctx, c.path("model_id"))
		if fault.Is(err, fault.NotFound) {
			if _, known := d.track.LoggedModel(c.ctx, c.path("model_id"), true); known == nil {
				return nil // it is deleted already, and clients that clean up ask twice
			}
		}
		return err
	}})
	d.add(endpoint{method: http.MethodPatch, path: path + "/tags", action: "logged-model.tag", resource: resource, form: loggedTags, do: func(c *call) error {
		_, err := d.track.SetLoggedModelTags(c.ctx, c.path("model_id"), tagsOf(c.in, "tags"))
		return err
	}})
	d.add(endpoint{method: http.MethodDelete, path: path + "/tags/{tag_key}", action: "logged-model.tag", resource: resource, form: nothing, do: func(c *call) error {
		return d.track.DeleteLoggedModelTag(c.ctx, c.path("model_id"), c.path("tag_key"))
	}})
	d.add(endpoint{method: http.MethodPost, path: path + "/params", action: "logged-model.log", resource: resource, form: loggedParams, do: func(c *call) error {
		if err := sameModel(c); err != nil {
			return err
		}
		return d.track.LogLoggedModelParams(c.ctx, c.path("model_id"), paramsOf(c.in, "params"))
	}})
	d.add(endpoint{method: http.MethodGet, path: path + "/artifacts/directories", action: "artifact.list", resource: resource, form: loggedFiles, do: func(c *call) error {
		m, err := d.track.LoggedModel(c.ctx, c.path("model_id"), false)
		if err != nil {
			return err
		}
		return d.listBelow(c, m.ArtifactURI, c.in.text("artifact_directory_path"))
	}})
	d.r.Handle(http.MethodGet, ajax[0]+path+"/artifacts/files", route.Access{Action: "artifact.read", Resource: resource, Audit: route.Read, Plain: true},
		d.plain(func(w http.ResponseWriter, req *http.Request) error {
			file := req.URL.Query().Get("artifact_file_path")
			if file == "" {
				return fault.New(fault.Invalid, `Request must include the "artifact_file_path" query parameter.`).With("error_code", "BAD_REQUEST")
			}
			m, err := d.track.LoggedModel(req.Context(), req.PathValue("model_id"), false)
			if err != nil {
				return err
			}
			return d.sendBelow(w, req, m.ArtifactURI, file)
		}))
}

// sameModel refuses a body that names another model than the path.
func sameModel(c *call) error {
	if given := c.in.text("model_id"); given != c.path("model_id") {
		return fault.New(fault.Invalid, "The body is about the model '%s' and the path about '%s'", given, c.path("model_id"))
	}
	return nil
}

func (c *call) sendLoggedModel(m *track.LoggedModel, err error) error {
	if err != nil {
		return err
	}
	c.object("model")
	c.loggedModel(m)
	c.close('}')
	return nil
}

func (d *door) createLoggedModel(c *call) error {
	return c.sendLoggedModel(d.track.CreateLoggedModel(c.ctx, track.NewLoggedModel{ExperimentID: c.in.text("experiment_id"), Name: c.in.text("name"),
		ModelType: c.in.text("model_type"), SourceRunID: c.in.text("source_run_id"), Tags: tagsOf(c.in, "tags"), Params: paramsOf(c.in, "params")}))
}

func (d *door) searchLoggedModels(c *call) error {
	n, err := positive(c.in, 50)
	if err != nil {
		return err
	}
	q := track.ModelSearch{Experiments: c.in.texts("experiment_ids"), Filter: c.in.text("filter"), MaxResults: n, PageToken: c.in.text("page_token")}
	for _, ds := range c.in.records("datasets") {
		q.Datasets = append(q.Datasets, track.DatasetFilter{Name: ds.text("dataset_name"), Digest: ds.text("dataset_digest")})
	}
	for _, by := range c.in.records("order_by") {
		ascending := by.get("ascending")
		q.Order = append(q.Order, track.ModelOrder{Field: by.text("field_name"), Descending: ascending.set && !ascending.flag,
			Dataset: track.DatasetFilter{Name: by.text("dataset_name"), Digest: by.text("dataset_digest")}})
	}
	found, next, err := d.track.SearchLoggedModels(c.ctx, q)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		c.list("models")
		for _, m := range found {
			c.open('{')
			c.loggedModel(m)
			c.close('}')
			c.flush()
		}
		c.close(']')
	}
	c.optional("next_page_token", next)
	return nil
}

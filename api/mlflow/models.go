package mlflow

import (
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func (d *door) registerModels() {
	const path, resource = "/mlflow/registered-models/", "model"
	d.add(endpoint{method: http.MethodPost, path: path + "create", action: "model.create", resource: resource, form: modelNew, do: d.createModel})
	d.add(endpoint{method: http.MethodPost, path: path + "rename", action: "model.rename", resource: resource, form: modelRename, do: func(c *call) error {
		return d.sendModel(c)(d.registry.RenameModel(c.ctx, c.in.text("name"), c.in.text("new_name")))
	}})
	d.add(endpoint{method: http.MethodPatch, path: path + "update", action: "model.update", resource: resource, form: modelUpdate, do: func(c *call) error {
		return d.sendModel(c)(d.registry.DescribeModel(c.ctx, c.in.text("name"), c.in.text("description")))
	}})
	d.add(endpoint{method: http.MethodDelete, path: path + "delete", action: "model.delete", resource: resource, form: modelName, do: func(c *call) error {
		return d.registry.DeleteModel(c.ctx, c.in.text("name"))
	}})
	d.add(endpoint{method: http.MethodGet, path: path + "get", action: "model.read", resource: resource, form: modelName, do: func(c *call) error {
		return d.sendModel(c)(d.registry.Model(c.ctx, c.in.text("name")))
	}})
	d.add(endpoint{method: http.MethodGet, path: path + "search", action: "model.list", resource: resource, form: modelSearch, do: d.searchModels})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		d.add(endpoint{method: method, path: path + "get-latest-versions", action: "version.list", resource: resource, class: route.Read, form: modelLatest, do: func(c *call) error {
			found, err := d.registry.LatestVersions(c.ctx, c.in.text("name"), c.in.texts("stages"))
			if err != nil {
				return err
			}
			c.versions("model_versions", found)
			return nil
		}})
	}
	d.add(endpoint{method: http.MethodPost, path: path + "set-tag", action: "model.tag", resource: resource, form: modelTag, do: func(c *call) error {
		return d.registry.SetModelTag(c.ctx, c.in.text("name"), track.Tag{Key: c.in.text("key"), Value: c.in.text("value")})
	}})
	d.add(endpoint{method: http.MethodDelete, path: path + "delete-tag", action: "model.tag", resource: resource, form: modelTagName, do: func(c *call) error {
		return d.registry.DeleteModelTag(c.ctx, c.in.text("name"), c.in.text("key"))
	}})
	const alias = path + "alias"
	d.add(endpoint{method: http.MethodPost, path: alias, action: "alias.move", resource: resource, form: aliasNew, do: func(c *call) error {
		version, err := registry.ParseVersion(c.in.text("version"))
		if err != nil {
			return err
		}
		return d.registry.SetModelAlias(c.ctx, c.in.text("name"), c.in.text("alias"), version)
	}})
	d.add(endpoint{method: http.MethodDelete, path: alias, action: "alias.delete", resource: resource, form: aliasName, do: func(c *call) error {
		return d.registry.DeleteModelAlias(c.ctx, c.in.text("name"), c.in.text("alias"))
	}})
	d.add(endpoint{method: http.MethodGet, path: alias, action: "alias.read", resource: resource, form: aliasName, do: func(c *call) error {
		return c.sendVersion(d.registry.ByAlias(c.ctx, c.in.text("name"), c.in.text("alias")))
	}})
}

func (d *door) createModel(c *call) error {
	return d.sendModel(c)(d.registry.CreateModel(c.ctx, registry.NewModel{Name: c.in.text("name"), Description: c.in.text("description"), Tags: tagsOf(c.in, "tags")}))
}

// sendModel answers with what a change or a read of a model gave.
func (d *door) sendModel(c *call) func(*registry.Model, error) error {
	return func(m *registry.Model, err error) error {
		if err != nil {
			return err
		}
		latest, err := d.registry.LatestVersions(c.ctx, m.Name, nil)
		if err != nil {
			return err
		}
		c.object("registered_model")
		c.model(m, latest)
		c.close('}')
		return nil
	}
}

func (d *door) searchModels(c *call) error {
	q, err := searchOf(c.in, 100, 1000)
	if err != nil {
		return err
	}
	found, next, err := d.registry.SearchModels(c.ctx, q)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		c.list("registered_models")
		for _, m := range found {
			latest, err := d.registry.LatestVersions(c.ctx, m.Name, nil)
			if fault.Is(err, fault.NotFound) {
				continue // it was deleted meanwhile
			}
			if err != nil {
				return err
			}
			c.open('{')
			c.model(m, latest)
			c.close('}')
		}
		c.close(']')
	}
	c.optional("next_page_token", next)
	return nil
}

func (d *door) registerVersions() {
	const path, resource = "/mlflow/model-versions/", "model"
	d.add(endpoint{method: http.MethodPost, path: path + "create", action: "version.register", resource: resource, form: versionNew, do: func(c *call) error {
		return c.sendVersion(d.registry.CreateVersion(c.ctx, registry.NewVersion{Model: c.in.text("name"), Source: c.in.text("source"), RunID: c.in.text("run_id"),
			RunLink: c.in.text("run_link"), ModelID: c.in.text("model_id"), Description: c.in.text("description"), Tags: tagsOf(c.in, "tags")}))
	}})
	// named does something with the version that a request names.
	named := func(method, name, action string, class route.Class, form *message, do func(c *call, model string, version int) error) {
		d.add(endpoint{method: method, path: path + name, action: action, resource: resource, class: class, form: form, do: func(c *call) error {
			model := c.in.text("name")
			if model == "" {
				return fault.New(fault.Invalid, "Missing value for required parameter 'name'.")
			}
			version, err := registry.ParseVersion(c.in.text("version"))
			if err != nil {
				return err
			}
			return do(c, model, version)
		}})
	}
	named(http.MethodPatch, "update", "version.update", route.Write, versionUpdate, func(c *call, model string, version int) error {
		if !c.in.has("description") {
			return c.sendVersion(d.registry.Get(c.ctx, model, version))
		}
		return c.sendVersion(d.registry.DescribeVersion(c.ctx, model, version, c.in.text("description")))
	})
	named(http.MethodPost, "transition-stage", "version.stage", route.Write, versionStage, func(c *call, model string, version int) error {
		return c.sendVersion(d.registry.TransitionStage(c.ctx, model, version, c.in.text("stage"), c.in.get("archive_existing_versions").flag))
	})
	named(http.MethodDelete, "delete", "version.delete", route.Write, versionName, func(c *call, model string, version int) error {
		return d.registry.DeleteVersion(c.ctx, model, version)
	})
	named(http.MethodGet, "get", "version.read", route.Read, versionName, func(c *call, model string, version int) error {
		return c.sendVersion(d.registry.Get(c.ctx, model, version))
	})
	named(http.MethodGet, "get-download-uri", "version.read", route.Read, form(words("name"), words("version")), func(c *call, model string, version int) error {
		uri, err := d.registry.DownloadURI(c.ctx, model, version)
		if err != nil {
			return err
		}
		c.text("artifact_uri", uri)
		return nil
	})
	named(http.MethodPost, "set-tag", "version.tag", route.Write, versionTag, func(c *call, model string, version int) error {
		return d.registry.SetVersionTag(c.ctx, model, version, track.Tag{Key: c.in.text("key"), Value: c.in.text("value")})
	})
	named(http.MethodDelete, "delete-tag", "version.tag", route.Write, versionTagName, func(c *call, model string, version int) error {
		return d.registry.DeleteVersionTag(c.ctx, model, version, c.in.text("key"))
	})
	d.add(endpoint{method: http.MethodGet, path: path + "search", action: "version.list", resource: resource, form: versionSearch, do: func(c *call) error {
		q, err := searchOf(c.in, 10000, 200000)
		if err != nil {
			return err
		}
		found, next, err := d.registry.SearchVersions(c.ctx, q)
		if err != nil {
			return err
		}
		c.versions("model_versions", found)
		c.optional("next_page_token", next)
		return nil
	}})
}

// sendVersion answers with what a change or a read of a version gave.
func (c *call) sendVersion(v *registry.Version, err error) error {
	if err != nil {
		return err
	}
	c.object("model_version")
	c.version(v)
	c.close('}')
	return nil
}

func (d *door) getVersionArtifact(w http.ResponseWriter, req *http.Request) error {
	query := req.URL.Query()
	model, err := argument(query, "name")
	if err != nil {
		return err
	}
	given, err := argument(query, "version")
	if err != nil {
		return err
	}
	file, err := argument(query, "path")
	if err != nil {
		return err
	}
	version, err := registry.ParseVersion(given)
	if err != nil {
		return err
	}
	uri, err := d.registry.DownloadURI(req.Context(), model, version)
	if err != nil {
		return err
	}
	return d.sendBelow(w, req, uri, file)
}

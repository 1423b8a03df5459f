package native

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// mediaTar is the type of an upload of several files.
const mediaTar = "application/x-tar"

type examineInput struct {
	VersionPath
	Body struct {
		Options *registry.RunOptions `json:"options,omitempty" doc:"how the version is to be run from now on; left out: as before"`
	}
}

// RegisterModelFiles adds the routes by which models of other libraries come in and are looked at.
func RegisterModelFiles(r *route.Router, s *registry.Service) {
	r.Handle(http.MethodPost, route.Prefix+"/models/{model}/import",
		route.Access{Action: "version.import", Resource: "model/{model}", Audit: route.Write, MaxBody: registry.MaxUpload},
		func(w http.ResponseWriter, req *http.Request) {
			v, err := takeModel(req, s)
			if err != nil {
				r.Error(w, req, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(VersionDetail{Version: v}) // the caller left; nobody is there to be told
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models/{model}/versions/{version}/examine",
		Summary: "Open a version again: find out what serves it, and compare its engines"},
		route.Access{Action: "version.examine", Resource: "model/{model}/{version}", Audit: route.Write},
		func(ctx context.Context, in *examineInput) (*versionOutput, error) {
			v, err := s.Examine(ctx, in.Model, in.Version, in.Body.Options)
			return &versionOutput{Body: VersionDetail{Version: v}}, err
		})
}

// takeModel reads an upload and registers it. The query says how the version is to be run.
func takeModel(req *http.Request, s *registry.Service) (*registry.Version, error) {
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != mediaTar {
		return nil, fault.New(fault.Invalid, "a model comes as %s, not %.80q", mediaTar, req.Header.Get("Content-Type")).
			WithHint("tar -c -C FOLDER . | curl -T - -H 'Content-Type: %s' URL", mediaTar)
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the query can't be read")
	}
	n := registry.Import{Model: req.PathValue("model"), Project: query.Get("project"), Description: query.Get("description"),
		Options: registry.RunOptions{Kind: query.Get("kind"), Task: query.Get("task"), Engine: query.Get("engine"), Python: query.Get("python"),
			Requirements: query.Get("requirements"), Allow: query["allow"]}}
	for key := range query {
		switch key {
		case "project", "description", "kind", "task", "engine", "python", "requirements", "allow", "tolerance":
		default:
			return nil, fault.New(fault.Invalid, "there is no parameter %.80q", key).
				WithHint("parameters are kind, task, engine, python, requirements, allow, tolerance, project, description")
		}
	}
	if text := query.Get("tolerance"); text != "" {
		if n.Options.Tolerance, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fault.New(fault.Invalid, "the tolerance %.80q is no number", text)
		}
	}
	if n.Files, err = s.Unpack(req.Context(), req.Body); err != nil {
		return nil, err
	}
	return s.Import(req.Context(), n)
}

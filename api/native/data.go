package native

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
)

// DatasetPath names a dataset of a project in a path.
type DatasetPath struct {
	ProjectPath
	Dataset string `path:"dataset" maxLength:"200"`
}

// DatasetVersionPath names a version of a dataset in a path.
type DatasetVersionPath struct {
	DatasetPath
	Version int `path:"version" minimum:"1"`
}

type datasetVersionsOutput struct {
	Body struct {
		Items []*data.Version `json:"items"`
	}
}

type datasetVersionOutput struct{ Body *data.Version }

type profileOutput struct{ Body *data.Profile }

type quarantineInput struct {
	DatasetVersionPath
	Limit int `query:"limit" minimum:"1" maximum:"10000" default:"100"`
}

type quarantineOutput struct {
	Body struct {
		Total   int64                   `json:"total" doc:"rows in quarantine; items are the first of them"`
		Reasons []data.QuarantineReason `json:"reasons"`
		Items   []data.QuarantinedRow   `json:"items"`
	}
}

type diffInput struct {
	DatasetPath
	From int `query:"from" minimum:"1" required:"true"`
	To   int `query:"to" minimum:"1" required:"true"`
}

type diffOutput struct{ Body *data.Diff }

// SuggestedContract is a suggestion and how it is written in trimtab.yaml.
type SuggestedContract struct {
	*data.Suggestion
	YAML string `json:"yaml"`
}

type suggestOutput struct{ Body SuggestedContract }

// RegisterData adds the routes of datasets and their versions.
func RegisterData(r *route.Router, s *data.Service) {
	const datasets = "/projects/{project}/datasets"
	const dataset = datasets + "/{dataset}"
	const version = dataset + "/versions/{version}"
	read := func(action, resource string) route.Access {
		return route.Access{Action: action, Resource: resource, Audit: route.Read}
	}
	const one, oneVersion = "dataset/{dataset}", "dataset/{dataset}/{version}"
	get := func(path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodGet, Path: path, Summary: summary}
	}
	route.Register(r, get(datasets, "List a project's datasets: the newest version of each"), read("dataset.list", "project/{project}"),
		func(ctx context.Context, in *ProjectPath) (*datasetVersionsOutput, error) {
			out := &datasetVersionsOutput{}
			var err error
			out.Body.Items, err = s.Datasets(ctx, in.Project)
			return out, err
		})
	route.Register(r, get(dataset, "Show a dataset: its newest version"), read("dataset.read", one),
		func(ctx context.Context, in *DatasetPath) (*datasetVersionOutput, error) {
			v, err := s.Latest(ctx, in.Project, in.Dataset)
			return &datasetVersionOutput{Body: v}, err
		})
	route.Register(r, get(dataset+"/versions", "List a dataset's versions, newest first"), read("dataset.read", one),
		func(ctx context.Context, in *DatasetPath) (*datasetVersionsOutput, error) {
			out := &datasetVersionsOutput{}
			var err error
			out.Body.Items, err = s.Versions(ctx, in.Project, in.Dataset)
			return out, err
		})
	route.Register(r, get(version, "Show a version: parts, columns, sources"), read("dataset.read", oneVersion),
		func(ctx context.Context, in *DatasetVersionPath) (*datasetVersionOutput, error) {
			v, err := s.Get(ctx, in.Project, in.Dataset, in.Version)
			return &datasetVersionOutput{Body: v}, err
		})
	route.Register(r, get(version+"/profile", "Describe a version's rows, column by column"), read("dataset.read", oneVersion),
		func(ctx context.Context, in *DatasetVersionPath) (*profileOutput, error) {
			v, err := s.Get(ctx, in.Project, in.Dataset, in.Version)
			if err != nil {
				return nil, err
			}
			p, err := s.Profile(ctx, v)
			return &profileOutput{Body: p}, err
		})
	route.Register(r, get(version+"/quarantine", "List rows that failed the contract, with the reasons"), read("dataset.quarantine", oneVersion),
		func(ctx context.Context, in *quarantineInput) (*quarantineOutput, error) {
			v, err := s.Get(ctx, in.Project, in.Dataset, in.Version)
			if err != nil {
				return nil, err
			}
			out := &quarantineOutput{}
			out.Body.Total = v.Quarantined
			if out.Body.Reasons, err = s.Reasons(ctx, v); err != nil {
				return nil, err
			}
			out.Body.Items, err = s.Quarantine(ctx, v, in.Limit)
			return out, err
		})
	route.Register(r, get(version+"/suggest", "Suggest a contract that the version would pass"), read("dataset.read", oneVersion),
		func(ctx context.Context, in *DatasetVersionPath) (*suggestOutput, error) {
			v, err := s.Get(ctx, in.Project, in.Dataset, in.Version)
			if err != nil {
				return nil, err
			}
			suggestion, err := s.Suggest(ctx, v)
			if err != nil {
				return nil, err
			}
			return &suggestOutput{Body: SuggestedContract{Suggestion: suggestion, YAML: suggestion.YAML()}}, nil
		})
	route.Register(r, get(dataset+"/diff", "Compare two versions: columns, parts, values"), read("dataset.read", one),
		func(ctx context.Context, in *diffInput) (*diffOutput, error) {
			d, err := s.Diff(ctx, in.Project, in.Dataset, in.From, in.To)
			return &diffOutput{Body: d}, err
		})
	// named answers a request for a file of a version.
	named := func(serve func(w http.ResponseWriter, req *http.Request, v *data.Version) error) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			number, err := strconv.Atoi(req.PathValue("version"))
			if err != nil || number < 1 {
				r.Error(w, req, fault.New(fault.Invalid, "version %q is not a number from 1", req.PathValue("version")))
				return
			}
			v, err := s.Get(req.Context(), req.PathValue("project"), req.PathValue("dataset"), number)
			if err == nil {
				err = serve(w, req, v)
			}
			if err != nil {
				r.Error(w, req, err)
			}
		}
	}
	r.Handle(http.MethodGet, route.Prefix+version+"/quarantine.parquet", read("dataset.quarantine", oneVersion),
		named(func(w http.ResponseWriter, req *http.Request, v *data.Version) error {
			body, err := s.OpenQuarantine(req.Context(), v)
			if err != nil {
				return err
			}
			defer body.Close()
			w.Header().Set("Content-Type", "application/vnd.apache.parquet")
			w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="quarantine-v%d.parquet"`, v.Number))
			w.Header().Set("ETag", `"`+v.QuarantineBlob+`"`)
			_, _ = io.Copy(w, body) // the reader left; nobody is there to be told
			return nil
		}))
	r.Handle(http.MethodGet, route.Prefix+version+"/rows.parquet", read("dataset.rows", oneVersion),
		named(func(w http.ResponseWriter, req *http.Request, v *data.Version) error {
			body, err := s.Rows(req.Context(), v)
			if err != nil {
				return err
			}
			defer body.Close()
			w.Header().Set("Content-Type", mediaParquet)
			w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-v%d.parquet"`, v.Dataset, v.Number))
			w.Header().Set("ETag", `"`+v.ID+`"`)
			_, _ = io.Copy(w, body) // the reader left; nobody is there to be told
			return nil
		}))
	r.Handle(http.MethodGet, route.Prefix+version+"/profile.html", read("dataset.read", oneVersion),
		named(func(w http.ResponseWriter, req *http.Request, v *data.Version) error {
			p, err := s.Profile(req.Context(), v)
			if err != nil {
				return err
			}
			var page bytes.Buffer
			if err := s.ReportHTML(v, p, &page); err != nil {
				return err
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
			_, _ = w.Write(page.Bytes()) // the reader left; nobody is there to be told
			return nil
		}))
}

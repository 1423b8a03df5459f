package native

import (
	"context"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// ArtifactItem is a file or a folder of a run.
type ArtifactItem struct {
	Path       string    `json:"path" doc:"below the run"`
	Dir        bool      `json:"dir,omitempty"`
	Size       int64     `json:"size" doc:"bytes"`
	Blob       string    `json:"blob,omitempty" doc:"BLAKE3 of the bytes"`
	ModifiedAt time.Time `json:"modified_at"`
}

type artifactsInput struct {
	RunPath
	Path      string `query:"path" doc:"a folder; left out: the top"`
	Recursive bool   `query:"recursive" doc:"every file below"`
}

type artifactsOutput struct {
	Body struct {
		Items []ArtifactItem `json:"items"`
	}
}

// sandbox lets a page that somebody logged be looked at without letting it act as one of ours.
const sandbox = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data: blob:"

// RegisterArtifacts adds the routes of the files of runs.
func RegisterArtifacts(r *route.Router, s *track.Service, files *track.Artifacts) {
	root := func(ctx context.Context, run string) (string, error) {
		found, err := s.Get(ctx, run)
		if err != nil {
			return "", err
		}
		rest, ours := strings.CutPrefix(found.ArtifactURI, "mlflow-artifacts:/")
		if !ours {
			return "", fault.New(fault.Invalid, "the artifacts of run %s lie at %s, outside of this server's store", run, found.ArtifactURI).WithHint("read them there")
		}
		return strings.Trim(rest, "/"), nil
	}
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/runs/{id}/artifacts", Summary: "List the artifacts of a run"},
		route.Access{Action: "artifact.list", Resource: "run/{id}", Audit: route.Read},
		func(ctx context.Context, in *artifactsInput) (*artifactsOutput, error) {
			top, err := root(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			list := files.ListArtifacts
			if in.Recursive {
				list = files.Tree
			}
			found, err := list(ctx, path.Join(top, in.Path))
			if err != nil {
				return nil, err
			}
			out := &artifactsOutput{}
			out.Body.Items = []ArtifactItem{}
			for _, a := range found {
				out.Body.Items = append(out.Body.Items, ArtifactItem{Path: path.Join(in.Path, a.Path), Dir: a.Dir, Size: a.Size, Blob: a.Blob, ModifiedAt: a.ModifiedAt})
			}
			return out, nil
		})
	const pattern = route.Prefix + "/runs/{id}/artifacts/files/{path...}"
	handle := func(method string, a route.Access, f func(w http.ResponseWriter, req *http.Request, where string) error) {
		r.Handle(method, pattern, a, func(w http.ResponseWriter, req *http.Request) {
			top, err := root(req.Context(), req.PathValue("id"))
			if err == nil {
				if req.PathValue("path") == "" {
					err = fault.New(fault.Invalid, "the path of the artifact is missing")
				} else {
					err = f(w, req, top+"/"+req.PathValue("path"))
				}
			}
			if err != nil {
				r.Error(w, req, err)
			}
		})
	}
	handle(http.MethodGet, route.Access{Action: "artifact.read", Resource: "run/{id}", Audit: route.Read}, func(w http.ResponseWriter, req *http.Request, where string) error {
		file, err := files.OpenArtifact(req.Context(), where)
		if err != nil {
			return err
		}
		defer file.Close()
		name := path.Base(where)
		media := mime.TypeByExtension(path.Ext(name))
		if media == "" {
			media = "application/octet-stream"
		}
		kind := "inline"
		if req.URL.Query().Has("download") {
			kind = "attachment"
		}
		h := w.Header()
		h.Set("Content-Type", media)
		h.Set("Content-Disposition", mime.FormatMediaType(kind, map[string]string{"filename": name}))
		policy := sandbox
		if media == "application/pdf" {
			policy = "frame-ancestors 'self'" // browsers show PDF in a viewer of its own, which a sandbox forbids
		}
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("ETag", `"`+file.Blob+`"`)
		h.Set("Cache-Control", "no-cache")
		http.ServeContent(w, req, "", file.ModifiedAt, file)
		return nil
	})
	handle(http.MethodPut, route.Access{Action: "artifact.write", Resource: "run/{id}", Audit: route.Write, MaxBody: -1}, func(w http.ResponseWriter, req *http.Request, where string) error {
		a, err := files.PutArtifact(req.Context(), where, req.Body, track.Expect{Size: max(req.ContentLength, 0), SHA256: req.Header.Get("X-Checksum-Sha256"), BLAKE3: req.Header.Get("X-Checksum-Blake3")})
		if err != nil {
			return err
		}
		w.Header().Set("ETag", `"`+a.Blob+`"`)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	handle(http.MethodDelete, route.Access{Action: "artifact.delete", Resource: "run/{id}", Audit: route.Write}, func(w http.ResponseWriter, req *http.Request, where string) error {
		if err := files.DeleteArtifacts(req.Context(), where); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/queue"
)

type listJobsInput struct {
	Project string `query:"project" doc:"only of this project"`
	Kind    string `query:"kind"`
	State   string `query:"state" doc:"waiting, running, done, failed, canceled, or active for the first two"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type listJobsOutput struct {
	Body struct {
		Items []queue.Job `json:"items"`
	}
}

type jobInput struct {
	ID string `path:"id"`
}

// JobOutput answers with one job; every call that starts long work does.
type JobOutput struct {
	Body queue.Job
}

// RegisterJobs adds the list of jobs, one job, its live stream and its end.
func RegisterJobs(r *route.Router, q *queue.Queue) {
	all := route.Access{Action: "job.read", Resource: "job", Audit: route.Read}
	one := route.Access{Action: "job.read", Resource: "job/{id}", Audit: route.Read}
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/jobs", Summary: "Long work, the newest first"}, all,
		func(ctx context.Context, in *listJobsInput) (*listJobsOutput, error) {
			jobs, err := q.List(ctx, queue.Filter{Project: in.Project, Kind: in.Kind, State: in.State, Limit: in.Limit})
			out := &listJobsOutput{}
			out.Body.Items = jobs
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/jobs/{id}", Summary: "One job"}, one,
		func(ctx context.Context, in *jobInput) (*JobOutput, error) {
			job, err := q.Get(ctx, in.ID)
			return &JobOutput{Body: job}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/jobs/{id}/cancel", Summary: "End a job; a final one stays as it is"},
		route.Access{Action: "job.cancel", Resource: "job/{id}", Audit: route.Write},
		func(ctx context.Context, in *jobInput) (*JobOutput, error) {
			job, err := q.Cancel(ctx, in.ID)
			return &JobOutput{Body: job}, err
		})
	// The stream of one job ends with its final state; a reader that comes late gets the present state first.
	r.HandleStream(route.Prefix+"/jobs/{id}/stream", one, func(ctx context.Context, req *http.Request, stream *route.Stream) error {
		err := q.Follow(ctx, req.PathValue("id"), func(job queue.Job) error { return stream.Send("job", "", job) })
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	r.HandleStream(route.Prefix+"/jobs/stream", all, func(ctx context.Context, req *http.Request, stream *route.Stream) error {
		project := req.URL.Query().Get("project")
		changes, stop := q.Watch()
		defer stop()
		if err := stream.Open(); err != nil {
			return err
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case job := <-changes:
				if project != "" && job.Project != project {
					continue
				}
				if err := stream.Send("job", "", job); err != nil {
					return err
				}
			}
		}
	})
}

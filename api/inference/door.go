// Package inference is the data plane: the doors through which rows are asked about, one package per dialect.
//
// It owns which dialects there are. It must never hold a rule: rows are validated, routed, answered and logged by serve.
package inference

import (
	"net/http"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/oip"
	"github.com/trimtab-ml/trimtab/api/inference/rows"
	"github.com/trimtab-ml/trimtab/api/inference/scoring"
	"github.com/trimtab-ml/trimtab/api/inference/tfserving"
	"github.com/trimtab-ml/trimtab/api/inference/torchserve"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Options are what the doors say about the program, and what they take.
type Options = codec.Options

// Register adds the doors.
func Register(r *route.Router, s *serve.Service, opt Options) {
	r.Errors(writeProblem, "/d/")
	rows.Register(r, s, opt)
	oip.Register(r, s, opt)
	tfserving.Register(r, s, opt)
	torchserve.Register(r, s, opt)
	scoring.Register(r, s, opt)
}

// problems are the forms of errors under the base path of a deployment, /d/{deployment}/{dialect}.
var problems = map[string]route.ErrorWriter{
	"oip": oip.WriteProblem,
}

// writeProblem answers in the form of the dialect that the path names.
func writeProblem(w http.ResponseWriter, req *http.Request, p *route.Problem) {
	if parts := strings.SplitN(req.URL.Path, "/", 5); len(parts) > 3 {
		if write := problems[parts[3]]; write != nil {
			write(w, req, p)
			return
		}
	}
	oip.WriteProblem(w, req, p)
}

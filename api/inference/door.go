// Package inference is the data plane: the doors through which rows are asked about, one package per dialect.
//
// It owns which dialects there are. It must never hold a rule: rows are validated, routed, answered and logged by serve.
package inference

import (
	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/oip"
	"github.com/trimtab-ml/trimtab/api/inference/rows"
	"github.com/trimtab-ml/trimtab/api/inference/scoring"
	"github.com/trimtab-ml/trimtab/api/inference/tfserving"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Options are what the doors say about the program, and what they take.
type Options = codec.Options

// Register adds the doors.
func Register(r *route.Router, s *serve.Service, opt Options) {
	rows.Register(r, s, opt)
	oip.Register(r, s, opt)
	tfserving.Register(r, s, opt)
	scoring.Register(r, s, opt)
}

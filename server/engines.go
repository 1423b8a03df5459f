package server

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/infra/worker"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// engines opens versions in processes of their own.
type engines struct{ manager *worker.Manager }

// Open implements registry.Engines.
func (e *engines) Open(ctx context.Context, w registry.WorkerSpec) (predictor.Predictor, error) {
	s := worker.Spec{Name: fmt.Sprintf("%s v%d", w.Model, w.Version), Kind: worker.Kind(w.Kind), Dir: w.Dir, File: w.Path, Start: w.Timeout,
		Inputs: w.Inputs, Outputs: w.Outputs}
	s.Env.Interpreter = w.Python
	if w.Requirements != "" && w.Python == "" {
		s.Env.Requirements = filepath.Join(w.Dir, filepath.FromSlash(w.Requirements))
	}
	p, err := e.manager.Open(ctx, s)
	if err != nil {
		return nil, err
	}
	return pool{p}, nil
}

// pool is a worker pool as the registry asks it.
type pool struct{ *worker.Pool }

// Classes implements registry.Described.
func (p pool) Classes() []string {
	var out []string
	for _, c := range p.Model().About.Classes {
		switch c := c.(type) {
		case string:
			out = append(out, c)
		case bool:
			out = append(out, strconv.FormatBool(c))
		case float64:
			out = append(out, strconv.FormatFloat(c, 'f', -1, 64))
		case json.Number:
			out = append(out, c.String())
		default:
			out = append(out, fmt.Sprint(c))
		}
	}
	return out
}

package frame

import (
	"context"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Version reads the version of a path; "" is none, which leaves it to the route.
func Version(deployment, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return 0, fault.New(fault.NotFound, "%s has no version %q", codec.Clip(deployment), codec.Clip(text)).WithHint("versions are 1, 2, 3, …")
	}
	return v, nil
}

// Signature is that of the version that a choice means, and its number; of the champion where the route decides.
func Signature(ctx context.Context, s *serve.Service, deployment string, c serve.Choice) (*registry.Signature, int, error) {
	if c.Label != "" {
		d, err := s.Get(ctx, deployment)
		if err != nil {
			return nil, 0, err
		}
		if c.Version = labelled(&d.Route, c.Label); c.Version == 0 {
			return nil, 0, fault.New(fault.NotFound, "%s has no version %q", codec.Clip(deployment), codec.Clip(c.Label)).
				WithHint("labels are stable, those of the route and, while there is one, canary: trimtab deployments show %s", deployment)
		}
	}
	return s.Signature(ctx, deployment, c.Version)
}

// labelled is the version that a label of a route stands for; 0 for a label that is none.
func labelled(r *serve.Route, label string) int {
	switch label {
	case "stable", "champion":
		return r.Champion
	case "canary":
		return r.Canary
	case "standby":
		return r.Standby
	}
	return r.Labels[label]
}

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
	if c.Label == "canary" {
		d, err := s.Get(ctx, deployment)
		if err != nil {
			return nil, 0, err
		}
		if c.Version = d.Route.Canary; c.Version == 0 {
			return nil, 0, fault.New(fault.NotFound, "%s has no canary", codec.Clip(deployment))
		}
	}
	return s.Signature(ctx, deployment, c.Version)
}

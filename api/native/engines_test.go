package native

import (
	"slices"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

func TestRolesAreWhatTheRouteHasAVersionDo(t *testing.T) {
	route := &serve.Route{Champion: 1, Standby: 2, Shadow: 2, ShadowShare: 1, Variants: []serve.Variant{{Version: 1, Share: 0.5}, {Version: 3, Share: 0.5}},
		Rules: []serve.Rule{{Header: "x-team", Value: "a", Version: 4}, {Header: "x-team", Value: "b", Version: 4}}, Labels: map[string]int{"next": 4, "beta": 4}}
	for version, want := range map[int][]string{1: {"champion"}, 2: {"standby", "shadow"}, 3: {"contender"}, 4: {"rule", "beta", "next"}, 5: {}} {
		if got := roles(route, version); !slices.Equal(got, want) {
			t.Errorf("v%d: %q, want %q", version, got, want)
		}
	}
}

func TestEngineStates(t *testing.T) {
	d := &serve.Deployment{}
	for _, c := range []struct {
		name   string
		status predictor.Status
		want   string
	}{
		{"in this process", predictor.Status{Engine: "native"}, "ready"},
		{"one of two is up", predictor.Status{Workers: []predictor.Worker{{State: "starting"}, {State: "busy"}}}, "ready"},
		{"none is up", predictor.Status{Workers: []predictor.Worker{{State: "starting"}}}, "starting"},
		{"broken", predictor.Status{Workers: []predictor.Worker{{State: "ready"}}, Broken: "it crashed too often"}, "broken"},
	} {
		got := engineView(&c.status, d, 1)
		if got.State != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.State, c.want)
		}
		if got.Workers == nil || got.Isolated == nil || got.Log == nil || got.Since != nil {
			t.Errorf("%s: a list is null, or since is set: %+v", c.name, got)
		}
	}
}

func TestRequestTimesAreMeans(t *testing.T) {
	got := engineRequests(&serve.Statistics{InferenceCount: 12, ExecutionCount: 4, LastInference: 1_700_000_000_000,
		Success: serve.Duration{Count: 4, NS: 8_000_000}, ComputeInfer: serve.Duration{Count: 4, NS: 1_000_000}, Fail: serve.Duration{Count: 1}})
	if got.Answered != 4 || got.Failed != 1 || got.Rows != 12 || got.TotalMS != 2 || got.ScoreMS != 0.25 || got.QueueMS != 0 {
		t.Errorf("%+v", got)
	}
	if got.Last == nil || !got.Last.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("last asked %v", got.Last)
	}
}

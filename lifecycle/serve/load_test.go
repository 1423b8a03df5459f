package serve_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/limit"
)

// A deployment with a limit refuses what does not fit, and answers the rest; one that waited has the route of its turn.
func TestLimitsOfADeployment(t *testing.T) {
	b := newBench(t)
	may := make(chan struct{})
	b.shop.versions[1].Learned = stuck{may: may, asked: new(atomic.Int64)}
	b.start(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	must(t, b.Configure(t.Context(), "delays", func(s *serve.Settings) { s.Limits = limit.Options{Concurrency: 1, Queue: 1, MaxRows: 2} }))
	if _, err := b.Infer(t.Context(), "delays", serve.Choice{}, batch(full(), full(), full())); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
	var versions [2]int
	var wg sync.WaitGroup
	ask := func(i int) {
		wg.Go(func() {
			a, err := b.Infer(context.Background(), "delays", serve.Choice{}, batch(full()))
			if err != nil {
				t.Error(err)
				return
			}
			versions[i] = a.Version
		})
	}
	wait := func(holds func(l *serve.Load) bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !holds(b.Load("delays")); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%+v", b.Load("delays"))
			}
		}
	}
	ask(0)
	wait(func(l *serve.Load) bool { return l.Running == 1 })
	ask(1)
	wait(func(l *serve.Load) bool { return l.Waiting == 1 })
	if _, err := b.Infer(t.Context(), "delays", serve.Choice{}, batch(full())); !fault.Is(err, fault.TooMany) {
		t.Error(err)
	}
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 2}))
	close(may)
	wg.Wait()
	if versions != [2]int{1, 2} {
		t.Errorf("v%d answered the one under way, v%d the one that waited through the swap", versions[0], versions[1])
	}
	if l := b.Load("delays"); l.Refused != 1 || l.Running != 0 || l.Waiting != 0 {
		t.Errorf("%+v", l)
	}
}

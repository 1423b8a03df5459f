package queue_test

import (
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/infra/queue/queuetest"
)

func TestConformance(t *testing.T) {
	queuetest.Run(t, func(t *testing.T, path string, opts queue.Options) (*catalog.DB, queuetest.Queue) {
		t.Helper()
		db, err := catalog.Open(t.Context(), path, queue.Schema)
		if err != nil {
			t.Fatal(err)
		}
		return db, queue.New(db, opts)
	})
}

func TestRegisterMistakesArePanics(t *testing.T) {
	q := queue.New(nil, queue.Options{})
	q.Register("a", nil)
	defer func() {
		if recover() == nil {
			t.Error("a kind was registered twice")
		}
	}()
	q.Register("a", nil)
}

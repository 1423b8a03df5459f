package exchange

import (
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func readONNX(b []byte) (learner.Model, *Info, error) {
	return nil, nil, fault.New(fault.NotSupported, "this format is not built yet")
}
func isONNX(b []byte) bool { return false }

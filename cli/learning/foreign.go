package learning

import (
	"fmt"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
)

// openForeign reads a model without a schema.
func openForeign(b []byte) (*model, error) {
	m, info, err := exchange.Read(b)
	if err != nil {
		return nil, err
	}
	return &model{Model: &tabular.Model{Model: m, About: map[string]any{"format": info.Format, "objective": info.Objective}},
		names: info.Names, words: info.Categories, labels: info.Classes}, nil
}

// numbered are the numbers of a model's classes as names.
func numbered(m learn.Model) []string {
	n := m.Outputs()
	switch m.Task() {
	case learn.Binary:
		n = 2
	case learn.Multiclass:
	default:
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

// named are names for n features.
func named(names []string, n int) []string {
	if len(names) == n {
		return names
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("f%d", i)
	}
	return out
}

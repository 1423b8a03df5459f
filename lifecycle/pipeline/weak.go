package pipeline

import (
	"context"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// weakSlices searches what the model reads, and the columns that the file cuts by, for held-out rows that it does worst on.
// Personal columns, what is derived from them, and times are left out: values of the one must not be shown, and ranges of
// the other do not come again.
func (b *build) weakSlices(ctx context.Context, held *registry.Held, test *frame) (*evaluate.WeakSlices, error) {
	sig := &test.signature
	in, err := features(sig, test.inputs)
	if err != nil {
		return nil, err
	}
	var columns []*table.Column
	seen := map[string]bool{}
	add := func(name string, c *table.Column) {
		if c == nil || seen[name] || c.Kind == table.Datetime || personal(sig, name) {
			return
		}
		named := *c
		named.Name, seen[name] = name, true
		columns = append(columns, &named)
	}
	for i, name := range sig.Features {
		add(name, in.Columns[i])
	}
	for _, name := range b.p.File.Evaluate.Slices {
		add(name, test.slices.Column(name))
	}
	b.progress(0, 0, "", "searching for weak slices")
	return registry.FindWeak(ctx, held, columns, b.workers)
}

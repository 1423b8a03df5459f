package data

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Pending says what an Ingest of req would read, without reading more than the bytes for their hash: the number of the version that
// stands (0: none), and why it would be left behind. An empty reason means that the version holds these files already.
func (s *Service) Pending(ctx context.Context, req IngestRequest) (number int, reason string, err error) {
	patterns := req.Files
	if len(patterns) == 0 {
		patterns = req.Spec.Files
	}
	sources, err := resolve(req.Dir, patterns, req.Spec.Format)
	if err != nil {
		return 0, "", err
	}
	before, err := s.Latest(ctx, req.Project, req.Dataset)
	if fault.Is(err, fault.NotFound) {
		return 0, fmt.Sprintf("read %d file(s)", len(sources)), nil
	}
	if err != nil {
		return 0, "", err
	}
	r, err := newReading(req.Spec, s.keys, before)
	if err != nil {
		return 0, "", err
	}
	held := map[string]bool{}
	for _, p := range before.Parts {
		if p.Kind == Ingested {
			held[p.SourceHash] = true
		}
	}
	var fresh []string
	for i := range sources {
		if err := sources[i].digest(ctx); err != nil {
			return 0, "", err
		}
		reading, err := r.hash(sources[i].format)
		if err != nil {
			return 0, "", err
		}
		staged, err := s.findStaged(ctx, sources[i].hash, reading)
		if err != nil {
			return 0, "", err
		}
		if !held[sources[i].hash] || staged == nil { // new bytes, or bytes to be read in another way
			fresh = append(fresh, sources[i].name)
		}
		delete(held, sources[i].hash)
	}
	switch {
	case len(fresh) > 0:
		slices.Sort(fresh)
		reason = "read " + strings.Join(fresh, ", ")
	case len(held) > 0:
		reason = fmt.Sprintf("leave out %d file(s) of v%d", len(held), before.Number)
	}
	return before.Number, reason, nil
}

package track

import "github.com/trimtab-ml/trimtab/infra/series"

// IndexBytes is how much memory the index of runs takes.
func (s *Service) IndexBytes() int64 { return s.index.bytes() }

// PackLatest is what a run's row keeps of its metrics.
func PackLatest(latest map[string]series.Point) []byte { return packLatest(latest) }

package serve

import "github.com/trimtab-ml/trimtab/internal/fault"

// pick says which version answers a bucket when the caller left it to the route.
func (l *live) pick(bucket uint16, first *resident) (*resident, Arm) {
	if l.canary != nil && bucket < l.below {
		return l.canary, Canary
	}
	return first, Champion
}

// labelled finds the version that a label stands for: stable and champion are the champion, canary is the canary.
func (l *live) labelled(label string) (*resident, error) {
	switch label {
	case "stable", "champion":
		return l.version(0)
	case "canary":
		if l.canary != nil {
			return l.canary, nil
		}
	}
	return nil, fault.New(fault.NotFound, "%s has no version %q", l.deployment.Name, clip(label)).WithHint("labels are champion and, while there is one, canary")
}

// ruled finds the version that a rule of the route sends a request to; nil when none does.
func (l *live) ruled(*Batch) *resident { return nil }

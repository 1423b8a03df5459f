package project

import (
	"maps"
	"slices"
)

// strategies says which strategies the keys of deploy belong to; the first is the one that a hint names.
var strategies = map[string][]string{"steps": {"canary"}, "abort_when": {"canary", "shadow", "ab"}, "blue_green": {"blue_green"}, "shadow": {"shadow"}, "ab": {"ab"}}

// strategy refuses keys that belong to another strategy than the file's, and what they cannot say.
func (c *checker) strategy(d *Deploy) {
	for _, key := range slices.Sorted(maps.Keys(strategies)) {
		of := strategies[key]
		_, there := c.nodes["deploy."+key]
		if !there || slices.Contains(of, d.Strategy) || key == "steps" && d.canary() || c.faultAt("deploy.strategy") {
			continue
		}
		what := "the strategy " + of[0]
		if of[0] == "canary" {
			what = "a canary"
		}
		c.faulty("deploy."+key+"@key", "deploy.%s belongs to %s, and the strategy is %s", key, what, d.Strategy).
			WithHint("remove %s, or write strategy: %s", key, of[0])
	}
	if d.Shadow != nil {
		c.share("deploy.shadow.share", d.Shadow.Share)
		if d.Shadow.Requests < 0 {
			c.faulty("deploy.shadow.requests", "a number of requests cannot be negative")
		}
	}
	if d.AB != nil {
		c.share("deploy.ab.share", d.AB.Share)
	}
}

// share refuses a share of nothing.
func (c *checker) share(path, text string) {
	if _, there := c.nodes[path]; !there || c.faultAt(path) {
		return
	}
	if v, err := ParseShare(text); err != nil {
		c.inText(path, err)
	} else if v <= 0 {
		c.faulty(path, "a share of %s takes nothing", text).WithHint("write a share such as 50%%")
	}
}

// limits refuses numbers that cannot be.
func (c *checker) limits(l *Limits) {
	if l == nil {
		return
	}
	counts := map[string]int64{"concurrency": int64(l.Concurrency), "queue": int64(l.Queue), "max_rows": int64(l.MaxRows), "timeout": int64(l.Timeout)}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if counts[key] < 0 {
			c.faulty("deploy.limits."+key, "%s cannot be negative", key)
		}
	}
	if l.Queue > 0 && l.Concurrency == 0 && !c.faultAt("deploy.limits.concurrency") {
		c.faulty("deploy.limits.queue@key", "nothing waits where any number of requests is answered at once").WithHint("add concurrency: 8")
	}
	if l.MaxRows > 10_000 {
		c.faulty("deploy.limits.max_rows", "no request has more than 10000 rows")
	}
	const most = 1 << 20
	if l.Cache != nil && (l.Cache.Megabytes <= 0 || l.Cache.Megabytes > most) {
		if _, there := c.nodes["deploy.limits.cache.megabytes"]; there && !c.faultAt("deploy.limits.cache.megabytes") {
			c.faulty("deploy.limits.cache.megabytes", "a cache has 1 to %d megabytes", most)
		}
	}
}

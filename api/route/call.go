package route

import (
	"net/http"
	"time"
)

// Call is a route that requests reach by a transport of their own: a method of a gRPC service. It stands in the table, and is guarded,
// counted and audited as every other route. It is safe for concurrent use.
type Call struct {
	router  *Router
	pattern string
	access  Access
	series  *series
}

// Call adds a method by its path, /package.Service/Method. h answers who comes to that path through HTTP; it has been guarded and
// counted already, and its body is not bounded.
func (r *Router) Call(pattern string, a Access, h http.HandlerFunc) *Call {
	a.call, a.MaxBody, a.Plain = true, -1, true
	r.Handle(http.MethodPost, pattern, a, h)
	return &Call{router: r, pattern: pattern, access: a, series: r.metrics.route(pattern, a)}
}

// Unmatched is the call that stands for those that are none: guarded as reading is, counted together.
func (r *Router) Unmatched() *Call {
	a := Access{Action: "api.miss", Resource: "api", Audit: Read}
	return &Call{router: r, pattern: "unmatched", access: a, series: r.metrics.route("unmatched", a)}
}

// Admit returns nil or the fault that explains the refusal. authority is the name that the caller calls the server by; authorization and
// origin are what the headers of these names would be, "" = none.
func (c *Call) Admit(authority, authorization, origin string) error {
	return c.AdmitAs(c.access.Audit, authority, authorization, origin)
}

// AdmitAs is Admit with the rules of another class, for methods that tell more to some than to others.
func (c *Call) AdmitAs(class Class, authority, authorization, origin string) error {
	g := c.router.guard
	if err := g.admitHost(authority); err != nil {
		return err
	}
	if origin != "" {
		req := &http.Request{Method: http.MethodPost, Host: authority, Header: http.Header{"Origin": {origin}}}
		if g.origin.Check(req) != nil {
			return foreignPage()
		}
	}
	return g.admitCaller(authorization, class)
}

// Begin counts a request that is being answered; its End must follow.
func (c *Call) Begin() time.Time {
	c.series.begin()
	return time.Now()
}

// End counts it as answered, with the status that it would have had over HTTP. actor and authorization are the headers X-Trimtab-Actor
// and Authorization, for the audit line of what writes; resource is what it acted on.
func (c *Call) End(begun time.Time, status int, actor, authorization, resource string) {
	took := time.Since(begun)
	c.series.end(status, took)
	if c.access.Audit == Write {
		c.router.log.Info("audit", "actor", actorOf(actor, authorization), "action", c.access.Action, "resource", resource, "status", status, "ms", took.Milliseconds())
	}
}

// Writes tells whether the call leaves an audit line.
func (c *Call) Writes() bool { return c.access.Audit == Write }

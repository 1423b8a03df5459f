package route

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// guard decides whether a request may pass. A server on a loopback address trusts everyone who can open the port,
// so it must not be reachable through a browser that visits a hostile page: the Host header must name this machine
// (DNS rebinding) and a request that changes something must come from our own pages (cross-site request forgery).
// A server on any other address asks for the token.
type guard struct {
	token    [sha256.Size]byte
	hasToken bool
	anyHost  bool
	hosts    map[string]bool
	origin   *http.CrossOriginProtection
}

func newGuard(cfg Config) *guard {
	g := &guard{hasToken: cfg.Token != "", token: sha256.Sum256([]byte(cfg.Token)), hosts: map[string]bool{},
		origin: http.NewCrossOriginProtection()}
	for _, host := range cfg.Hosts {
		if host == "*" {
			// Without a token the Host header is all that keeps hostile pages out.
			g.anyHost = g.hasToken
			continue
		}
		g.hosts[strings.ToLower(host)] = true
	}
	if g.hasToken && len(cfg.Hosts) == 0 {
		g.anyHost = true
	}
	return g
}

// admit returns nil or the fault that explains the refusal.
func (g *guard) admit(req *http.Request, class Class) error {
	if !g.anyHost && !g.ownHost(req.Host) {
		return fault.New(fault.Denied, "this server does not answer to the host %q", req.Host).
			WithHint("use http://127.0.0.1 or http://localhost with the port of the server")
	}
	if g.origin.Check(req) != nil {
		return fault.New(fault.Denied, "a page of another site must not send this request").
			WithHint("send it from the server's own pages or from a program that sets no Origin")
	}
	if class == Public || !g.hasToken || g.authentic(req) {
		return nil
	}
	return fault.New(fault.Unauthenticated, "this server asks for its token").
		WithHint("set TRIMTAB_TOKEN to the contents of the file `token` in the server's state directory")
}

// ownHost reports whether a Host header names this machine: localhost or a loopback address, or a configured name.
func (g *guard) ownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "localhost" || host == "127.0.0.1" {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if host == "localhost" || g.hosts[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// authentic compares the presented token with ours in constant time. Basic carries it as the password, whatever the
// name is, so that MLFLOW_TRACKING_USERNAME and _PASSWORD work, and browsers ask for it.
func (g *guard) authentic(req *http.Request) bool {
	header := req.Header.Get("Authorization")
	var presented string
	if scheme, rest, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "bearer") {
		presented = strings.TrimSpace(rest)
	} else if _, password, ok := req.BasicAuth(); ok {
		presented = password
	}
	if presented == "" {
		return false
	}
	sum := sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// actor names who sends the request: the name of Basic, or what the client says. Everyone who may call is the same
// principal until there are users; the name is a label for the history, not a right.
func actor(req *http.Request) string {
	name := req.Header.Get("X-Trimtab-Actor")
	if user, _, ok := req.BasicAuth(); ok && name == "" {
		name = user
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "user"
	}
	return "user:" + name
}

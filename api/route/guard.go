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
	if err := g.admitHost(req.Host); err != nil {
		return err
	}
	if g.origin.Check(req) != nil {
		return foreignPage()
	}
	return g.admitCaller(req.Header.Get("Authorization"), class)
}

// admitHost refuses a name that is not this server's.
func (g *guard) admitHost(host string) error {
	if g.anyHost || g.ownHost(host) {
		return nil
	}
	return fault.New(fault.Denied, "this server does not answer to the host %q", host).
		WithHint("use http://127.0.0.1 or http://localhost with the port of the server")
}

func foreignPage() error {
	return fault.New(fault.Denied, "a page of another site must not send this request").
		WithHint("send it from the server's own pages or from a program that sets no Origin")
}

// admitCaller refuses who does not present the token where one is asked for.
func (g *guard) admitCaller(authorization string, class Class) error {
	if class == Public || !g.hasToken || g.authentic(authorization) {
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
func (g *guard) authentic(authorization string) bool {
	var presented string
	if scheme, rest, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "bearer") {
		presented = strings.TrimSpace(rest)
	} else if _, password, ok := basic(authorization); ok {
		presented = password
	}
	if presented == "" {
		return false
	}
	sum := sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// basic reads the name and the password of an Authorization header.
func basic(authorization string) (user, password string, ok bool) {
	if authorization == "" {
		return "", "", false
	}
	return (&http.Request{Header: http.Header{"Authorization": {authorization}}}).BasicAuth()
}

// actor names who sends the request: the name of Basic, or what the client says. Everyone who may call is the same
// principal until there are users; the name is a label for the history, not a right.
func actor(req *http.Request) string {
	return actorOf(req.Header.Get("X-Trimtab-Actor"), req.Header.Get("Authorization"))
}

func actorOf(name, authorization string) string {
	if user, _, ok := basic(authorization); ok && name == "" {
		name = user
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "user"
	}
	return "user:" + name
}

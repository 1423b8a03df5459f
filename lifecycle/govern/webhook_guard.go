package govern

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Resolver looks addresses of names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Bounds of one attempt.
const (
	webhookTimeout = 10 * time.Second // from the look-up of the name to the end of the answer
	lookupTimeout  = 3 * time.Second
	maxRedirects   = 3
)

// guard keeps webhooks from being used to reach what only this machine can reach. Whoever may make a webhook chooses an address, and a
// name may be resolved to another address each time, so what counts is the address that is dialled.
type guard struct {
	resolver Resolver
	hosts    []hostPort
	nets     []netPort
}

type hostPort struct{ host, port string } // port "" = any

type netPort struct {
	prefix netip.Prefix
	port   string
}

// newGuard reads the exceptions: host, host:port, address, address:port or prefix.
func newGuard(resolver Resolver, allow []string) (*guard, error) {
	g := &guard{resolver: resolver}
	for _, entry := range allow {
		host, port := entry, ""
		if h, p, err := net.SplitHostPort(entry); err == nil {
			host, port = h, p
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return nil, notAllowable(entry)
			}
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if prefix, err := netip.ParsePrefix(host); err == nil {
			g.nets = append(g.nets, netPort{prefix.Masked(), port})
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil {
			a = a.Unmap()
			g.nets = append(g.nets, netPort{netip.PrefixFrom(a, a.BitLen()), port})
			continue
		}
		if host == "" || strings.ContainsAny(host, "/:@ *") || numeric(host) {
			return nil, notAllowable(entry)
		}
		g.hosts = append(g.hosts, hostPort{strings.ToLower(strings.TrimSuffix(host, ".")), port})
	}
	return g, nil
}

func notAllowable(entry string) error {
	return fault.New(fault.Invalid, "%q is not a host, host:port or address prefix that webhooks may call", entry).
		WithHint("write it like ci.internal, ci.internal:8080, 127.0.0.1 or 10.0.0.0/8")
}

// named reports whether the exceptions name a host, whatever its addresses.
func (g *guard) named(host, port string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, h := range g.hosts {
		if h.host == host && (h.port == "" || h.port == port) {
			return true
		}
	}
	return false
}

// excepted reports whether the exceptions hold an address.
func (g *guard) excepted(a netip.Addr, port string) bool {
	for _, n := range g.nets {
		if n.prefix.Contains(a) && (n.port == "" || n.port == port) {
			return true
		}
	}
	return false
}

// checkURL refuses an address that will never be called: another scheme than https (http where an exception names the host), a host that
// is written to be misread, and addresses that are not public. A name that cannot be looked up now may be later.
func (g *guard) checkURL(ctx context.Context, address string) error {
	if strings.TrimSpace(address) == "" {
		return fault.New(fault.Invalid, "Webhook URL cannot be empty or just whitespace: '%s'", address)
	}
	if len(address) > maxWebhookURL {
		return fault.New(fault.Invalid, "a webhook URL has at most %d bytes", maxWebhookURL)
	}
	u, err := url.Parse(address)
	if err != nil {
		return fault.New(fault.Invalid, "Invalid webhook URL '%.200s': it cannot be parsed", address)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return badScheme(u.Scheme)
	}
	host := u.Hostname()
	if host == "" {
		return fault.New(fault.Invalid, "Webhook URL must include a hostname: '%.200s'", address)
	}
	if u.User != nil {
		return fault.New(fault.Invalid, "Webhook URL must not include embedded credentials").WithHint("sign deliveries with a secret, or put a token into the path")
	}
	port := portOf(u)
	excepted := g.named(host, port)
	var found []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{a}
	} else if strings.Contains(host, ":") || numeric(host) {
		return fault.New(fault.Invalid, "Webhook URL host '%.200s' is not a canonical IP address literal.", host)
	} else if !excepted {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		found, _ = g.resolver.LookupNetIP(ctx, "ip", host) // a name that is not known yet: what counts is the call
	}
	all := len(found) > 0
	for _, a := range found {
		in := g.excepted(a.Unmap(), port)
		all = all && in
		if !in && !excepted && !public(a) {
			return fault.New(fault.Invalid, "Webhook URL must not resolve to a non-public IP address. '%.200s' resolves to %s.", host, a).
				WithHint("start the server with --webhook-allow %s to have webhooks call it", net.JoinHostPort(host, port))
		}
	}
	if u.Scheme == "http" && !excepted && !all {
		return badScheme(u.Scheme).WithHint("start the server with --webhook-allow %s to have webhooks call it without encryption", net.JoinHostPort(host, port))
	}
	return nil
}

func badScheme(scheme string) *fault.Error {
	return fault.New(fault.Invalid, "Invalid webhook URL scheme: '%.50s'. Allowed schemes are: https.", scheme)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// numeric reports whether the last label of a host is a number, as in 2130706433, 0x7f.1 or 127.1: resolvers read such names as
// addresses (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return true
	}
	_, err := strconv.ParseUint(last, 0, 64) // also 0x and 0
	return err == nil || strings.Trim(last, "0123456789") == ""
}

// special are prefixes of unicast addresses that are not public (IANA's special-purpose registries), and addresses by which clouds hand
// out credentials of their machines.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32", "2001::/23", "2001:db8::/32", "3fff::/20")

var (
	globalV6  = netip.MustParsePrefix("2000::/3")
	sixToFour = netip.MustParsePrefix("2002::/16")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// public reports whether everybody can reach an address. Addresses that carry an IPv4 address are what they carry.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" {
		return false
	}
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a):
			return public(netip.AddrFrom4([4]byte(b[12:])))
		case sixToFour.Contains(a):
			return public(netip.AddrFrom4([4]byte(b[2:6])))
		case !globalV6.Contains(a):
			return false
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// errBlocked is the guard's refusal at the moment of the call.
var errBlocked = errors.New("not a public address")

// dial connects to the first address of a host that answers, and to none unless all may be called: a name that has both is a trap.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	var found []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{a}
	} else if found, err = g.resolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, fmt.Errorf("look up %s: %w", host, err)
	}
	if !g.named(host, port) {
		for _, a := range found {
			if !g.excepted(a.Unmap(), port) && !public(a) {
				return nil, fmt.Errorf("%s is %s, %w", host, a, errBlocked)
			}
		}
	}
	err = fmt.Errorf("%s has no address", host)
	for _, a := range found {
		var conn net.Conn
		dialer := net.Dialer{Timeout: webhookTimeout / 2}
		if conn, err = dialer.DialContext(ctx, network, netip.AddrPortFrom(a, number(port)).String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func number(port string) uint16 {
	n, _ := strconv.ParseUint(port, 10, 16) // an address that was parsed before
	return uint16(n)
}

// newClient calls webhooks: through no proxy, which would make the addresses the proxy's, and following a redirect only where the message
// stays the same and with the same server.
func (g *guard) newClient() *http.Client {
	return &http.Client{
		Timeout: webhookTimeout,
		Transport: &http.Transport{DialContext: g.dial, MaxIdleConns: 32, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: webhookTimeout / 2,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			first := via[0].URL
			if len(via) > maxRedirects || req.Method != http.MethodPost || req.URL.Scheme != first.Scheme || !strings.EqualFold(req.URL.Host, first.Host) {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// hostOf is what is shown of an address where its path may hold a secret.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	return "its address"
}

package govern_test

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// names is a resolver that knows what it holds.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	found, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, text := range found {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

var someNames = names{
	"ok.example":         {"93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"},
	"private.example":    {"10.1.2.3"},
	"mixed.example":      {"93.184.215.14", "127.0.0.1"},
	"mapped.example":     {"::ffff:192.168.0.1"},
	"localhost":          {"127.0.0.1", "::1"},
	"metadata.example":   {"169.254.169.254"},
	"rebound.example":    {"127.0.0.1"},
	"unknown-yet.public": {"93.184.215.14"},
}

func TestAddressesThatWebhooksMayHave(t *testing.T) {
	for _, test := range []struct {
		url, allow string
		want       string // in the refusal; "" = taken
	}{
		{"https://ok.example/hook?x=y", "", ""},
		{"https://ok.example:8443/", "", ""},
		{"https://not-there.example/", "", ""}, // what counts is the call
		{"https://93.184.215.14/", "", ""},
		{"https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "", ""},
		{"", "", "Webhook URL cannot be empty or just whitespace: ''"},
		{"  ", "", "Webhook URL cannot be empty or just whitespace: '  '"},
		{"http://ok.example/", "", "Invalid webhook URL scheme: 'http'. Allowed schemes are: https."},
		{"ftp://ok.example/", "", "Invalid webhook URL scheme: 'ftp'. Allowed schemes are: https."},
		{"file:///etc/passwd", "", "Invalid webhook URL scheme: 'file'."},
		{"gopher://ok.example/", "", "Invalid webhook URL scheme"},
		{"ok.example/hook", "", "Invalid webhook URL scheme: ''"},
		{"https:///hook", "", "Webhook URL must include a hostname"},
		{"https://user:word@ok.example/", "", "embedded credentials"},
		{"https://\x00/", "", "Invalid webhook URL"},
		{"https://" + strings.Repeat("a", 3000) + "/", "", "at most"},
		{"https://private.example/", "", "Webhook URL must not resolve to a non-public IP address. 'private.example' resolves to 10.1.2.3."},
		{"https://mixed.example/", "", "resolves to 127.0.0.1"},
		{"https://mapped.example/", "", "non-public"},
		{"https://localhost/", "", "non-public"},
		{"https://127.0.0.1/", "", "non-public"},
		{"https://[::1]/", "", "non-public"},
		{"https://[::ffff:127.0.0.1]/", "", "non-public"},
		{"https://[::ffff:a9fe:a9fe]/", "", "non-public"}, // 169.254.169.254
		{"https://[fe80::1%25eth0]/", "", "non-public"},
		{"https://[64:ff9b::7f00:1]/", "", "non-public"}, // NAT64 of 127.0.0.1
		{"https://[2002:7f00:1::]/", "", "non-public"},   // 6to4 of 127.0.0.1
		{"https://2130706433/", "", "not a canonical IP address"},
		{"https://0x7f000001/", "", "not a canonical IP address"},
		{"https://017700000001/", "", "not a canonical IP address"},
		{"https://127.1/", "", "not a canonical IP address"},
		{"https://0177.0.0.1/", "", "not a canonical IP address"},
		{"https://127.0.0.1./", "", "not a canonical IP address"},
		{"https://ok.example.0x7f/", "", "not a canonical IP address"},
		{"https://169.254.169.254/latest/meta-data", "", "non-public"},
		{"https://0.0.0.0/", "", "non-public"},
		{"http://127.0.0.1:8080/", "127.0.0.1", ""},
		{"http://127.0.0.1:8080/", "127.0.0.1:8080", ""},
		{"http://127.0.0.1:8080/", "127.0.0.0/8", ""},
		{"http://[::1]:8080/", "[::1]:8080", ""},
		{"http://127.0.0.1:8080/", "127.0.0.1:9090", "non-public"},
		{"http://localhost/", "localhost", ""},
		{"http://LOCALHOST./", "localhost:80", ""},
		{"http://private.example/", "10.0.0.0/8", ""},
		{"https://private.example/", "192.168.0.0/16", "non-public"},
		{"https://mixed.example/", "127.0.0.1", ""},
		{"http://mixed.example/", "127.0.0.1", "Invalid webhook URL scheme"}, // it may be called at the public address too
	} {
		var allow []string
		if test.allow != "" {
			allow = []string{test.allow}
		}
		err := govern.CheckURL(t.Context(), someNames, allow, test.url)
		if test.want == "" && err != nil || test.want != "" && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%.80q with %q: %v, want %q", test.url, test.allow, err, test.want)
		}
	}
}

// TestTheAddressIsCheckedWhenItIsCalled: a name may have been public when the webhook was made.
func TestTheAddressIsCheckedWhenItIsCalled(t *testing.T) {
	server := httptest.NewServer(nil)
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"rebound.example", "mixed.example", "localhost", "127.0.0.1", "::ffff:127.0.0.1", "metadata.example", "private.example", "mapped.example"} {
		if err := govern.Dial(t.Context(), someNames, nil, net.JoinHostPort(host, port)); !errors.Is(err, govern.ErrBlocked) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, allow := range []string{"rebound.example", "rebound.example:" + port, "127.0.0.1", "127.0.0.1:" + port, "127.0.0.0/8"} {
		if err := govern.Dial(t.Context(), someNames, []string{allow}, "rebound.example:"+port); err != nil {
			t.Errorf("with %s: %v", allow, err)
		}
	}
	if err := govern.Dial(t.Context(), someNames, []string{"rebound.example:1"}, "rebound.example:"+port); !errors.Is(err, govern.ErrBlocked) {
		t.Errorf("on another port than the allowed one: %v", err)
	}
}

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"93.184.215.14": true, "8.8.8.8": true, "2606:4700::1111": true, "172.32.0.1": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "2002:808:808::1": true,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "127.0.0.1": false, "127.255.255.255": false, "169.254.1.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "100.64.0.1": false, "100.100.100.200": false, "192.0.0.192": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false,
		"203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "168.63.129.16": false, "::": false, "::1": false, "::ffff:10.0.0.1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false, "2001:db8::1": false, "2001::1": false,
		"64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:a00:1::": false, "3fff::1": false, "100::1": false, "4000::1": false,
	} {
		if got := govern.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is public: %v, want %v", text, got, want)
		}
	}
}

func TestExceptionsThatAreNone(t *testing.T) {
	for _, entry := range []string{"", "http://a.example", "a b", "*", "a.example:0", "a.example:http", "10.0.0.0/33", "2130706433", "user@a.example"} {
		if err := govern.CheckURL(t.Context(), someNames, []string{entry}, "https://ok.example/"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", entry, err)
		}
	}
}

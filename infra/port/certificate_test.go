package port

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// sign makes a certificate for 127.0.0.1 and localhost, as PEM.
func (a *authority) sign(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// files writes a certificate and its key.
func (a *authority) files(t *testing.T, dir string, serial int64) Files {
	t.Helper()
	f := Files{Cert: filepath.Join(dir, "server.crt"), Key: filepath.Join(dir, "server.key")}
	cert, key := a.sign(t, serial)
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	return f
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	files := a.files(t, t.TempDir(), 2)
	config, err := TLS(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	address, _ := serve(t, config)
	for proto, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}, ForceAttemptHTTP2: two}}
		if got := ask(t, client, "https://"+address+"/", 5000); got != proto+" POST 5000" {
			t.Errorf("%s: %q", proto, got)
		}
		client.CloseIdleConnections()
	}
	if err := checkHealth(t.Context(), address, credentials.NewTLS(&tls.Config{RootCAs: a.pool()})); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, _ := conn.Read(b)
	if !strings.Contains(string(b[:n]), "400 Bad Request") {
		t.Errorf("plain HTTP gets %q", b[:n])
	}
}

func TestClientsNeedCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	files := a.files(t, dir, 2)
	files.ClientCA = filepath.Join(dir, "clients.crt")
	write(t, files.ClientCA, a.pem)
	config, err := TLS(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	address, _ := serve(t, config)
	for name, c := range map[string]struct {
		signer *authority
		good   bool
	}{"none": {nil, false}, "of another authority": {other, false}, "ours": {a, true}} {
		client := &tls.Config{RootCAs: a.pool()}
		if c.signer != nil {
			cert, key := c.signer.sign(t, 9)
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			client.Certificates = []tls.Certificate{pair}
		}
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: client}}
		res, err := web.Get("https://" + address + "/")
		if (err == nil) != c.good {
			t.Errorf("HTTP with %s: %v", name, err)
		}
		if err == nil {
			res.Body.Close()
		}
		web.CloseIdleConnections()
		if err := checkHealth(t.Context(), address, credentials.NewTLS(client)); (err == nil) != c.good {
			t.Errorf("gRPC with %s: %v", name, err)
		}
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	files := a.files(t, dir, 2)
	now := time.Now()
	c := &certificates{files: files, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	serial := func() int64 { return c.current().Certificates[0].Leaf.SerialNumber.Int64() }
	later := now
	change := func(serial int64, broken string) {
		later = later.Add(time.Minute)
		cert, key := a.sign(t, serial)
		write(t, files.Cert, append(cert, broken...))
		if broken != "" {
			write(t, files.Cert, []byte(broken))
		}
		write(t, files.Key, key)
		for _, name := range []string{files.Cert, files.Key} { // as if a minute had passed
			if err := os.Chtimes(name, later, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(3, "")
	if serial() != 2 {
		t.Error("the files are looked at more than once a second")
	}
	now = now.Add(time.Second)
	if serial() != 3 {
		t.Error("the new certificate is not there")
	}
	change(4, "no certificate")
	now = now.Add(time.Second)
	if serial() != 3 {
		t.Error("a broken file took the place of a good one")
	}
	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if serial() != 3 {
		t.Error("a missing file took the place of a good one")
	}
	change(5, "")
	now = now.Add(time.Second)
	if serial() != 5 {
		t.Error("the good file after the broken one is not there")
	}
}

// TestConnectionsOutliveTheirCertificate: what is open goes on; what is new sees the new certificate.
func TestConnectionsOutliveTheirCertificate(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	files := a.files(t, dir, 2)
	now := time.Now()
	c := &certificates{files: files, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	address, _ := serve(t, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	serial := func(client *http.Client) int64 {
		res, err := client.Get("https://" + address + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if serial(client) != 2 {
		t.Error("not the first certificate")
	}
	a.files(t, dir, 3)
	for _, name := range []string{files.Cert, files.Key} {
		if err := os.Chtimes(name, now.Add(time.Minute), now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(2 * time.Second)
	if serial(client) != 2 {
		t.Error("the open connection was replaced")
	}
	fresh := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}}}
	defer fresh.CloseIdleConnections()
	if serial(fresh) != 3 {
		t.Error("a new connection has the old certificate")
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	files := a.files(t, dir, 2)
	for name, f := range map[string]Files{
		"missing": {Cert: filepath.Join(dir, "no.crt"), Key: files.Key}, "key for certificate": {Cert: files.Key, Key: files.Key}, "no authority": {Cert: files.Cert, Key: files.Key, ClientCA: files.Key}} {
		if _, err := TLS(f, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

package cli

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/cli/term"
)

// TestClientOverTLS: the server of this machine is known by the file of its certificate, one elsewhere by who signed it.
func TestClientOverTLS(t *testing.T) {
	remote := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer remote.Close()
	remote.Config.ErrorLog = nil
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right.crt"), filepath.Join(dir, "wrong.crt")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: remote.Certificate().Raw})
	for name, b := range map[string][]byte{right: cert, wrong: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("other")})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, certificate, ca, refused string
	}{
		{"unknown", "", "", "certificate"},
		{"signed", "", right, ""},
		{"own", right, "", ""},
		{"another than its own", wrong, "", "another certificate"},
	} {
		t.Setenv("TRIMTAB_CA", c.ca)
		client, err := newClient(term.Plain(nil, nil, nil), remote.URL, "", c.certificate)
		if err != nil {
			t.Fatal(err)
		}
		err = client.Do(t.Context(), http.MethodGet, "/health", nil, nil, io.Discard)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	t.Setenv("TRIMTAB_CA", filepath.Join(dir, "no.crt"))
	if _, err := newClient(term.Plain(nil, nil, nil), remote.URL, "", ""); err == nil {
		t.Error("a file that is not there is no authority")
	}
}

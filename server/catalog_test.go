package server_test

import (
	"bytes"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

// TestCatalogInPostgres starts on an address with a password, which must not show anywhere, and starts again without it.
func TestCatalogInPostgres(t *testing.T) {
	u, err := url.Parse(postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	open := u.String()
	query := u.Query()
	query.Set("password", "hunter2")
	u.RawQuery = query.Encode()
	var log bytes.Buffer
	dir := t.TempDir()
	cfg := server.Config{Dir: dir, Catalog: u.String(), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	s := start(t, cfg)
	if status, body := get(t, s.URL()+"/api/v1/projects"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	said := log.String()
	for _, file := range files {
		if filepath.Base(file) == server.CatalogFile {
			t.Error("there is a file of a catalog too")
		}
		if b, err := os.ReadFile(file); err == nil {
			said += string(b)
		}
	}
	if strings.Contains(said, "hunter2") {
		t.Error("the password is in the log or in a file")
	}

	// A second server, on a directory of its own, would take the first one's jobs for crashed ones.
	other := server.New(server.Config{Dir: t.TempDir(), Catalog: open, Listen: "127.0.0.1:0"})
	if err := other.Start(t.Context()); !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("a second server: %v", err)
	}
	stop(t, s)

	forgotten := server.New(server.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err := forgotten.Start(t.Context()); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), "TRIMTAB_CATALOG") {
		t.Errorf("without the address: %v", err)
	}
	stop(t, start(t, server.Config{Dir: dir, Catalog: open}))
	// Without a password in it, the address is remembered.
	again := server.New(server.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, again)
}

func TestACatalogIsNotSwappedUnseen(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, server.CatalogFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"a file is there": "postgres://me:hunter2@127.0.0.1:1/db", "not an address": "mysql://me@host/db"} {
		err := server.New(server.Config{Dir: dir, Catalog: address, Listen: "127.0.0.1:0"}).Start(t.Context())
		if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

func start(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "state")
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Catalog == "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if place := catalogtest.In(t, cfg.Dir); catalog.IsURL(place) {
			cfg.Catalog = place
		}
	}
	s := server.New(cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *server.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestStartAndStopTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	s := start(t, server.Config{Dir: dir, Version: "1.2.3"})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/health": "OK", "/ready": "OK", "/version": "3.17.2"} {
		if status, body := get(t, s.URL()+path); status != 200 || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if status, body := get(t, s.URL()+"/metrics"); status != 200 || !strings.Contains(body, `trimtab_build_info{`) {
		t.Errorf("/metrics: %d", status)
	}
	info, err := server.ReadInfo(dir)
	if err != nil || info.URL != s.URL() || info.PID != os.Getpid() || info.Version != "1.2.3" {
		t.Errorf("%+v, %v", info, err)
	}
	stop(t, s)
	stop(t, s)
	if _, err := server.ReadInfo(dir); !os.IsNotExist(err) {
		t.Errorf("a server that stopped can still be found: %v", err)
	}
	if server.Holder(dir) != "" {
		t.Error("the lock is held after the stop")
	}
	if _, err := http.Get(s.URL() + "/health"); err == nil {
		t.Error("it answers after the stop")
	}
	start(t, server.Config{Dir: dir})
}

func TestASecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, server.Config{Dir: dir})
	err := server.New(server.Config{Dir: dir, Listen: "127.0.0.1:0"}).Start(t.Context())
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if pid := server.Holder(dir); pid != fmt.Sprint(os.Getpid()) {
		t.Errorf("holder %q", pid)
	}
}

func TestAnAddressThatIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dir := t.TempDir()
	err = server.New(server.Config{Dir: dir, Listen: listener.Addr().String()}).Start(t.Context())
	if !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if server.Holder(dir) != "" {
		t.Error("the lock is held after a start that failed")
	}
	start(t, server.Config{Dir: dir})
}

func TestTokenIsMadeOnceKeptPrivateAndNeverLogged(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	s := start(t, server.Config{Dir: dir, Listen: "0.0.0.0:0", Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	path := filepath.Join(dir, server.TokenFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) != 64 {
		t.Errorf("a token of %d characters, want 64 (256 bits)", len(token))
	}
	if status, _ := get(t, s.URL()+"/api/v1/jobs"); status != 401 {
		t.Errorf("without the token: %d", status)
	}
	if status, _ := get(t, s.URL()+"/api/v1/jobs", "Authorization", "Bearer "+token); status != 200 {
		t.Errorf("with the token: %d", status)
	}
	if status, _ := get(t, s.URL()+"/health"); status != 200 {
		t.Errorf("/health: %d", status)
	}
	stop(t, s)
	if strings.Contains(log.String(), token) {
		t.Error("the token is in the log")
	}
	start(t, server.Config{Dir: dir})
	if again, err := os.ReadFile(path); err != nil || string(again) != string(b) {
		t.Errorf("the second start made another token (%v)", err)
	}
}

func TestATokenThatOthersCanReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		code fault.Code
	}{
		"open":  {strings.Repeat("x", 64), 0o644, fault.Denied},
		"short": {"hunter2", 0o600, fault.Invalid},
	} {
		path := filepath.Join(dir, server.TokenFile)
		if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		if err := server.New(server.Config{Dir: dir, Listen: "127.0.0.1:0"}).Start(t.Context()); !fault.Is(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStopEndsStreams(t *testing.T) {
	s := start(t, server.Config{})
	res, err := http.Get(s.URL() + "/api/v1/events/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stop(t, s) // within its time, though the reader never leaves
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("the stream was cut, not ended: %v", err)
	}
}

func TestErrorsOfTheAPIAreProblems(t *testing.T) {
	s := start(t, server.Config{})
	status, body := get(t, s.URL()+"/api/v1/jobs/nobody")
	var p struct{ Code, Detail, Hint string }
	if err := json.Unmarshal([]byte(body), &p); err != nil || status != 404 || p.Code != "not_found" || p.Hint == "" {
		t.Errorf("%d %s (%v)", status, body, err)
	}
}

// TestReadySoon: the issue asks for 300 ms on an empty directory on 2 cores; a busy machine gets ten times that here,
// and `make bench` measures.
func TestReadySoon(t *testing.T) {
	begun := time.Now()
	start(t, server.Config{})
	took := time.Since(begun)
	t.Logf("ready in %v", took)
	if took > 3*time.Second {
		t.Errorf("ready in %v", took)
	}
}

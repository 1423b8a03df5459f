// Package peer runs the real MLflow server from its locked environment, for the tests and benchmarks that compare with it.
// It knows how that server is started and stopped, and nothing of ours.
package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Version is the MLflow whose server is the peer.
const Version = "3.17.2"

// Root is the root of the repository that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the working directory is not in the repository")
		}
	}
	return "", err
}

// Environment is the folder of the locked environment of a client version; the error says how to make it.
func Environment(version string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "mlflow", version)
	if _, err := os.Stat(filepath.Join(dir, "installed")); err != nil {
		return "", fmt.Errorf("the MLflow %s environment is not there (make mlflow-clients): %w", version, err)
	}
	return dir, nil
}

// Python is the interpreter of an environment.
func Python(version string) (string, error) {
	dir, err := Environment(version)
	return filepath.Join(dir, "bin", "python"), err
}

// Options say how the server runs. The zero value is what `mlflow server` does by itself, on SQLite.
type Options struct {
	Workers int    // 0 leaves MLflow's default
	Lean    bool   // without the processes for jobs of generative models
	Store   string // address of its database as SQLAlchemy writes it; "" = mlflow.db in the folder
}

// Server is a running MLflow server with its processes.
type Server struct {
	URL   string
	Dir   string        // artifacts are here, and mlflow.db unless Options.Store is set
	Ready time.Duration // from start to the first answer
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start runs the server on dir, which must exist, and waits until it answers.
func Start(ctx context.Context, dir string, o Options) (*Server, error) {
	env, err := Environment(Version)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		return nil, err
	}
	store := cmp.Or(o.Store, "sqlite:///"+filepath.Join(dir, "mlflow.db"))
	args := []string{"server", "--backend-store-uri", store, "--artifacts-destination",
		filepath.Join(dir, "artifacts"), "--host", host, "--port", port}
	if o.Workers > 0 {
		args = append(args, "--workers", fmt.Sprint(o.Workers))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &Server{URL: "http://" + net.JoinHostPort(host, port), Dir: dir, ended: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(env, "bin", "mlflow"), args...)
	s.cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "PATH="+filepath.Join(env, "bin")+":"+os.Getenv("PATH"))
	if o.Lean {
		s.cmd.Env = append(s.cmd.Env, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
	}
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it forks; all of it ends together
	begun := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }() // how it ended stands in its log
	for {
		if healthy(ctx, s.URL) {
			s.Ready = time.Since(begun)
			return s, nil
		}
		select {
		case <-s.ended:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("mlflow server ended:\n%s", text)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(begun) > 10*time.Minute {
			s.Stop()
			return nil, errors.New("mlflow server does not become ready")
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Stop ends the server and every process it made, and waits for it.
func (s *Server) Stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
	<-s.ended
}

// Processes are the ids of the server's processes: all of its process group.
func (s *Server) Processes() []int {
	var ids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		var state string
		var parent, group, id int
		_, rest, ok := strings.Cut(string(b), ") ") // the name may hold spaces
		if n, err := fmt.Sscan(rest, &state, &parent, &group); !ok || err != nil || n != 3 || group != s.cmd.Process.Pid {
			continue
		}
		if _, err := fmt.Sscan(string(b), &id); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

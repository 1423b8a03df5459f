// Package postgrestest starts Debian's PostgreSQL for tests: one server for each test process, on a socket in a folder
// of its own, and a fresh schema for each test.
//
// It owns the server and its folder, which go when the process ends in whatever way. It must never be imported outside
// of tests. Where PostgreSQL is not installed tests are skipped, unless TRIMTAB_POSTGRES=required; with
// TRIMTAB_POSTGRES=off they are skipped where it is.
package postgrestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// patience bounds how long a server may take to start; it only shows when something is broken.
const patience = time.Minute

// settings make a server quick that nobody needs after a power cut.
var settings = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
	"autovacuum=off", "shared_buffers=32MB", "max_connections=200", "listen_addresses=", "logging_collector=off"}

// server is the one of this process.
type server struct {
	dir  string
	err  error
	life io.Closer    // the pipe that ends the server when it is closed; held, so that only the end of the process does
	n    atomic.Int64 // of schemas
}

var running = sync.OnceValue(start)

// URL is the address of an empty schema in a database whose own order of text is the English one, so that whatever
// leans on the order of bytes shows. The test is skipped when there is no PostgreSQL here.
func URL(t testing.TB) string {
	t.Helper()
	s := here(t)
	return s.schema(t, "trimtab")
}

// Database is the address of an empty database with the given encoding, for what a schema cannot show.
func Database(t testing.TB, encoding string) string {
	t.Helper()
	s := here(t)
	name := fmt.Sprintf("database_%d", s.n.Add(1))
	s.do(t, "trimtab", fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0", name, encoding))
	return s.address(name, nil)
}

// Do runs a statement as the administrator of the server.
func Do(t testing.TB, statement string) {
	t.Helper()
	here(t).do(t, "trimtab", statement)
}

func here(t testing.TB) *server {
	t.Helper()
	wish := os.Getenv("TRIMTAB_POSTGRES")
	if wish == "off" {
		t.Skip("TRIMTAB_POSTGRES=off")
	}
	s := running()
	if errors.Is(s.err, exec.ErrNotFound) && wish != "required" {
		t.Skip("PostgreSQL is not installed (Debian: postgresql)")
	}
	if s.err != nil {
		t.Fatalf("start PostgreSQL: %v", s.err)
	}
	return s
}

func (s *server) schema(t testing.TB, database string) string {
	t.Helper()
	name := fmt.Sprintf("schema_%d", s.n.Add(1))
	s.do(t, database, "CREATE SCHEMA "+name)
	t.Cleanup(func() {
		if os.Getenv("TRIMTAB_POSTGRES") != "keep" {
			s.do(t, database, "DROP SCHEMA "+name+" CASCADE")
		}
	})
	return s.address(database, url.Values{"search_path": {name}})
}

func (s *server) address(database string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("host", s.dir)
	query.Set("user", "postgres")
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}).String()
}

func (s *server) do(t testing.TB, database, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", s.address(database, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// programs is the folder of the newest PostgreSQL of this machine; exec.ErrNotFound when there is none.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", exec.ErrNotFound
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // no number is the oldest
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// supervise runs a server until its input ends, which the end of the test process brings about, and removes its folder.
const supervise = `"$1"/postgres -D "$2/data" -k "$2" >"$2/log" 2>&1 </dev/null &
cat >/dev/null
kill -QUIT $!
wait
rm -rf "$2"`

func start() *server {
	s := &server{}
	s.err = s.start()
	return s
}

func (s *server) start() error {
	bin, err := programs()
	if err != nil {
		return err
	}
	// The path of a socket has room for 107 characters: folders of tests are longer.
	if s.dir, err = os.MkdirTemp("/tmp", "trimtab-pg-"); err != nil {
		return err
	}
	identity, err := unprivileged(s.dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	data := filepath.Join(s.dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust", "--no-sync",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US")
	init.Dir, init.SysProcAttr = s.dir, identity
	if out, err := init.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(s.dir))
	}
	conf, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		if _, err := fmt.Fprintf(conf, "%s = '%s'\n", name, value); err != nil {
			return err
		}
	}
	if err := conf.Close(); err != nil {
		return err
	}
	supervisor := exec.Command("/bin/sh", "-c", supervise, "sh", bin, s.dir)
	// A group of its own: a Ctrl-C is for the tests, and what they stop with it.
	supervisor.Dir, supervisor.SysProcAttr = s.dir, &syscall.SysProcAttr{Setpgid: true, Credential: identity.Credential}
	// The pipe is closed by the end of this process and by nothing else.
	if s.life, err = supervisor.StdinPipe(); err != nil {
		return err
	}
	if err := supervisor.Start(); err != nil {
		return err
	}
	return s.ready()
}

// unprivileged gives a folder to a user that PostgreSQL agrees to run as: it refuses root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return nil, err
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("there is neither a user postgres nor a user nobody to run it as")
}

// ready waits until the server answers and makes the database of the tests.
func (s *server) ready() error {
	db, err := sql.Open("pgx", s.address("postgres", nil))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := db.ExecContext(ctx, "CREATE DATABASE trimtab")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("%w: %s", err, log)
		case <-ticker.C:
		}
	}
}

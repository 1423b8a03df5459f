package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

// lowSpace is the free space in bytes under which doctor warns.
const lowSpace = 1 << 30

// diagnosis is the outcome of one check.
type diagnosis struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, attention, bad
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// check looks at one thing. Checks read only; the state directory is not made.
type check struct {
	name string
	run  func(ctx context.Context, dir string) diagnosis
}

var checks = []check{
	{"directory", checkDirectory},
	{"server", checkServer},
	{"port", checkPort},
	{"disk space", checkSpace},
	{"clock", checkClock},
	{"token", checkToken},
	{"catalog", checkCatalog},
	{"blobs", checkBlobs},
}

func newDoctorCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "Look for what is wrong with this machine and the state directory",
		Example: "  trimtab doctor\n  trimtab doctor --dir /var/lib/trimtab --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := f.StateDirectory()
			if err != nil {
				return err
			}
			return runDoctor(cmd.Context(), f, dir)
		},
	}
}

func runDoctor(ctx context.Context, f *Factory, dir string) error {
	var found []diagnosis
	bad := 0
	for _, c := range checks {
		d := c.run(ctx, dir)
		d.Name = c.name
		found = append(found, d)
		if d.State == "bad" {
			bad++
		}
	}
	if f.JSON {
		if err := f.IO.JSON(map[string]any{"dir": dir, "version": f.Version, "items": found}); err != nil {
			return err
		}
	} else {
		rows := make([][]string, len(found))
		for i, d := range found {
			state := f.IO.Good(d.State)
			if d.State != "ok" {
				state = f.IO.Level(d.State, d.State)
			}
			rows[i] = []string{d.Name, state, d.Detail, d.Hint}
		}
		f.IO.Table([]string{"CHECK", "STATE", "FOUND", "HINT"}, rows)
	}
	if bad > 0 {
		return fault.New(fault.Unavailable, "%d of %d checks found something wrong", bad, len(found))
	}
	return nil
}

func ok(format string, args ...any) diagnosis {
	return diagnosis{State: "ok", Detail: fmt.Sprintf(format, args...)}
}

func attention(hint, format string, args ...any) diagnosis {
	return diagnosis{State: "attention", Detail: fmt.Sprintf(format, args...), Hint: hint}
}

func bad(hint, format string, args ...any) diagnosis {
	return diagnosis{State: "bad", Detail: fmt.Sprintf(format, args...), Hint: hint}
}

func checkDirectory(_ context.Context, dir string) diagnosis {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ok("%s is not there yet", dir)
	}
	if err != nil {
		return bad("check the permissions of the directories above", "%v", err)
	}
	if !info.IsDir() {
		return bad("choose another directory with --dir", "%s is not a directory", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return bad("chown or chmod the directory, or choose another one with --dir", "%s cannot be written: %v", dir, err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return attention("chmod 700 "+dir, "%s is open to everyone on this machine (mode %o)", dir, info.Mode().Perm())
	}
	return ok("%s", dir)
}

func checkServer(ctx context.Context, dir string) diagnosis {
	info, err := server.ReadInfo(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if pid := server.Holder(dir); pid != "" {
			return attention("wait for it, or end the process", "process %s holds the directory without serving it", pid)
		}
		return ok("not running")
	}
	if err != nil {
		return bad("delete "+filepath.Join(dir, server.InfoFile), "%v", err)
	}
	client, err := newClient(term.Plain(nil, nil, nil), info.URL, "", info.Certificate)
	if err != nil {
		return bad("delete "+filepath.Join(dir, server.InfoFile), "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var sink discard
	if err := client.Do(ctx, "GET", "/health", nil, nil, sink); err != nil {
		if server.Holder(dir) == "" {
			return ok("not running; the last one, process %d, was killed", info.PID)
		}
		return bad("look into its log; end process and start again", "process %d at %s does not answer: %v", info.PID, info.URL, err)
	}
	return ok("process %d, version %s, at %s", info.PID, info.Version, info.URL)
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func checkPort(_ context.Context, dir string) diagnosis {
	if info, err := server.ReadInfo(dir); err == nil && server.Holder(dir) != "" {
		return ok("in use by the server at %s", info.URL)
	}
	listener, err := net.Listen("tcp", server.DefaultListen)
	if err != nil {
		return attention("use `trimtab server --listen 127.0.0.1:0`", "%s is taken by another program", server.DefaultListen)
	}
	if err := listener.Close(); err != nil {
		return bad("", "%v", err)
	}
	return ok("%s is free", server.DefaultListen)
}

func checkSpace(_ context.Context, dir string) diagnosis {
	at := dir
	for { // the directory may not be there yet
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(at, &stat); err != nil {
		return bad("", "%v", err)
	}
	free := int64(stat.Bavail) * int64(stat.Bsize)
	if free < lowSpace {
		return attention("free some space, or choose another disk with --dir", "%s free", term.Bytes(free))
	}
	return ok("%s free", term.Bytes(free))
}

// checkClock compares the clock with the newest thing on the disk: a clock that went back shows there.
func checkClock(_ context.Context, dir string) diagnosis {
	now := time.Now()
	if now.Year() < 2025 {
		return bad("set the clock of this machine", "it is %s, says the clock", term.Time(now))
	}
	if info, err := os.Stat(filepath.Join(dir, server.CatalogFile)); err == nil && info.ModTime().After(now.Add(time.Minute)) {
		return attention("set the clock of this machine", "the catalog was written %s ahead of the clock",
			term.Duration(info.ModTime().Sub(now)))
	}
	return ok("%s UTC", term.Time(now))
}

func checkToken(_ context.Context, dir string) diagnosis {
	path := filepath.Join(dir, server.TokenFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ok("made on the first start")
	}
	if err != nil {
		return bad("check the permissions of the directory", "%v", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return bad("chmod 600 "+path, "%s can be read by others (mode %o)", path, info.Mode().Perm())
	}
	return ok("readable by its owner only")
}

func checkCatalog(ctx context.Context, dir string) diagnosis {
	path, err := server.CatalogPlace(dir, os.Getenv(catalogVariable))
	if err != nil {
		return bad(fault.HintOf(err), "%v", err)
	}
	if catalog.IsURL(path) {
		if err := catalog.Inspect(ctx, path); err != nil {
			return bad(fault.HintOf(err), "%v", err)
		}
		return ok("readable, %s", catalog.Redact(path))
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ok("not there yet")
	}
	if err != nil {
		return bad("check the permissions of the directory", "%v", err)
	}
	if err := catalog.Inspect(ctx, path); err != nil {
		return bad(fault.HintOf(err), "%v", err)
	}
	return ok("sound, %s", term.Bytes(info.Size()))
}

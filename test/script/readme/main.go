// Command readme runs every command of the README's shell blocks in a fresh clone of the repository, as a reader
// would, and fails when one fails.
//
//	go run ./test/script/readme [-file README.md] [-only N] [-v]
//
// A block is fenced with ```sh. Its commands run in order in one shell; the blocks run one after the other in one folder,
// which starts as an empty one. `git clone` of the project's address clones the working copy's last commit. A command
// that keeps serving (server, demo without --exit) runs in the background: it must answer /health, the demo must print
// its summary, and it must end with success when it is interrupted. `make test` is left out: who checks the README runs it anyway.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// limit bounds one command; the demo is the longest.
const limit = 15 * time.Minute

// home is the address that the README clones from.
const home = "https://github.com/trimtab-ml/trimtab"

var (
	serves  = regexp.MustCompile(`\b(trimtab server|trimtab demo|make demo)\b`)
	leaves  = regexp.MustCompile(`--(exit|help|json)\b`)
	address = regexp.MustCompile(`https?://(127\.0\.0\.1|localhost):\d+`)
	summary = regexp.MustCompile(`\d+ failed, \d+ lost`)
)

func main() {
	file := flag.String("file", "README.md", "file whose blocks are run")
	only := flag.Int("only", 0, "run this block only, counted from 1")
	verbose := flag.Bool("v", false, "show what the commands print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *file, *only, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// block is one fenced block: its place in the file and its commands.
type block struct {
	line     int
	commands []string
}

// blocks finds the ```sh blocks. A command that ends in a backslash goes on with the next line; comments and empty lines
// are left out, and so is the prompt "$ ".
func blocks(text string) []block {
	var found []block
	inside, partial := false, ""
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "```sh":
			inside = true
			found = append(found, block{line: i + 1})
		case inside && strings.HasPrefix(trimmed, "```"):
			inside = false
		case inside && trimmed != "" && !strings.HasPrefix(trimmed, "#"):
			partial += strings.TrimPrefix(trimmed, "$ ")
			if next, more := strings.CutSuffix(partial, "\\"); more {
				partial = next
				continue
			}
			last := &found[len(found)-1]
			last.commands = append(last.commands, partial)
			partial = ""
		}
	}
	return found
}

func run(ctx context.Context, file string, only int, verbose bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	found := blocks(string(text))
	if len(found) == 0 {
		return fmt.Errorf("%s has no ```sh block: what would a reader run?", file)
	}
	repository, err := os.Getwd()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "readme")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s := &shell{folder: folder, verbose: verbose, env: append(os.Environ(),
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=url."+repository+".insteadOf", "GIT_CONFIG_VALUE_0="+home,
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*", // the working copy may belong to another user
		"NO_COLOR=1", "TRIMTAB_DIR=", "TRIMTAB_SERVER=")}
	if !strings.Contains(string(text), "git clone "+home) {
		if err := s.do(ctx, "git clone -q "+home+" && cd trimtab"); err != nil {
			return err
		}
	}
	for n, b := range found {
		if only != 0 && n+1 != only {
			continue
		}
		for _, command := range b.commands {
			fmt.Printf("%s:%d: %s\n", file, b.line, command)
			if command == "make test" {
				fmt.Println("  left out: .ci/run has just run it")
				continue
			}
			begun := time.Now()
			if err := s.do(ctx, command); err != nil {
				return errors.Join(fmt.Errorf("%s:%d: `%s`: %w", file, b.line, command, err), s.close())
			}
			fmt.Printf("  %.1f s\n", time.Since(begun).Seconds())
		}
	}
	return s.close()
}

// shell runs commands one after the other; the working folder and exported variables carry over.
type shell struct {
	folder  string
	env     []string
	verbose bool
	serving []*service
}

// do runs one command, or starts it when it keeps serving.
func (s *shell) do(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	if serves.MatchString(command) && !leaves.MatchString(command) {
		return s.serve(ctx, cancel, command)
	}
	defer cancel()
	state := filepath.Join(s.folder, ".readme-state")
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -e\n"+command+"\n{ pwd; env -0; } > "+state)
	cmd.Dir, cmd.Env = s.folder, s.env
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if s.verbose || err != nil {
		fmt.Print(output.String())
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(state)
	if err != nil {
		return err
	}
	folder, env, _ := strings.Cut(string(b), "\n")
	s.folder, s.env = folder, strings.Split(strings.TrimSuffix(env, "\x00"), "\x00")
	return os.Remove(state)
}

// service is a command that keeps serving.
type service struct {
	command string
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	output  *watched
	ended   chan error
}

func (s *shell) serve(ctx context.Context, cancel context.CancelFunc, command string) error {
	cmd := exec.CommandContext(ctx, "bash", "-c", "exec "+command)
	cmd.Dir, cmd.Env = s.folder, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	v := &service{command: command, cmd: cmd, cancel: cancel, output: &watched{show: s.verbose}, ended: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = v.output, v.output
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	go func() { v.ended <- cmd.Wait() }()
	s.serving = append(s.serving, v)
	for {
		text := v.output.text()
		ready := address.FindString(text)
		if ready != "" && answers(ctx, ready) && (!strings.Contains(command, "demo") || summary.MatchString(text)) {
			return nil
		}
		select {
		case err := <-v.ended:
			v.ended <- err
			return fmt.Errorf("it ended instead of serving (%v):\n%s", err, text)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %v:\n%s", limit, text)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// close interrupts what serves, as a reader would, and asks for a clean end.
func (s *shell) close() error {
	var errs []error
	for _, v := range s.serving {
		// The group: `make demo` passes nothing on by itself.
		errs = append(errs, syscall.Kill(-v.cmd.Process.Pid, syscall.SIGINT))
		select {
		case err := <-v.ended:
			if err != nil && !strings.HasPrefix(v.command, "make ") { // make reports the signal, whatever the program says
				errs = append(errs, fmt.Errorf("`%s`, interrupted: %w\n%s", v.command, err, v.output.text()))
			}
		case <-time.After(time.Minute):
			errs = append(errs, fmt.Errorf("`%s` does not end when it is interrupted", v.command))
		}
		v.cancel()
	}
	s.serving = nil
	return errors.Join(errs...)
}

// watched is the output of a command while it runs.
type watched struct {
	mu   sync.Mutex
	b    bytes.Buffer
	show bool
}

// Write keeps and, when asked, shows what the command prints.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.show {
		lines := bufio.NewScanner(bytes.NewReader(p))
		for lines.Scan() {
			fmt.Println(lines.Text())
		}
	}
	return w.b.Write(p)
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

package exec

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// MaxDiff bounds the difference between the working tree and its commit that is kept.
const MaxDiff = 1 << 20

// gitTime bounds each question to Git.
const gitTime = 5 * time.Second

// Code is what the working tree around a folder holds. All is empty where there is no Git.
type Code struct {
	Commit     string
	Branch     string // "" when detached
	Repository string // URL of origin, without a password
	Dirty      bool   // tracked files differ from the commit, or there are others that are not ignored
	Diff       []byte // of tracked files, at most MaxDiff
	Cut        bool   // Diff is not all
	Untracked  int    // files that Git does not know; they are not in Diff
}

// ReadCode asks Git.
func ReadCode(ctx context.Context, dir string) Code {
	git := func(limit int, args ...string) ([]byte, bool) {
		out := &bounded{limit: limit}
		argv := append([]string{"git", "--no-optional-locks", "-c", "core.fsmonitor=false"}, args...)
		result, err := Run(ctx, Command{Argv: argv, Dir: dir, Env: With(os.Environ(), map[string]string{"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}), Stdout: out, Timeout: gitTime, Grace: time.Second})
		return out.Bytes(), err == nil && result.Code == 0
	}
	line := func(args ...string) string {
		out, ok := git(64<<10, args...)
		if !ok {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	c := Code{Commit: line("rev-parse", "HEAD")}
	if c.Commit == "" {
		return Code{}
	}
	c.Branch = line("symbolic-ref", "--quiet", "--short", "HEAD")
	c.Repository = withoutPassword(line("config", "--get", "remote.origin.url"))
	c.Untracked = strings.Count(line("ls-files", "--others", "--exclude-standard", "-z", ":/"), "\x00")
	c.Diff, _ = git(MaxDiff+1, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
	if len(c.Diff) > MaxDiff {
		c.Diff, c.Cut = c.Diff[:bytes.LastIndexByte(c.Diff[:MaxDiff], '\n')+1], true
	}
	c.Dirty = len(c.Diff) > 0 || c.Untracked > 0
	return c
}

// Note says what of the code the commit does not hold; "" when it holds all.
func (c Code) Note() string {
	var parts []string
	if len(c.Diff) > 0 {
		parts = append(parts, "tracked files differ from the commit")
		if c.Cut {
			parts[0] += fmt.Sprintf("; the first %d bytes of the difference are kept", len(c.Diff))
		}
	}
	if c.Untracked > 0 {
		parts = append(parts, fmt.Sprintf("%d files are not in Git and are not kept", c.Untracked))
	}
	return strings.Join(parts, "; ")
}

// withoutPassword takes user and password out of a URL; other forms have none.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil || u.Scheme == "ssh" {
		return address
	}
	u.User = nil
	return u.String()
}

// bounded keeps the first bytes that are written to it and takes the rest.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

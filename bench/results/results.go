// Package results keeps bench/RESULTS.md: one section per benchmark, replaced by the run that made it anew.
package results

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// File is where the sections stand, from the root of the repository.
const File = "bench/RESULTS.md"

// Processor is what the machine says it computes with.
func Processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return fmt.Sprintf("%d x %s", runtime.NumCPU(), strings.TrimSpace(value))
			}
		}
	}
	return fmt.Sprintf("%d x %s", runtime.NumCPU(), runtime.GOARCH)
}

// Load is how many processes wanted to run in the last minute.
func Load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if first, _, ok := strings.Cut(string(b), " "); err == nil && ok {
		return first
	}
	return "unknown"
}

// Replace writes a section, which begins with its title line, into the file: in place of the one of that title, or at the end.
func Replace(path, title, text string) error {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before, after, found := strings.Cut(string(b), title+"\n")
	if !found {
		if before == "" {
			before = "# Results of `make bench`\n"
		}
		return os.WriteFile(path, []byte(strings.TrimRight(before, "\n")+"\n\n"+text), 0o644)
	}
	rest := ""
	if i := strings.Index(after, "\n## "); i >= 0 {
		rest = after[i:]
	}
	return os.WriteFile(path, []byte(before+text+rest), 0o644)
}

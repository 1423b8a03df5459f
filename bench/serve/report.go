package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

const title = "## One-row inference over HTTP"

// section is the text for RESULTS.md.
func section(bare, ours, peer, pooled *contender, o options, logged int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	b.WriteString("Goal: at most 3x the server CPU of a bare net/http JSON echo, and at least 8x less than FastAPI with the same LightGBM model.\n")
	fmt.Fprintf(&b, "`go run ./bench/serve`, %s, %s, %s. One flight per request (17 fields), %d keep-alive connections, client on the same machine; the round with the\n",
		time.Now().UTC().Format(time.DateOnly), processor(), runtime.Version(), o.connections)
	fmt.Fprintf(&b, "least CPU of %d counts, the servers in turn. CPU is user + system of the server's process. Ours writes every prediction to its log (level required), counts drift\n", o.rounds)
	fmt.Fprintf(&b, "and quality, and routes; all %d answers were found in the log afterwards. The echo decodes the request into a struct and encodes it back. FastAPI: uvicorn,\n", logged)
	fmt.Fprintf(&b, "uvloop, httptools, pydantic, LightGBM %d trees x %d leaves like ours, one thread, nothing logged; once with an async handler, which blocks the event loop\nwhile the model works, and once with the plain function that its documentation advises for that.\n\n", trees, leaves)
	b.WriteString("| server | CPU, µs per request | against the echo | p50, ms | p99, ms | requests/s |\n|---|---|---|---|---|---|\n")
	for _, c := range []*contender{bare, ours, peer, pooled} {
		name := map[string]string{"echo": "bare net/http echo", "trimtab": "trimtab", "fastapi": "FastAPI + LightGBM, async handler", "pooled": "FastAPI + LightGBM, plain handler"}[c.name]
		fmt.Fprintf(&b, "| %s | %.1f | %.2f | %.2f | %.2f | %.0f |\n", name, c.cpu, c.cpu/bare.cpu, c.p50.Seconds()*1e3, c.p99.Seconds()*1e3, c.rate)
	}
	fmt.Fprintf(&b, "\nOurs takes **%.2fx** the echo's CPU, and FastAPI **%.1fx** ours with an async handler, **%.1fx** with a plain one.\n", ours.cpu/bare.cpu, peer.cpu/ours.cpu, pooled.cpu/ours.cpu)
	return b.String()
}

// processor is what the machine says it computes with.
func processor() string {
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

// replaceSection writes the section into the file: in place of the one it has, or at its end.
func replaceSection(path, text string) error {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := string(b)
	at := strings.Index(old, title+"\n")
	if at < 0 {
		if old == "" {
			old = "# Results of `make bench`\n"
		}
		return os.WriteFile(path, []byte(strings.TrimRight(old, "\n")+"\n\n"+text), 0o644)
	}
	rest := ""
	if end := strings.Index(old[at+len(title):], "\n## "); end >= 0 {
		rest = old[at+len(title)+end:]
	}
	return os.WriteFile(path, []byte(old[:at]+text+rest), 0o644)
}

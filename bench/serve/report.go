package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## One-row inference over HTTP"

// section is the text for RESULTS.md.
func section(bare, ours, peer, pooled *contender, o options, logged int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	b.WriteString("Goal: at most 3x the server CPU of a bare net/http JSON echo, and at least 8x less than FastAPI with the same LightGBM model.\n")
	fmt.Fprintf(&b, "`go run ./bench/serve`, %s, %s, %s. One flight per request (17 fields), %d keep-alive connections, client on the same machine; the round with the\n",
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version(), o.connections)
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

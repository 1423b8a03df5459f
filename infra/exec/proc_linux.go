package exec

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// userHZ is the unit of time in /proc, the same on every architecture that Go runs on.
const userHZ = 100

// read asks /proc. A file that cannot be read leaves its counters at zero.
func read(group int) reading {
	r := reading{at: time.Now(), known: true, ticks: map[int]float64{}, ticksPerSecond: userHZ}
	r.busy, r.total = cpuTicks()
	total, available := memory()
	r.memory, r.memoryTotal = total-available, total
	var disk syscall.Statfs_t
	if syscall.Statfs("/", &disk) == nil {
		block := float64(disk.Bsize)
		r.diskUsed, r.diskFree = block*float64(disk.Blocks-disk.Bfree), block*float64(disk.Bavail)
	}
	r.received, r.sent = traffic()
	r.processes(group)
	return r
}

// cpuTicks reads the first line of /proc/stat: user nice system idle iowait irq softirq steal (guest time is in user already).
func cpuTicks() (busy, total float64) {
	for line := range lines("/proc/stat") {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != "cpu" {
			return 0, 0
		}
		for i, text := range fields[1:9] {
			n, _ := strconv.ParseFloat(text, 64)
			total += n
			if i != 3 && i != 4 {
				busy += n
			}
		}
		return busy, total
	}
	return 0, 0
}

// memory is bytes of the machine, and those that programs could still have.
func memory() (total, available float64) {
	for line := range lines("/proc/meminfo") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "MemTotal:":
			total = n * 1024
		case "MemAvailable:":
			return total, n * 1024
		}
	}
	return total, total
}

// traffic is bytes of all interfaces but the loopback.
func traffic() (received, sent float64) {
	for line := range lines("/proc/net/dev") {
		name, counters, ok := strings.Cut(line, ":")
		fields := strings.Fields(counters)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		in, _ := strconv.ParseFloat(fields[0], 64)
		out, _ := strconv.ParseFloat(fields[8], 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}

// processes adds up those of the group and their descendants, who may have made groups of their own.
func (r *reading) processes(group int) {
	type process struct {
		parent, group   int
		ticks, resident float64
	}
	all := map[int]process{}
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name of the program, in parentheses, may hold anything; after it come state, parent, group …
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(fields) < 22 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		number := func(i int) float64 {
			n, _ := strconv.ParseFloat(string(fields[i]), 64)
			return n
		}
		all[pid] = process{parent: int(number(1)), group: int(number(2)), ticks: number(11) + number(12), resident: number(21) * float64(os.Getpagesize())}
	}
	for pid, p := range all {
		for at, depth := pid, 0; depth < 64; depth++ {
			ancestor, ok := all[at]
			if !ok {
				break
			}
			if at == group || ancestor.group == group {
				r.ticks[pid] = p.ticks
				r.resident += p.resident
				break
			}
			at = ancestor.parent
		}
	}
}

// hardware is the model of the processor and the bytes of memory.
func hardware() (cpu string, bytes int64) {
	for line := range lines("/proc/cpuinfo") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	total, _ := memory()
	return cpu, int64(total)
}

// lines goes through a file of /proc; nothing when it cannot be read.
func lines(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		f, err := os.Open(name)
		if err != nil {
			return
		}
		defer f.Close()
		for scan := bufio.NewScanner(f); scan.Scan(); {
			if !yield(scan.Text()) {
				return
			}
		}
	}
}

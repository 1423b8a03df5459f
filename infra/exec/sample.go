package exec

import (
	"math"
	"time"
)

// Names of what a sampler measures. Those of the machine are MLflow's; a megabyte is 10^6 bytes there.
const (
	MetricCPU             = "system/cpu_utilization_percentage"
	MetricMemory          = "system/system_memory_usage_megabytes"
	MetricMemoryShare     = "system/system_memory_usage_percentage"
	MetricDisk            = "system/disk_usage_megabytes"
	MetricDiskShare       = "system/disk_usage_percentage"
	MetricDiskFree        = "system/disk_available_megabytes"
	MetricReceived        = "system/network_receive_megabytes"
	MetricSent            = "system/network_transmit_megabytes"
	MetricProcessCPU      = "system/process_cpu_utilization_percentage" // of all processes of the program; 100 is one core
	MetricProcessMemory   = "system/process_memory_usage_megabytes"     // resident
	MetricProcessesNumber = "system/process_count"
)

// Sample is what was measured at one moment.
type Sample struct {
	At     time.Time
	Values map[string]float64
}

// Sampler measures the machine and one process group. What needs a time between (shares of CPU, bytes since the start) is
// counted from the sample before, first from NewSampler. Where the system tells nothing, values are absent, not zero.
type Sampler struct {
	group   int
	machine bool
	first   reading
	last    reading
}

// reading is counters of the system at one moment.
type reading struct {
	at                  time.Time
	known               bool
	busy, total         float64 // ticks of all cores
	memory, memoryTotal float64 // bytes
	diskUsed, diskFree  float64 // bytes
	received, sent      float64 // bytes
	ticks               map[int]float64
	resident            float64 // bytes of the group
	ticksPerSecond      float64
}

// NewSampler measures the process group; machine says whether the machine too.
func NewSampler(group int, machine bool) *Sampler {
	s := &Sampler{group: group, machine: machine}
	s.first = read(group)
	s.last = s.first
	return s
}

// Sample measures now.
func (s *Sampler) Sample() Sample {
	now, before := read(s.group), s.last
	s.last = now
	out := Sample{At: now.at, Values: map[string]float64{}}
	if !now.known {
		return out
	}
	const mega = 1e6
	put := func(name string, v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out.Values[name] = math.Max(v, 0)
		}
	}
	if s.machine {
		put(MetricCPU, 100*(now.busy-before.busy)/(now.total-before.total))
		put(MetricMemory, now.memory/mega)
		put(MetricMemoryShare, 100*now.memory/now.memoryTotal)
		put(MetricDisk, now.diskUsed/mega)
		put(MetricDiskShare, 100*now.diskUsed/(now.diskUsed+now.diskFree))
		put(MetricDiskFree, now.diskFree/mega)
		put(MetricReceived, (now.received-s.first.received)/mega)
		put(MetricSent, (now.sent-s.first.sent)/mega)
	}
	ticks := 0.0
	for pid, n := range now.ticks {
		ticks += n - before.ticks[pid]
	}
	put(MetricProcessCPU, 100*ticks/now.ticksPerSecond/now.at.Sub(before.at).Seconds())
	put(MetricProcessMemory, now.resident/mega)
	put(MetricProcessesNumber, float64(len(now.ticks)))
	return out
}

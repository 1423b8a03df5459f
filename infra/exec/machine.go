package exec

import (
	"fmt"
	"runtime"
)

// Machine is what a program runs on.
type Machine struct {
	CPU    string // model; "" where the system does not tell
	Cores  int    // that this process may use
	Memory int64  // bytes; 0 where the system does not tell
}

// ThisMachine asks the system.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU()}
	m.CPU, m.Memory = hardware()
	return m
}

// String is one line for people.
func (m Machine) String() string {
	text := m.CPU
	if text == "" {
		text = runtime.GOARCH
	}
	text += fmt.Sprintf(", %d cores", m.Cores)
	if m.Memory > 0 {
		text += fmt.Sprintf(", %.1f GiB", float64(m.Memory)/(1<<30))
	}
	return text + ", " + runtime.GOOS
}

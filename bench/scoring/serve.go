package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// serve scores LightGBM's model of a folder, as peer.py does: it answers each line of standard input.
func serve(dir string) error {
	runtime.GOMAXPROCS(1)
	b, err := os.ReadFile(filepath.Join(dir, "job.json"))
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if b, err = os.ReadFile(filepath.Join(dir, "model.txt")); err != nil {
		return err
	}
	read, _, err := exchange.Read(b)
	if err != nil {
		return err
	}
	m, ok := read.(*tree.Model)
	if !ok {
		return fmt.Errorf("the model is a %T", read)
	}
	if b, err = os.ReadFile(filepath.Join(dir, "x.f32")); err != nil {
		return err
	}
	x := table.NewMatrix(j.Rows, make([]string, j.Columns))
	if _, err := binary.Decode(b, binary.LittleEndian, x.Data); err != nil {
		return err
	}
	margins := make([]float64, j.Rows)
	m.Margins(x, margins)
	single := min(j.Single, j.Rows)
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		a := answer{Version: tree.Kernel()}
		start := cpuSeconds()
		if lines.Text() == "batch" {
			m.Margins(x, margins)
			a.CPU = (cpuSeconds() - start) / float64(j.Rows)
			a.Margins = margins[:min(1000, j.Rows)]
		} else {
			for i := range single {
				m.Margin(x.Row(i), margins[i:i+1])
			}
			a.CPU = (cpuSeconds() - start) / float64(single)
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// cpuSeconds is the user and system time of the process so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF cannot fail
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

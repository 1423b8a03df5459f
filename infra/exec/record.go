package exec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Names under which a program's surroundings are recorded. Tags that MLflow knows too have its names.
const (
	TagCommit     = "mlflow.source.git.commit"
	TagBranch     = "mlflow.source.git.branch"
	TagRepository = "mlflow.source.git.repoURL"
	TagSource     = "mlflow.source.name"
	TagSourceType = "mlflow.source.type"
	TagDirty      = "trimtab.git.dirty"
	TagCommand    = "trimtab.command"
	TagPython     = "trimtab.python"
	TagMachine    = "trimtab.machine"
	TagExitCode   = "trimtab.exit_code"
	TagUsage      = "trimtab.usage"

	FilePatch    = "code/diff.patch"
	FilePackages = "environment/packages.txt"
	FileOutput   = "logs/output.log"
)

const (
	logLimit     = 8 << 20
	logEvery     = 3 * time.Second // between two looks at the log; a large one is sent less often
	logBytesRate = 256 << 10       // bytes of log for each further second between
	sampleEvery  = 5 * time.Second
	flushTime    = 30 * time.Second // for the last words after the program ended
)

// Recorder is where the surroundings of a program go. Its methods are called from several goroutines.
type Recorder interface {
	Tags(ctx context.Context, tags map[string]string) error
	File(ctx context.Context, path string, content []byte) error
	// Sample takes system metrics; step counts from 0.
	Sample(ctx context.Context, s Sample, step int64) error
}

// Recording is a program that runs on record.
type Recording struct {
	Command  Command // Env and Log are set by Record
	Prepared Prepared
	To       Recorder
	Every    time.Duration // between samples; 0 = every 5 s, negative = never
	Machine  bool          // sample the machine too, and not only the program
}

// Outcome is how a recorded program ended. Lost is what could not be recorded: the program is not ended by that.
type Outcome struct {
	Result
	Log  *Log
	Lost []error
}

// Record runs the program and records while it runs: its code, command, environment, machine, output and use of the system.
// When ctx ends the program is ended; the last words are recorded all the same.
func Record(ctx context.Context, r Recording) (Outcome, error) {
	out := Outcome{Log: NewLog(logLimit)}
	c := r.Command
	c.Env, c.Log = r.Prepared.Env, out.Log
	if Lookup(c.Env, "PYTHONUNBUFFERED") == "" {
		c.Env = With(c.Env, map[string]string{"PYTHONUNBUFFERED": "1"}) // what it prints is seen when it prints it
	}
	if len(c.Argv) == 0 {
		return out, fault.New(fault.Invalid, "there is no program to run")
	}
	if base := filepath.Base(c.Argv[0]); r.Prepared.Python != "" && base == c.Argv[0] && (base == "python" || base == "python3") {
		c.Argv = append([]string{r.Prepared.Python}, c.Argv[1:]...) // an interpreter may go by another name than python
	}
	p, err := Start(c)
	if err != nil {
		return out, err
	}
	var mu sync.Mutex
	lost := func(err error) {
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			out.Lost = append(out.Lost, err)
		}
	}
	// Recording goes on after ctx, to the end of the program and a bounded time after that.
	words, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan struct{})
	var aside sync.WaitGroup
	aside.Go(func() { surroundings(words, r, lost) })
	aside.Go(func() { follow(words, out.Log, r.To, done, lost) })
	aside.Go(func() { measure(words, p.Pid, r, done, lost) })
	out.Result = p.Wait(ctx)
	close(done)
	timer := time.AfterFunc(flushTime, stop)
	defer timer.Stop()
	aside.Wait()
	lost(r.To.File(words, FileOutput, out.Log.Bytes()))
	lost(r.To.Tags(words, map[string]string{TagExitCode: fmt.Sprint(out.Code), TagUsage: out.usage()}))
	return out, nil
}

// usage is one line for people.
func (r Result) usage() string {
	return fmt.Sprintf("%.1f s, %.1f s of CPU, %.0f MB at most", r.Elapsed.Seconds(), r.CPU.Seconds(), float64(r.PeakMemory)/1e6)
}

// surroundings records what the program was made of and what it runs on.
func surroundings(ctx context.Context, r Recording, lost func(error)) {
	dir := r.Command.Dir
	if dir == "" {
		dir, _ = os.Getwd() // without one, Git finds nothing
	}
	tags := map[string]string{TagCommand: Join(r.Command.Argv), TagSource: source(r.Command.Argv), TagSourceType: "LOCAL", TagMachine: ThisMachine().String()}
	code := ReadCode(ctx, dir)
	if code.Commit != "" {
		tags[TagCommit] = code.Commit
		if code.Branch != "" {
			tags[TagBranch] = code.Branch
		}
		if code.Repository != "" {
			tags[TagRepository] = code.Repository
		}
		if code.Dirty {
			tags[TagDirty] = code.Note()
		}
	}
	lost(r.To.Tags(ctx, tags))
	if len(code.Diff) > 0 {
		lost(r.To.File(ctx, FilePatch, code.Diff))
	}
	asked := r.Prepared
	if name := r.Command.Argv[0]; strings.HasPrefix(filepath.Base(name), "python") {
		if found, err := Find(name, dir, asked.Env); err == nil && strings.Contains(name, "/") {
			asked.Python = found
		}
	}
	if asked.Python == "" {
		return // no Python, nothing to say about its packages
	}
	version, packages, err := asked.Packages(ctx)
	if err != nil {
		lost(err)
		return
	}
	lost(r.To.Tags(ctx, map[string]string{TagPython: version + " " + asked.Python}))
	lost(r.To.File(ctx, FilePackages, []byte(packages)))
}

// source is the script that an interpreter was given, or the program.
func source(argv []string) string {
	if strings.HasPrefix(filepath.Base(argv[0]), "python") {
		for _, a := range argv[1:] {
			if strings.HasSuffix(a, ".py") {
				return a
			}
		}
	}
	return argv[0]
}

// follow sends the log while the program runs, when it has grown; what is left at the end its caller sends.
func follow(ctx context.Context, log *Log, to Recorder, done <-chan struct{}, lost func(error)) {
	sent := int64(0)
	for wait := logEvery; ; {
		timer := time.NewTimer(wait)
		select {
		case <-done:
			timer.Stop()
			return
		case <-timer.C:
		}
		now := log.Changes()
		if now == sent {
			continue
		}
		text := log.Bytes()
		if err := to.File(ctx, FileOutput, text); err != nil {
			lost(err)
			return // it is sent whole at the end
		}
		sent, wait = now, logEvery+time.Duration(len(text)/logBytesRate)*time.Second
	}
}

// measure samples while the program runs, the first time soon: a program may be short.
func measure(ctx context.Context, group int, r Recording, done <-chan struct{}, lost func(error)) {
	every := r.Every
	if every < 0 {
		return
	}
	if every == 0 {
		every = sampleEvery
	}
	sampler := NewSampler(group, r.Machine)
	for step, wait := int64(0), min(every, time.Second); ; step, wait = step+1, every {
		timer := time.NewTimer(wait)
		select {
		case <-done:
			timer.Stop()
			return
		case <-timer.C:
		}
		s := sampler.Sample()
		if len(s.Values) == 0 {
			return
		}
		if err := r.To.Sample(ctx, s, step); err != nil {
			lost(err)
			return
		}
	}
}

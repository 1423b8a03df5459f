// Command grpc measures the CPU that a server takes to answer one row over gRPC: ours with log, drift counters and routing on, beside a
// bare grpc-go server that reads the same request and sends it back. Each runs as a process of its own, in turn, under the same client,
// and the result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/grpc [-requests 20000] [-connections 4] [-concurrency 16] [-rounds 5] [-program bin/trimtab] [-results bench/RESULTS.md]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	pb "github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## One-row inference over gRPC"

type options struct {
	requests, connections, concurrency, rounds int
	program, results                           string
}

func main() {
	var o options
	echo := flag.Bool("echo", false, "be the bare server, and print its address (for the program itself)")
	flag.IntVar(&o.requests, "requests", 20_000, "requests per round")
	flag.IntVar(&o.connections, "connections", 4, "connections of the client")
	flag.IntVar(&o.concurrency, "concurrency", 16, "requests under way at once")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the medians count")
	flag.StringVar(&o.program, "program", "bin/trimtab", "the program to measure")
	flag.StringVar(&o.results, "results", "bench/RESULTS.md", "file whose section is replaced; empty = print only")
	flag.Parse()
	var err error
	if *echo {
		err = serveEcho()
	} else {
		err = run(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/grpc:", err)
		os.Exit(1)
	}
}

// echoing is a service of the protocol that reads a request with the generated code and answers with the generated response.
type echoing struct {
	pb.UnimplementedGRPCInferenceServiceServer
}

// ModelInfer sends the values back.
func (echoing) ModelInfer(_ context.Context, q *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	r := &pb.ModelInferResponse{ModelName: q.ModelName, Id: q.Id}
	for _, in := range q.Inputs {
		r.Outputs = append(r.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape, Contents: in.Contents})
	}
	r.RawOutputContents = q.RawInputContents
	return r, nil
}

func serveEcho() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	s := grpc.NewServer()
	pb.RegisterGRPCInferenceServiceServer(s, echoing{})
	return s.Serve(listener)
}

// contender is a running server.
type contender struct {
	name, address string
	cmd           *exec.Cmd
	cpu, p99      []float64 // microseconds of CPU per request, milliseconds; by round
}

func (c *contender) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	_ = c.cmd.Wait()
}

func run(ctx context.Context, o options) error {
	folder, err := os.MkdirTemp("", "bench-grpc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	echo := &contender{name: "grpc-go echo", cmd: exec.Command(self, "-echo")}
	out, err := echo.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := echo.cmd.Start(); err != nil {
		return err
	}
	defer echo.stop()
	if _, err := fmt.Fscanln(out, &echo.address); err != nil {
		return err
	}
	ours, err := deploy(ctx, o.program, folder)
	if err != nil {
		return err
	}
	defer ours.stop()
	all := []*contender{echo, ours}
	for round := range o.rounds + 1 {
		for _, c := range all {
			n := o.requests
			if round == 0 {
				n /= 10 // warm: code, connections, pools
			}
			cpu, p99, err := load(ctx, c, n, o)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 {
				c.cpu, c.p99 = append(c.cpu, cpu), append(c.p99, p99)
			}
		}
	}
	ratios := make([]float64, o.rounds)
	for i := range ratios {
		ratios[i] = ours.cpu[i] / echo.cpu[i]
	}
	text := title + "\n\n" + fmt.Sprintf("%d rounds of %d requests, %d connections, %d at once, servers in turn. One row of the penguins (6 columns) per request, raw tensors; ours with log, drift counters and routing on.\n\n"+
		"| server | CPU µs per request | p99 ms |\n|---|---|---|\n", o.rounds, o.requests, o.connections, o.concurrency)
	for _, c := range all {
		text += fmt.Sprintf("| %s | %.1f | %.2f |\n", c.name, median(c.cpu), median(c.p99))
	}
	text += fmt.Sprintf("\nOurs takes %.2f times the CPU of the echo (median of the rounds; %.2f to %.2f). The goal is less than 2.\n", median(ratios), slices.Min(ratios), slices.Max(ratios))
	fmt.Print(text)
	if o.results == "" {
		return nil
	}
	return results.Replace(o.results, title, text)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// deploy trains a model on the penguins and serves it.
func deploy(ctx context.Context, program, folder string) (*contender, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile("examples/penguins/penguins.csv")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "penguins.csv"), data, 0o600); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "--data", "penguins.csv", "--label", "species"}, {"apply"}} {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("trimtab %s: %w\n%s", args[0], err, out)
		}
	}
	dir := filepath.Join(folder, ".trimtab")
	c := &contender{name: "Trimtab", cmd: exec.Command(program, "server", "--dir", dir, "--listen", "127.0.0.1:0", "--log-level", "error")}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var info struct{ URL string }
		if b, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil && json.Unmarshal(b, &info) == nil {
			c.address = strings.TrimPrefix(info.URL, "http://")
			return c, nil
		}
		if time.Now().After(deadline) {
			c.stop()
			return nil, errors.New("trimtab does not become ready")
		}
	}
}

// request is one penguin.
func request() *pb.ModelInferRequest {
	q := &pb.ModelInferRequest{ModelName: "penguins", Id: "1"}
	text := func(name, value string) {
		q.Inputs = append(q.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "BYTES", Shape: []int64{1}})
		q.RawInputContents = append(q.RawInputContents, append([]byte{byte(len(value)), 0, 0, 0}, value...))
	}
	number := func(name string, value []byte) { // FP64, little-endian
		q.Inputs = append(q.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "FP64", Shape: []int64{1}})
		q.RawInputContents = append(q.RawInputContents, value)
	}
	text("island", "Biscoe")
	text("sex", "female")
	number("bill_length_mm", []byte{0, 0, 0, 0, 0, 0, 0x47, 0x40})    // 46
	number("bill_depth_mm", []byte{0, 0, 0, 0, 0, 0, 0x2a, 0x40})     // 13
	number("flipper_length_mm", []byte{0, 0, 0, 0, 0, 0, 0x6a, 0x40}) // 208
	number("body_mass_g", []byte{0, 0, 0, 0, 0, 0x94, 0xb1, 0x40})    // 4500
	return q
}

// load sends n requests and gives the server's CPU per request in microseconds, and the 99th percentile in milliseconds.
func load(ctx context.Context, c *contender, n int, o options) (cpu, p99 float64, err error) {
	clients := make([]pb.GRPCInferenceServiceClient, o.connections)
	for i := range clients {
		conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return 0, 0, err
		}
		defer conn.Close()
		clients[i] = pb.NewGRPCInferenceServiceClient(conn)
	}
	message := request()
	before, err := cpuOf(c.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	took := make([]time.Duration, n)
	failures := make([]error, o.concurrency)
	var next atomic.Int64
	var workers sync.WaitGroup
	for w := range o.concurrency {
		workers.Go(func() {
			q := proto.Clone(message).(*pb.ModelInferRequest)
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failures[w] != nil {
					return
				}
				begun := time.Now()
				_, failures[w] = clients[w%len(clients)].ModelInfer(ctx, q)
				took[i] = time.Since(begun)
			}
		})
	}
	workers.Wait()
	if err := errors.Join(failures...); err != nil {
		return 0, 0, err
	}
	after, err := cpuOf(c.cmd.Process.Pid)
	slices.Sort(took)
	return (after - before).Seconds() * 1e6 / float64(n), took[n*99/100].Seconds() * 1e3, err
}

// cpuOf is the CPU time that a process has taken, in clock ticks of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc is not what it should be")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

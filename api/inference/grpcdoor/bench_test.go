package grpcdoor

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// wide is a request of one row with a dozen columns, raw.
func wide() *pb.ModelInferRequest {
	q := &pb.ModelInferRequest{ModelName: "late", Id: "1"}
	for _, name := range []string{"distance", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		q.Inputs = append(q.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "FP64", Shape: []int64{1}})
		q.RawInputContents = append(q.RawInputContents, tensor.New([]float64{250}, 1).AppendRaw(nil))
	}
	return q
}

// BenchmarkModelInfer is one row through the door, with a service that does nothing; client and server share the process.
func BenchmarkModelInfer(b *testing.B) {
	s := run(b, route.Config{})
	benchmark(b, s.oip)
}

// BenchmarkEcho is the same request with the generated code on both sides of grpc-go as it comes.
func BenchmarkEcho(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterGRPCInferenceServiceServer(s, echo{})
	go func() { _ = s.Serve(listener) }()
	defer s.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	benchmark(b, pb.NewGRPCInferenceServiceClient(conn))
}

type echo struct {
	pb.UnimplementedGRPCInferenceServiceServer
}

func (echo) ModelInfer(_ context.Context, q *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	return &pb.ModelInferResponse{ModelName: q.ModelName, Id: q.Id, RawOutputContents: q.RawInputContents}, nil
}

func benchmark(b *testing.B, client pb.GRPCInferenceServiceClient) {
	q := wide()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := client.ModelInfer(b.Context(), q); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkRead is the reader alone: the message of a row made into a batch.
func BenchmarkRead(b *testing.B) {
	q := readMessage(b, wide())
	if q.err != nil {
		b.Fatal(q.err)
	}
	message := marshal(b, wide())
	b.ReportAllocs()
	for b.Loop() {
		q := requests.Get().(*inferRequest)
		if q.err = q.read(message); q.prepare() != nil {
			b.Fatal(q.err)
		}
		q.release()
	}
}

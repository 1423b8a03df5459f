// Package grpcdoor is the data plane over gRPC: the Open Inference Protocol with Triton's extensions, TensorFlow Serving's Predict,
// health and reflection, in one server. A model is a deployment, its versions are those that the deployment has loaded.
//
// It owns the wire form of inference, read and written by hand, and the mapping of faults to gRPC's status codes. It must never hold a
// rule: rows are validated, routed, answered and logged by serve.
package grpcdoor

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/tensorflowpb"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Service is what the door works over; serve.Service is one.
type Service interface {
	Infer(ctx context.Context, deployment string, c serve.Choice, b *serve.Batch) (*serve.Answer, error)
	Get(ctx context.Context, name string) (*serve.Deployment, error)
	List(ctx context.Context) ([]serve.Deployment, error)
	Signature(ctx context.Context, deployment string, version int) (*registry.Signature, int, error)
	Statistics(name string, version int) (serve.Statistics, error)
	Repository(ctx context.Context) ([]serve.RepositoryModel, error)
	LoadModel(ctx context.Context, name string) error
	UnloadModel(ctx context.Context, name string) error
}

// Door is the gRPC server. It is safe for concurrent use.
type Door struct {
	*grpc.Server
	serving Service
	opt     codec.Options
	log     *slog.Logger
	calls   map[string]*route.Call // by full method
	unknown *route.Call
	stopped chan struct{}
}

// Windows of flow control. They are fixed: estimating them costs a ping and its answer for nearly every request.
const (
	streamWindow     = 1 << 20
	connectionWindow = 4 << 20
)

// Register makes the server and puts its methods into the route table. It answers on listeners (Serve), and those of its requests that
// come by a connection of HTTP.
func Register(r *route.Router, s Service, opt codec.Options) *Door {
	d := &Door{serving: s, opt: opt, log: opt.Logger(), calls: map[string]*route.Call{}, unknown: r.Unmatched(), stopped: make(chan struct{})}
	compressor.raise(opt.Limit())
	d.Server = grpc.NewServer(
		grpc.ForceServerCodecV2(newWireCodec()),
		grpc.MaxRecvMsgSize(int(opt.Limit())),
		grpc.MaxSendMsgSize(maxAnswer),
		grpc.MaxHeaderListSize(64<<10),
		grpc.MaxConcurrentStreams(1000),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.WaitForHandlers(true),
		grpc.InTapHandle(d.tap),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	read := func(action, resource string) route.Access {
		return route.Access{Action: action, Resource: resource, Audit: route.Read}
	}
	write := func(action, resource string) route.Access {
		return route.Access{Action: action, Resource: resource, Audit: route.Write}
	}
	open := route.Access{Action: "server.health", Resource: "server", Audit: route.Public}
	infer := route.Access{Action: "deployment.predict", Resource: "deployment", Audit: route.Infer}
	describe, deployment, model := read("server.describe", "server"), read("deployment.read", "deployment"), write("model.load", "model")
	memory := write("memory.share", "server")

	oip := inferencepb.GRPCInferenceService_ServiceDesc
	d.register(r, oip, &inference{door: d}, map[string]route.Access{
		"ServerLive": open, "ServerReady": open, "ServerMetadata": describe,
		"ModelReady": deployment, "ModelMetadata": deployment, "ModelConfig": deployment, "ModelStatistics": deployment,
		"ModelInfer": infer, "ModelStreamInfer": infer,
		"RepositoryIndex": read("model.list", "model"), "RepositoryModelLoad": model, "RepositoryModelUnload": model,
		"SystemSharedMemoryStatus": describe, "CudaSharedMemoryStatus": describe,
		"SystemSharedMemoryRegister": memory, "SystemSharedMemoryUnregister": memory, "CudaSharedMemoryRegister": memory, "CudaSharedMemoryUnregister": memory,
		"TraceSetting": describe, "LogSettings": describe,
	})
	d.register(r, tensorflowpb.PredictionService_ServiceDesc, &tensorflow{door: d}, map[string]route.Access{"Predict": infer, "GetModelMetadata": deployment})
	d.register(r, tensorflowpb.ModelService_ServiceDesc, &tensorflow{door: d}, map[string]route.Access{"GetModelStatus": deployment})
	d.register(r, healthpb.Health_ServiceDesc, &health{door: d}, map[string]route.Access{"Check": open, "List": deployment, "Watch": open})
	reflecting := reflection.ServerOptions{Services: d.Server}
	d.register(r, reflectionv1.ServerReflection_ServiceDesc, reflection.NewServerV1(reflecting), map[string]route.Access{"ServerReflectionInfo": describe})
	d.register(r, reflectionv1alpha.ServerReflection_ServiceDesc, reflection.NewServer(reflecting), map[string]route.Access{"ServerReflectionInfo": describe}) //nolint:staticcheck // older clients know no other
	return d
}

// register adds a service whose every method has its access. One without panics: such a program must not start.
func (d *Door) register(r *route.Router, desc grpc.ServiceDesc, impl any, access map[string]route.Access) {
	add := func(method string) *route.Call {
		a, ok := access[method]
		if !ok {
			panic("grpcdoor: " + desc.ServiceName + "/" + method + " has no access")
		}
		path := "/" + desc.ServiceName + "/" + method
		call := r.Call(path, a, d.overHTTP)
		d.calls[path] = call
		return call
	}
	desc.Methods, desc.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i := range desc.Methods {
		m := &desc.Methods[i]
		call := add(m.MethodName)
		if in, ok := impl.(*inference); ok && m.MethodName == "ModelInfer" {
			m.Handler = in.modelInfer(call)
			continue
		}
		m.Handler = d.unary(call, m.Handler)
	}
	for i := range desc.Streams {
		m := &desc.Streams[i]
		call := add(m.StreamName)
		if in, ok := impl.(*inference); ok && m.StreamName == "ModelStreamInfer" {
			m.Handler = in.modelStreamInfer
		}
		m.Handler = d.streaming(call, m.Handler)
	}
	d.RegisterService(&desc, impl)
}

// counted marks requests that came by HTTP: the router has admitted and counted them.
type counted struct{}

// overHTTP answers a request that shares its connection with others of HTTP. A connection of gRPC alone takes a shorter way.
func (d *Door) overHTTP(w http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor != 2 || !strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		fmt.Fprintln(w, "this is a method of gRPC: call it with a gRPC client at the same address")
		return
	}
	d.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), counted{}, true)))
}

// tap admits a request before anything of it is read.
func (d *Door) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	call := d.calls[info.FullMethodName]
	if call == nil {
		call = d.unknown
	}
	if err := call.Admit(first(info.Header, ":authority"), first(info.Header, "authorization"), first(info.Header, "origin")); err != nil {
		st := toStatus(err)
		call.End(call.Begin(), httpStatus(st.Code()), first(info.Header, "x-trimtab-actor"), first(info.Header, "authorization"), "")
		return nil, st.Err()
	}
	return ctx, nil
}

func first(md metadata.MD, name string) string {
	if v := md[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// admitAs asks again with the rules of another class.
func (d *Door) admitAs(ctx context.Context, call string, class route.Class) error {
	md, _ := metadata.FromIncomingContext(ctx)
	return d.calls[call].AdmitAs(class, first(md, ":authority"), first(md, "authorization"), first(md, "origin"))
}

// named is a request about one model, for the audit line.
type named interface{ GetModelName() string }

// unary gives a method what all have: its errors are statuses, it is counted, and a panic is its failure alone.
func (d *Door) unary(call *route.Call, inner grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (out any, err error) {
		resource := ""
		finish := d.begin(ctx, call, &resource)
		defer func() { err = finish(err, recover()) }()
		return inner(srv, ctx, func(v any) error {
			if err := dec(v); err != nil {
				return malformed(err)
			}
			if m, ok := v.(named); ok {
				resource = m.GetModelName()
			}
			return nil
		}, nil)
	}
}

// streaming does the same for a stream, whose messages come later.
func (d *Door) streaming(call *route.Call, inner grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) (err error) {
		resource := ""
		finish := d.begin(stream.Context(), call, &resource)
		defer func() { err = finish(err, recover()) }()
		return inner(srv, reading{stream})
	}
}

// reading is a stream whose broken messages are the caller's mistake.
type reading struct{ grpc.ServerStream }

// RecvMsg reads a message.
func (s reading) RecvMsg(v any) error { return malformed(s.ServerStream.RecvMsg(v)) }

// malformed makes grpc-go's failure to read a message what it is: the caller's mistake.
func malformed(err error) error {
	if st, ok := status.FromError(err); ok && st.Code() == codes.Internal {
		return status.Error(codes.InvalidArgument, "the message cannot be read: "+strings.TrimPrefix(st.Message(), "grpc: "))
	}
	return err
}

// begin counts a call; what it returns ends it with the error, or the panic, that the handler ended with.
func (d *Door) begin(ctx context.Context, call *route.Call, resource *string) func(err error, cause any) error {
	byHTTP := ctx.Value(counted{}) != nil
	var begun time.Time
	if !byHTTP {
		begun = call.Begin()
	}
	return func(err error, cause any) error {
		if cause != nil {
			err = d.recovered(cause)
		}
		if err != nil {
			err = d.refuse(err)
		}
		if !byHTTP {
			actor, authorization := "", ""
			if call.Writes() {
				md, _ := metadata.FromIncomingContext(ctx)
				actor, authorization = first(md, "x-trimtab-actor"), first(md, "authorization")
			}
			call.End(begun, httpStatus(status.Code(err)), actor, authorization, *resource)
		}
		return err
	}
}

// recovered logs a panic of a handler.
func (d *Door) recovered(cause any) error {
	d.log.Error("panic", "door", "grpc", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "the server failed")
}

// Shutdown ends the health watchers, takes no more requests and waits for those under way; when ctx ends they are cut.
func (d *Door) Shutdown(ctx context.Context) error {
	select {
	case <-d.stopped:
	default:
		close(d.stopped)
	}
	done := make(chan struct{})
	go func() {
		d.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		d.Stop()
		<-done
		return ctx.Err()
	}
}

package grpcdoor

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// inference is the service of the Open Inference Protocol. Its two methods of inference have handlers of their own, which read and write
// messages by hand.
type inference struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	door *Door
}

// modelInfer is the handler of ModelInfer.
func (in *inference) modelInfer(call *route.Call) grpc.MethodHandler {
	d := in.door
	return func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (out any, err error) {
		byHTTP := ctx.Value(counted{}) != nil
		var begun time.Time
		if !byHTTP {
			begun = call.Begin()
		}
		status := 200
		if !byHTTP {
			var span trace.Span
			if ctx, span = call.Trace(ctx, carrier{ctx}); span != nil {
				defer func() { route.Traced(ctx, span, status) }()
			}
		}
		defer func() {
			if cause := recover(); cause != nil {
				out, err = nil, d.recovered(cause)
				status = 500
			}
			if !byHTTP {
				call.End(begun, status, "", "", "")
			}
		}()
		q := requests.Get().(*inferRequest)
		if err := dec(q); err != nil {
			status = 400
			return nil, malformed(err)
		}
		r := new(inferResponse)
		if err := d.infer(ctx, q, r, r.write, false); err != nil {
			q.release()
			st := toStatus(err)
			status = httpStatus(st.Code())
			return nil, d.refuse(err)
		}
		q.release()
		return r, nil
	}
}

// carrier reads the caller's trace from the metadata of a call.
type carrier struct{ ctx context.Context }

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(name string) string {
	if values := metadata.ValueFromIncomingContext(c.ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set is for the side that sends; this one reads.
func (carrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier: those of W3C's trace context.
func (carrier) Keys() []string { return []string{"traceparent", "tracestate"} }

// infer answers a request into a message.
func (d *Door) infer(ctx context.Context, q *inferRequest, r *inferResponse, write func(*answer) error, streamed bool) error {
	if err := q.prepare(); err != nil {
		return err
	}
	if q.model == "" {
		return fault.New(fault.Invalid, "the request names no model").WithHint("model_name is the name of a deployment")
	}
	c, err := choice(q.model, q.version, q.label)
	if err != nil {
		return err
	}
	if err := d.choose(ctx, q.model, c, q.wanted, &q.batch); err != nil {
		return err
	}
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.timeout)*time.Microsecond)
		defer cancel()
	}
	q.batch.Header = carrier{ctx}.Get
	a, err := d.serving.Infer(ctx, q.model, c, &q.batch)
	if err != nil {
		return err
	}
	outputs, err := codec.Outputs(a, q.wanted)
	if err != nil {
		return err
	}
	for i, k := range q.classes {
		if k > 0 {
			best, err := codec.Classify(outputs[i].Tensor, k, a.Signature.Classes)
			if err != nil {
				return err
			}
			outputs[i].Tensor = best
		}
	}
	return write(&answer{model: q.model, version: a.Version, id: q.id, final: streamed, outputs: outputs})
}

// choose refuses outputs that are not there, before anything is answered and logged, and tells the model which of its own are wanted.
// Which version a label means is known only when it answers: then all are made.
func (d *Door) choose(ctx context.Context, model string, c serve.Choice, wanted []string, b *serve.Batch) error {
	if len(wanted) == 0 || c.Label != "" {
		return nil
	}
	sig, _, err := d.serving.Signature(ctx, model, c.Version)
	if err != nil {
		return err
	}
	b.Wanted = codec.Wanted(sig, wanted)
	return codec.CheckOutputs(sig, wanted, b.Explain)
}

// modelStreamInfer answers the requests of a stream one after the other, each with one response. What is wrong with a request is said in
// its response and does not end the stream.
func (in *inference) modelStreamInfer(_ any, stream grpc.ServerStream) error {
	d := in.door
	for {
		q := requests.Get().(*inferRequest)
		if err := stream.RecvMsg(q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r := new(inferResponse)
		err := d.infer(stream.Context(), q, r, r.writeStreamed, true)
		if err == nil {
			q.release()
			if err := stream.SendMsg(r); err != nil {
				return err
			}
			continue
		}
		st := toStatus(err)
		_ = d.refuse(err) // for its line in the log
		r.writeError(strings.Clone(q.model), strings.Clone(q.id), st.Message())
		q.release()
		if err := stream.SendMsg(r); err != nil {
			return err
		}
		if stream.Context().Err() != nil {
			return stream.Context().Err()
		}
	}
}

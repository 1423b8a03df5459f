package grpcdoor

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
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
	if len(q.wanted) > 0 && c.Label == "" {
		// Before anything is answered and logged: an output that is not there refuses the request.
		sig, _, err := d.serving.Signature(ctx, q.model, c.Version)
		if err != nil {
			return err
		}
		if err := checkOutputs(q.wanted, sig); err != nil {
			return err
		}
	}
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.timeout)*time.Microsecond)
		defer cancel()
	}
	a, err := d.serving.Infer(ctx, q.model, c, &q.batch)
	if err != nil {
		return err
	}
	outputs, err := outputsOf(a, q.wanted)
	if err != nil {
		return err
	}
	return write(&answer{model: q.model, version: a.Version, id: q.id, final: streamed, outputs: outputs})
}

func checkOutputs(want []string, sig *registry.Signature) error {
	all := describeOutputs(sig)
	for _, name := range want {
		known := slices.ContainsFunc(all, func(f tensorInfo) bool { return f.name == name }) || sig.Task != registry.TaskTensors && slices.Contains(explanations, name)
		if known {
			continue
		}
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].name
		}
		return fault.New(fault.Invalid, "there is no output %q", clip(name)).WithHint("outputs are %s", strings.Join(names, ", "))
	}
	return nil
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

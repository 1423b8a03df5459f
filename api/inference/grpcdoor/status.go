package grpcdoor

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// statuses is gRPC's code for each code of a fault. What callers can do something about is never Internal or Unknown.
var statuses = map[fault.Code]codes.Code{
	fault.Invalid:         codes.InvalidArgument,
	fault.NotFound:        codes.NotFound,
	fault.Conflict:        codes.FailedPrecondition,
	fault.Denied:          codes.PermissionDenied,
	fault.Unauthenticated: codes.Unauthenticated,
	fault.GateRefused:     codes.FailedPrecondition,
	fault.NotSupported:    codes.Unimplemented,
	fault.FormatNotServed: codes.FailedPrecondition,
	fault.TooLarge:        codes.ResourceExhausted, // as grpc-go says of a message beyond its bound
	fault.TooMany:         codes.ResourceExhausted,
	fault.Unavailable:     codes.Unavailable,
	fault.Corrupt:         codes.DataLoss,
	fault.Canceled:        codes.Canceled,
	fault.Internal:        codes.Internal,
}

// toStatus is the status of an error. The hint follows the message.
func toStatus(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return status.New(codes.DeadlineExceeded, "the deadline passed")
		case errors.Is(err, context.Canceled):
			return status.New(codes.Canceled, "the caller left")
		}
		return status.New(codes.Internal, "the server failed")
	}
	code, ok := statuses[f.Code]
	if !ok || code == codes.Internal {
		return status.New(codes.Internal, "the server failed")
	}
	text := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		text += "; " + hint
	}
	return status.New(code, text)
}

// refuse is the status of an error as an error; what is the server's failure is logged.
func (d *Door) refuse(err error) error {
	st := toStatus(err)
	if st.Code() == codes.Internal && fault.CodeOf(err) == fault.Internal {
		if _, said := status.FromError(err); !said {
			d.log.Error("request failed", "door", "grpc", "error", err)
		}
	}
	return st.Err()
}

// httpStatus is the status that a call is counted with.
func httpStatus(c codes.Code) int {
	switch c {
	case codes.OK:
		return 200
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Unavailable, codes.DeadlineExceeded:
		return 500
	default:
		return 400
	}
}

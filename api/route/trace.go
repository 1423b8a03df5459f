package route

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/trimtab-ml/trimtab/infra/otel"
)

// Trace begins the span of a request, as a child of the one that the caller sent along (W3C trace context), when there is a tracer; else
// the span is nil.
func (r *Router) Trace(ctx context.Context, from propagation.TextMapCarrier, name string) (context.Context, trace.Span) {
	if r.cfg.Tracer == nil {
		return ctx, nil
	}
	ctx = propagation.TraceContext{}.Extract(ctx, from)
	return r.cfg.Tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
}

// Trace begins the span of a request of the method; nil when there is no tracer. Its end is Traced.
func (c *Call) Trace(ctx context.Context, from propagation.TextMapCarrier) (context.Context, trace.Span) {
	return c.router.Trace(ctx, from, strings.TrimPrefix(c.pattern, "/"))
}

// Traced ends the span of a request that was answered with an HTTP status.
func Traced(ctx context.Context, span trace.Span, status int) {
	otel.Piece(ctx, span, "encode", otel.At(span, otel.Answered), time.Now())
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= 500 {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

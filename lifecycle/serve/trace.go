package serve

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/trimtab-ml/trimtab/infra/otel"
)

// traced is the times of a request whose span is recorded.
type traced struct {
	ctx             context.Context
	span            trace.Span // nil = nobody asked
	began, admitted time.Time
}

// trace begins to note the times of a request when its context has a span that is recorded.
func (s *Service) trace(ctx context.Context) traced {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return traced{}
	}
	return traced{ctx: ctx, span: span, began: time.Now()}
}

func (t *traced) enter() {
	if t.span != nil {
		t.admitted = time.Now()
	}
}

// answered adds what a request went through to its span: decode, queue, features, model, log.
func (t *traced) answered(deployment string, p *Prediction, rows int, bound, scored, done time.Time) {
	if t.span == nil {
		return
	}
	if bound.IsZero() {
		bound = t.admitted
	}
	t.span.SetAttributes(attribute.String("trimtab.deployment", deployment), attribute.Int("trimtab.version", p.Version), attribute.String("trimtab.arm", p.Arm.String()),
		attribute.Int("trimtab.rows", rows), attribute.String("trimtab.prediction_id", p.ID))
	otel.Piece(t.ctx, t.span, "decode", otel.Began(t.span), t.began)
	otel.Piece(t.ctx, t.span, "queue", t.began, t.admitted)
	otel.Piece(t.ctx, t.span, "features", t.admitted, bound)
	otel.Piece(t.ctx, t.span, "model", bound, scored)
	otel.Piece(t.ctx, t.span, "log", scored, done)
	t.span.AddEvent(otel.Answered, trace.WithTimestamp(done))
}

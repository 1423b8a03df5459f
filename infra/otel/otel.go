// Package otel sends traces to an OpenTelemetry collector, when the environment names one.
//
// It owns the exporter and its life. Who makes spans, and of what, is theirs to say: they work with the interfaces of
// go.opentelemetry.io/otel/trace and need not know this package.
package otel

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Variables that name a collector: of all signals, or of traces alone. The exporter and the sampler read the others of the standard
// (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_BSP_…) by themselves.
const (
	endpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	service        = "OTEL_SERVICE_NAME"
)

// Traces makes spans and sends them in batches over OTLP/HTTP.
type Traces struct {
	provider *sdk.TracerProvider
}

// Open begins to send when the environment names a collector; nil when it names none. A collector that cannot be reached is no error:
// its spans are dropped, which the log says.
func Open(ctx context.Context, version string, log *slog.Logger) (*Traces, error) {
	if os.Getenv(endpoint) == "" && os.Getenv(tracesEndpoint) == "" || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not sent", "error", err) }))
	about := resource.NewSchemaless(attribute.String("service.name", cmp.Or(os.Getenv(service), "trimtab")), attribute.String("service.version", version))
	return &Traces{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))}, nil
}

// Tracer makes spans under the name of a part of the program; nil when nothing is sent.
func (t *Traces) Tracer(name string) trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer(name)
}

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Answered is the event by which the maker of an answer marks when it was made: what comes after is encoding.
const Answered = "answered"

// Began is when a span began; the zero time when it does not tell.
func Began(span trace.Span) time.Time {
	if s, ok := span.(sdk.ReadOnlySpan); ok {
		return s.StartTime()
	}
	return time.Time{}
}

// At is when an event of a span happened; the zero time when it did not.
func At(span trace.Span, event string) time.Time {
	if s, ok := span.(sdk.ReadOnlySpan); ok {
		for _, e := range s.Events() {
			if e.Name == event {
				return e.Time
			}
		}
	}
	return time.Time{}
}

// Piece adds a span of what happened between two times within another.
func Piece(ctx context.Context, within trace.Span, name string, from, to time.Time) {
	if from.IsZero() || to.Before(from) {
		return
	}
	_, span := within.TracerProvider().Tracer("trimtab").Start(trace.ContextWithSpan(ctx, within), name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(to))
}

package inference_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/trimtab-ml/trimtab/api/inference"
	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/route"
)

// TestAPredictionIsTraced: a request is a span under the caller's, and what it went through are spans under it, one after the other.
func TestAPredictionIsTraced(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	r := route.New(route.Config{Tracer: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")})
	inference.Register(r, inferencetest.Serving(t, &inferencetest.Log{}), codec.Options{})
	req := httptest.NewRequest(http.MethodPost, "http://localhost/v2/models/"+inferencetest.Binary+"/infer",
		strings.NewReader(`{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[5]}]}`))
	const caller, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	req.Header.Set("Traceparent", "00-"+caller+"-"+parent+"-01")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	var names []string
	ended := spans.Ended()
	root := ended[len(ended)-1]
	for _, s := range ended {
		names = append(names, s.Name())
		if s.SpanContext().TraceID().String() != caller {
			t.Errorf("%s is of the trace %s", s.Name(), s.SpanContext().TraceID())
		}
		if s != root && (s.Parent().SpanID() != root.SpanContext().SpanID() || s.StartTime().Before(root.StartTime()) || s.EndTime().After(root.EndTime())) {
			t.Errorf("%s lies outside of the request", s.Name())
		}
	}
	if want := []string{"decode", "queue", "features", "model", "log", "encode", "POST /v2/models/{model}/infer"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if root.Parent().SpanID().String() != parent {
		t.Errorf("the request is under %s", root.Parent().SpanID())
	}
}

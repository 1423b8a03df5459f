package mlflow

import (
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// answer is a status with its error code as MLflow's clients know them. They retry 408, 429, 500, 502, 503 and 504 for minutes and
// nothing else, so none of these may stand for a mistake of the user.
type answer struct {
	status int
	code   string
}

// answers is the one mapping from faults to MLflow's errors (its table is ERROR_CODE_TO_HTTP_STATUS in mlflow/exceptions.py).
var answers = map[fault.Code]answer{
	fault.Invalid:         {http.StatusBadRequest, "INVALID_PARAMETER_VALUE"},
	fault.NotFound:        {http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST"},
	fault.Conflict:        {http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS"},
	fault.Denied:          {http.StatusForbidden, "PERMISSION_DENIED"},
	fault.Unauthenticated: {http.StatusUnauthorized, "UNAUTHENTICATED"},
	fault.GateRefused:     {http.StatusBadRequest, "INVALID_PARAMETER_VALUE"},
	fault.NotSupported:    {http.StatusNotImplemented, "NOT_IMPLEMENTED"},
	fault.FormatNotServed: {http.StatusNotImplemented, "NOT_IMPLEMENTED"},
	fault.TooLarge:        {http.StatusBadRequest, "INVALID_PARAMETER_VALUE"},
	fault.TooMany:         {http.StatusTooManyRequests, "REQUEST_LIMIT_EXCEEDED"},
	fault.Unavailable:     {http.StatusServiceUnavailable, "TEMPORARILY_UNAVAILABLE"},
	fault.Canceled:        {499, "CANCELLED"},
}

// statusOf is the status of the error codes that a fault may name itself, in its detail "error_code".
var statusOf = map[string]int{
	"BAD_REQUEST":             http.StatusBadRequest,
	"INVALID_PARAMETER_VALUE": http.StatusBadRequest,
	"RESOURCE_ALREADY_EXISTS": http.StatusBadRequest,
	"FEATURE_DISABLED":        http.StatusBadRequest,
	"RESOURCE_DOES_NOT_EXIST": http.StatusNotFound,
	"NOT_FOUND":               http.StatusNotFound,
	"ENDPOINT_NOT_FOUND":      http.StatusNotFound,
	"ALREADY_EXISTS":          http.StatusConflict,
	"RESOURCE_CONFLICT":       http.StatusConflict,
	"ABORTED":                 http.StatusConflict,
	"PERMISSION_DENIED":       http.StatusForbidden,
	"CUSTOMER_UNAUTHORIZED":   http.StatusUnauthorized,
	"NOT_IMPLEMENTED":         http.StatusNotImplemented,
	"RESOURCE_EXHAUSTED":      http.StatusTooManyRequests,
}

// classOf is the error class and state that MLflow 3.17 sends beside some codes (mlflow/error_classification.py).
var classOf = map[string]string{
	"BAD_REQUEST":             "INVALID_PARAMETER_VALUE",
	"INVALID_PARAMETER_VALUE": "INVALID_PARAMETER_VALUE",
	"CUSTOMER_UNAUTHORIZED":   "PERMISSION_DENIED",
	"PERMISSION_DENIED":       "PERMISSION_DENIED",
	"ENDPOINT_NOT_FOUND":      "RESOURCE_NOT_FOUND",
	"NOT_FOUND":               "RESOURCE_NOT_FOUND",
	"RESOURCE_DOES_NOT_EXIST": "RESOURCE_NOT_FOUND",
	"RESOURCE_ALREADY_EXISTS": "RESOURCE_ALREADY_EXISTS",
	"FEATURE_DISABLED":        "FEATURE_DISABLED",
	"INTERNAL_ERROR":          "CLIENT_INTERNAL_ERROR",
	"TEMPORARILY_UNAVAILABLE": "CLIENT_INTERNAL_ERROR",
}

func answerOf(p *route.Problem) answer {
	if p.Unmatched {
		// Clients that know several methods of an endpoint try the next one on this code only.
		return answer{p.Status, "ENDPOINT_NOT_FOUND"}
	}
	if code, ok := p.Details["error_code"].(string); ok {
		if status := statusOf[code]; status != 0 {
			return answer{status, code}
		}
	}
	if a, ok := answers[p.Code]; ok {
		return a
	}
	return answer{http.StatusInternalServerError, "INTERNAL_ERROR"}
}

// writeError answers in the form that MLflow's clients raise as MlflowException. The hint comes beside the message, whose words they
// compare.
func writeError(w http.ResponseWriter, req *http.Request, p *route.Problem) {
	a := answerOf(p)
	o := &out{b: make([]byte, 0, 256)}
	o.open('{')
	o.text("error_code", a.code)
	o.text("message", p.Detail)
	if class := classOf[a.code]; class != "" {
		state := "KAM00"
		if class == "CLIENT_INTERNAL_ERROR" {
			state = "XXM00"
		}
		o.text("sqlstate", state)
		o.text("error_class", class)
	}
	if p.Hint != "" {
		o.text("hint", p.Hint)
	}
	o.text("request_id", p.RequestID)
	o.close('}')
	h := w.Header()
	h["Content-Type"] = jsonType
	if a.status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Basic realm="mlflow"`}
	}
	w.WriteHeader(a.status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(o.b) // a client that left is not there to be told
	}
}

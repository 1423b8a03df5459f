// Package scoring speaks what MLflow's scoring server and SageMaker's containers speak: POST /invocations and GET /ping, for the default
// deployment at the root and for every deployment below /d/{deployment}/mlflow and /d/{deployment}/sagemaker.
//
// It owns those two dialects: their forms of rows, their content types and their errors. It must never hold a rule: rows are validated,
// routed, answered and logged by serve.
//
// Sources: mlflow/mlflow, mlflow/pyfunc/scoring_server/__init__.py; Amazon SageMaker, "Common data formats for inference".
package scoring

import (
	"mime"
	"net/http"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// dialect says which of the two a path speaks. Both begin with the same bytes; at the root what MLflow does not take is SageMaker's.
type dialect int

const (
	either dialect = iota
	mlflow
	sagemaker
)

type door struct {
	router  *route.Router
	serving *serve.Service
	opt     codec.Options
}

// Register adds the door.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	d := &door{router: r, serving: s, opt: opt}
	r.Errors(refuse, "/invocations", "/ping", "/d/*/mlflow/", "/d/*/sagemaker/")
	r.Handle(http.MethodGet, "/ping", route.Access{Action: "server.health", Resource: "server", Audit: route.Public}, func(w http.ResponseWriter, _ *http.Request) {
		// TorchServe's words: MLflow and SageMaker look at the status alone.
		w.Header()["Content-Type"] = codec.JSON
		_, _ = w.Write([]byte("{\"status\":\"Healthy\"}\n")) // a caller that left is not there to be told
	})
	infer := route.Access{Action: "deployment.predict", Resource: "deployment", Audit: route.Infer, MaxBody: opt.Limit()}
	r.Handle(http.MethodPost, "/invocations", infer, d.invocations(either))
	infer.Resource = "deployment/{deployment}"
	read := route.Access{Action: "deployment.read", Resource: "deployment/{deployment}", Audit: route.Read}
	for base, speaks := range map[string]dialect{"/d/{deployment}/mlflow": mlflow, "/d/{deployment}/sagemaker": sagemaker} {
		r.Handle(http.MethodPost, base+"/invocations", infer, d.invocations(speaks))
		r.Handle(http.MethodGet, base+"/ping", read, d.ping)
	}
	r.Handle(http.MethodGet, "/d/{deployment}/mlflow/health", read, d.ping)
}

// ping says whether a deployment answers.
func (d *door) ping(w http.ResponseWriter, req *http.Request) {
	if _, _, err := d.serving.Signature(req.Context(), req.PathValue("deployment"), 0); err != nil {
		d.router.Error(w, req, err)
		return
	}
	w.Header()["Content-Type"] = codec.JSON
	_, _ = w.Write([]byte("\n")) // a caller that left is not there to be told
}

func (d *door) invocations(speaks dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if err := d.answer(w, req, speaks); err != nil {
			d.router.Error(w, req, err)
		}
	}
}

// request is what a body says beside its rows, and how it is answered.
type request struct {
	speaks dialect
	accept format // of the answer
	scores bool   // probabilities in place of labels
}

func (d *door) answer(w http.ResponseWriter, req *http.Request, speaks dialect) error {
	name := req.PathValue("deployment")
	if name == "" {
		var err error
		if name, err = d.serving.Default(); err != nil {
			return err
		}
	}
	sig, _, err := d.serving.Signature(req.Context(), name, 0)
	if err != nil {
		return err
	}
	content, params, err := contentOf(req, speaks)
	if err != nil {
		return err
	}
	x := codec.Get()
	defer x.Release()
	if err := x.Read(req, d.opt.Limit()); err != nil {
		return err
	}
	q := &request{speaks: speaks}
	if err := q.parse(x, sig, content, params); err != nil {
		return err
	}
	if q.accept, err = q.negotiate(req.Header.Get("Accept"), content); err != nil {
		return err
	}
	if lacking := frame.Lacking(&x.Batch, sig); len(lacking) > 0 {
		return fault.New(fault.Invalid, "Model is missing inputs %s.", quoted(lacking)).With("columns", lacking).WithHint("send every input of the model; null says that a value is missing")
	}
	x.Batch.Header = req.Header.Get
	if x.Batch.Request = req.Header.Get("X-Amzn-SageMaker-Inference-Id"); x.Batch.Request == "" {
		x.Batch.Request = req.Header.Get("X-Request-Id")
	}
	a, err := d.serving.Infer(req.Context(), name, serve.Choice{}, &x.Batch)
	if err != nil {
		return err
	}
	if x.Answer, err = q.write(x.Answer[:0], a); err != nil {
		return err
	}
	frame.Tell(w, a)
	codec.Send(w, req, contentTypes[q.accept], x.Answer)
	return nil
}

func quoted(names []string) string {
	return "['" + strings.Join(names, "', '") + "']"
}

// format is how rows or answers are written.
type format int

const (
	json format = iota
	jsonLines
	textCSV
)

var contentTypes = map[format][]string{json: codec.JSON, jsonLines: {"application/jsonlines"}, textCSV: {"text/csv; charset=utf-8"}}

// formatOf knows a media type.
func formatOf(media string) (format, bool) {
	switch media {
	case "application/json":
		return json, true
	case "application/jsonlines", "application/x-jsonlines", "application/x-ndjson", "application/ndjson":
		return jsonLines, true
	case "text/csv":
		return textCSV, true
	}
	return 0, false
}

// contentOf reads the content type. Types and parameters that a dialect does not take are a 415.
func contentOf(req *http.Request, speaks dialect) (format, map[string]string, error) {
	header := req.Header.Get("Content-Type")
	if header == "" {
		return json, nil, nil
	}
	media, params, err := mime.ParseMediaType(header)
	if err != nil {
		return 0, nil, unsupported("the content type %q is none", codec.Clip(header))
	}
	f, known := formatOf(media)
	if !known || speaks == mlflow && f == jsonLines {
		takes := "['text/csv', 'application/json']"
		if speaks != mlflow {
			takes = "['text/csv', 'application/json', 'application/jsonlines']"
		}
		return 0, nil, unsupported("This predictor only supports the following content types: Types: %s. Got '%s'.", takes, codec.Clip(header))
	}
	for name, value := range params {
		switch {
		case name == "charset":
			if !strings.EqualFold(value, "utf-8") {
				return 0, nil, unsupported("The scoring server only supports UTF-8")
			}
		case f == textCSV && speaks != mlflow && (name == "header" || name == "label_size"):
			if name == "label_size" && value != "0" {
				return 0, nil, unsupported("label_size is 0: rows have no labels here")
			}
		default:
			return 0, nil, unsupported("Unrecognized content type parameters: %s.", codec.Clip(name))
		}
	}
	return f, params, nil
}

func unsupported(format string, args ...any) error {
	f := fault.New(fault.Invalid, format, args...)
	return &route.Problem{Status: http.StatusUnsupportedMediaType, Code: fault.Invalid, Detail: f.Error()}
}

// parse reads the rows.
func (q *request) parse(x *codec.Exchange, sig *registry.Signature, content format, params map[string]string) error {
	x.Begin()
	x.Scan = scan.NewWithTokens(x.Body)
	f := frame.New(x, sig)
	switch content {
	case textCSV:
		header := frame.HeaderMaybe
		switch {
		case q.speaks == mlflow || params["header"] == "present":
			header = frame.HeaderFirst
		case params["header"] == "absent":
			header = frame.HeaderNone
		}
		named, err := f.CSV(header, frame.Missing)
		if err != nil {
			return err
		}
		if q.speaks == either && !named {
			q.speaks = sagemaker
		}
	case jsonLines:
		q.speaks = sagemaker
		f.Lines()
	default:
		if err := q.parseJSON(x, f, sig); err != nil {
			return err
		}
	}
	return f.Finish()
}

// negotiate chooses the format of the answer: the first one of the header that is spoken; by default that of the request where SageMaker
// is spoken, else JSON.
func (q *request) negotiate(accept string, content format) (format, error) {
	usual := json
	if q.speaks == sagemaker {
		usual = content
	}
	if accept == "" {
		return usual, nil
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		if media == "*/*" || media == "application/*" && usual != textCSV || media == "text/*" && usual == textCSV {
			return usual, nil
		}
		if f, known := formatOf(media); known {
			return f, nil
		}
	}
	if q.speaks == mlflow {
		return json, nil // MLflow does not look
	}
	return 0, &route.Problem{Status: http.StatusNotAcceptable, Code: fault.Invalid, Detail: "answers are application/json, application/jsonlines or text/csv, not " + codec.Clip(accept)}
}

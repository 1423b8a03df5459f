package native

import (
	"cmp"
	"io"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/trimtab-ml/trimtab/api/route"
)

// ServerOptions is what the server tells about itself.
type ServerOptions struct {
	Version    string
	Compatible string // what /version says: MLflow's clients read it to know what they may ask; "" = Version
	Metrics    *prometheus.Registry
	Ready      func() error // nil = ready once it answers
}

// RegisterServer adds /health, /ready, /version and /metrics.
func RegisterServer(r *route.Router, o ServerOptions) {
	o.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "trimtab_build_info", Help: "1, with the version of the program."},
		[]string{"version", "go"})
	build.WithLabelValues(o.Version, runtime.Version()).Set(1)
	o.Metrics.MustRegister(build)

	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, text)
		}
	}
	public := func(action string) route.Access {
		return route.Access{Action: "server." + action, Resource: "server", Audit: route.Public}
	}
	r.Handle(http.MethodGet, "/health", public("health"), say("OK"))
	r.Handle(http.MethodGet, "/version", public("version"), say(cmp.Or(o.Compatible, o.Version)))
	r.Handle(http.MethodGet, "/ready", public("ready"), func(w http.ResponseWriter, req *http.Request) {
		if o.Ready != nil {
			if err := o.Ready(); err != nil {
				r.Error(w, req, err)
				return
			}
		}
		say("OK")(w, req)
	})
	// The metrics name routes and models, so they are not public.
	r.Handle(http.MethodGet, "/metrics", route.Access{Action: "server.metrics", Resource: "server", Audit: route.Read},
		promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP)
}

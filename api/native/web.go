package native

import (
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/ui"
)

// RegisterWeb adds the web app, which is files only: what it shows it reads from the API, which is guarded.
func RegisterWeb(r *route.Router) {
	access := route.Access{Action: "web.read", Resource: "web", Audit: route.Public}
	r.Handle(http.MethodGet, ui.Prefix+"{path...}", access, ui.Handler().ServeHTTP)
	r.Handle(http.MethodGet, "/{$}", access, http.RedirectHandler(ui.Prefix, http.StatusFound).ServeHTTP)
}

package mlflow

import (
	"net/http"

	"github.com/trimtab-ml/trimtab/api/route"
)

// registerServer adds what clients ask of the server itself. There are no workspaces, which both handshakes say; a client that was told
// to use one stops there.
func (d *door) registerServer() {
	access := route.Access{Action: "server.describe", Resource: "server", Audit: route.Read, Plain: true}
	info := []byte(`{"store_type":"SqlStore","workspaces_enabled":false,"trace_archival_enabled":false,"multipart_uploads_enabled":true,` +
		`"multipart_downloads_enabled":false,"presigned_upload_run_id_supported":true,"presigned_upload_model_id_supported":true,"features_enabled":{"gateway":false}}`)
	say := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = jsonType
			_, _ = w.Write(body) // a client that left is not there to be told
		}
	}
	for _, root := range roots3 {
		d.r.Handle(http.MethodGet, root+"/mlflow/server-info", access, say(info))
	}
	for _, root := range roots {
		d.r.Handle(http.MethodGet, root+"/mlflow/server-features", access, say([]byte(`{"workspaces_enabled":false}`)))
	}
	// The web app of MLflow asks for the gateway's endpoints wherever it is; an empty gateway is none.
	d.r.Handle(http.MethodGet, ajax[0]+"/mlflow/gateway-proxy", access, say([]byte(`{"endpoints":[]}`)))
}

package native

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/backup"
)

// HeaderBackupBytes tells how many bytes of files a backup has, before the first of them arrives.
const HeaderBackupBytes = "Trimtab-Backup-Bytes"

// RegisterBackup adds the copy of everything. It is a POST that leaves an audit line: what it gives away holds every secret.
func RegisterBackup(r *route.Router, take func(ctx context.Context) (*backup.Snapshot, error), log *slog.Logger) {
	access := route.Access{Action: "server.backup", Resource: "server", Audit: route.Write}
	r.Handle(http.MethodPost, route.Prefix+"/backup", access, func(w http.ResponseWriter, req *http.Request) {
		snap, err := take(req.Context())
		if err != nil {
			r.Error(w, req, err)
			return
		}
		defer snap.Close()
		w.Header().Set("Content-Type", "application/x-tar")
		w.Header().Set("Content-Disposition", `attachment; filename="trimtab-`+snap.Head.CreatedAt.Format("20060102-150405")+`.tar"`)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set(HeaderBackupBytes, strconv.FormatInt(snap.Head.Bytes, 10))
		if err := snap.Write(req.Context(), w); err != nil {
			log.Error("write a backup", "request_id", route.RequestID(req.Context()), "error", err)
			panic(http.ErrAbortHandler) // the answer has begun: its missing end says that it is not whole
		}
	})
}

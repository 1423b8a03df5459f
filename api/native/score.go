package native

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/pipeline"
)

// Media types of files of rows.
const (
	mediaParquet = "application/vnd.apache.parquet"
	mediaCSV     = "text/csv"
)

// maxScoreBody bounds an uploaded file of rows.
const maxScoreBody = 4 << 30

// RegisterScore adds offline scoring: a file of rows in, the same rows with scores out. temp is a folder for both on their way.
func RegisterScore(r *route.Router, s *pipeline.Service, temp string) {
	access := route.Access{Action: "version.score", Resource: "model/{model}/{version}", Audit: route.Read, MaxBody: maxScoreBody}
	r.Handle(http.MethodPost, route.Prefix+"/models/{model}/versions/{version}/score", access, func(w http.ResponseWriter, req *http.Request) {
		if err := score(w, req, s, temp); err != nil {
			r.Error(w, req, err)
		}
	})
}

func score(w http.ResponseWriter, req *http.Request, s *pipeline.Service, temp string) error {
	version, err := strconv.Atoi(req.PathValue("version"))
	if err != nil {
		return fault.New(fault.Invalid, "version %q is not a number", req.PathValue("version"))
	}
	inFormat, err := formatOf(req.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	outFormat, media := inFormat, req.Header.Get("Content-Type")
	if accept := req.Header.Get("Accept"); accept != "" && accept != "*/*" {
		if outFormat, err = formatOf(accept); err != nil {
			return err
		}
		media = accept
	}
	dir, err := os.MkdirTemp(temp, "score-")
	if err != nil {
		return fmt.Errorf("make a folder to score in: %w", err)
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	f, err := os.Create(in)
	if err != nil {
		return fmt.Errorf("take the rows to score: %w", err)
	}
	_, err = io.Copy(f, req.Body)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("take the rows to score: %w", err)
	}
	rows, err := s.ScoreFile(req.Context(), req.PathValue("model"), version, in, inFormat, out, outFormat)
	if err != nil {
		return err
	}
	answer, err := os.Open(out)
	if err != nil {
		return fmt.Errorf("answer the scored rows: %w", err)
	}
	defer answer.Close()
	w.Header().Set("Content-Type", media)
	w.Header().Set("Trimtab-Rows", strconv.Itoa(rows))
	_, _ = io.Copy(w, answer) // the reader left; nobody is there to be told
	return nil
}

func formatOf(media string) (string, error) {
	kind, _, err := mime.ParseMediaType(media)
	if err == nil {
		switch kind {
		case mediaParquet:
			return pipeline.Parquet, nil
		case mediaCSV:
			return pipeline.CSV, nil
		}
	}
	return "", fault.New(fault.Invalid, "rows of type %q can't be scored", media).WithHint("send and accept %s or %s", mediaParquet, mediaCSV)
}

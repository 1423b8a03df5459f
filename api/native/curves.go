package native

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// TableRequest asks for cells of runs: what a page shows, and nothing else.
type TableRequest struct {
	RunSearch
	Columns []string `json:"columns" doc:"metrics.x, params.y, tags.z or attributes.name, .status, .start_time, .end_time, .user_id, .experiment_id" example:"metrics.auc"`
	Offset  int      `json:"offset,omitempty" minimum:"0"`
	Limit   int      `json:"limit,omitempty" doc:"at most 5,000"`
	GroupBy []string `json:"group_by,omitempty" doc:"columns whose values make groups; the answer then counts them"`
}

// TableAnswer has one row of cells per run, in the order of the columns: a text, a number or null. NaN and the
// infinities are the texts "NaN", "Infinity" and "-Infinity".
type TableAnswer struct {
	Total  int64      `json:"total" doc:"runs that match"`
	IDs    []string   `json:"ids"`
	Rows   [][]any    `json:"rows"`
	Groups []RunGroup `json:"groups,omitempty"`
}

// RunGroup is the runs that have the same values in the columns of group_by.
type RunGroup struct {
	Values []any `json:"values"`
	Count  int64 `json:"count"`
}

// ChartRequest asks for curves that fit a screen.
type ChartRequest struct {
	Runs    []string `json:"runs" maxItems:"1000"`
	Keys    []string `json:"keys" maxItems:"1000"`
	Axis    string   `json:"axis,omitempty" enum:"step,time,relative" doc:"time in milliseconds since 1970, relative in milliseconds since the first point"`
	From    *int64   `json:"from,omitempty"`
	To      *int64   `json:"to,omitempty"`
	Buckets int      `json:"buckets,omitempty" doc:"points wanted per curve; 320 when left out, at most 5,000"`
}

// ChartAnswer has one entry per run and key that has points. Where there are more points than asked for, each entry of
// the columns is a bucket: y is its last value, low and high its extremes, so that no spike is lost. Numbers of buckets have
// seven digits; an export has all.
type ChartAnswer struct {
	Series []Curve `json:"series"`
}

// Curve is the points of one metric of one run, as columns.
type Curve struct {
	Run         string    `json:"run"`
	Key         string    `json:"key"`
	Total       int64     `json:"total" doc:"points that were logged in the range"`
	Downsampled bool      `json:"downsampled"`
	X           []int64   `json:"x"`
	Y           []float64 `json:"y"`
	Low         []float64 `json:"low,omitempty" doc:"only when downsampled"`
	High        []float64 `json:"high,omitempty" doc:"only when downsampled"`
}

const (
	maxTable   = 5000
	maxBuckets = 5000
	maxCurves  = 10_000
)

// RegisterCurves adds the routes whose answers are long: the table of runs, charts and exports. They write their
// answers as they go.
func RegisterCurves(r *route.Router, s *track.Service) {
	r.Handle(http.MethodPost, route.Prefix+"/runs/table", route.Access{Action: "run.table", Resource: "run", Audit: route.Read}, func(w http.ResponseWriter, req *http.Request) {
		var in TableRequest
		if err := readJSON(req, &in); err != nil {
			r.Error(w, req, err)
			return
		}
		if in.Limit < 0 || in.Limit > maxTable || in.Offset < 0 {
			r.Error(w, req, fault.New(fault.Invalid, "limit %d and offset %d: want 0 to %d, and 0 or more", in.Limit, in.Offset, maxTable))
			return
		}
		table, err := s.RunTable(req.Context(), track.TableQuery{RunSearch: in.search(), Columns: in.Columns, Offset: in.Offset, Limit: in.Limit, GroupBy: in.GroupBy})
		if err != nil {
			r.Error(w, req, err)
			return
		}
		b := append([]byte(`{"total":`), strconv.FormatInt(table.Total, 10)...)
		b = append(b, `,"ids":`...)
		b = appendList(b, table.IDs, appendText)
		b = append(b, `,"rows":`...)
		b = appendList(b, table.Rows, func(b []byte, row []any) []byte { return appendList(b, row, appendCell) })
		if len(in.GroupBy) > 0 {
			b = append(b, `,"groups":`...)
			b = appendList(b, table.Groups, func(b []byte, g track.Group) []byte {
				b = append(b, `{"values":`...)
				b = appendList(b, g.Values, appendCell)
				return append(strconv.AppendInt(append(b, `,"count":`...), g.Count, 10), '}')
			})
		}
		writeJSON(w, append(b, '}'))
	})
	r.Handle(http.MethodPost, route.Prefix+"/runs/charts", route.Access{Action: "run.chart", Resource: "run", Audit: route.Read}, func(w http.ResponseWriter, req *http.Request) {
		var in ChartRequest
		if err := readJSON(req, &in); err != nil {
			r.Error(w, req, err)
			return
		}
		switch {
		case len(in.Runs)*len(in.Keys) > maxCurves:
			r.Error(w, req, fault.New(fault.Invalid, "%d runs and %d keys are more than %d curves", len(in.Runs), len(in.Keys), maxCurves).WithHint("ask for the charts on the screen only"))
			return
		case in.Buckets < 0 || in.Buckets > maxBuckets:
			r.Error(w, req, fault.New(fault.Invalid, "buckets %d: want 1 to %d", in.Buckets, maxBuckets))
			return
		case !slices.Contains([]string{"", "step", "time", "relative"}, in.Axis):
			r.Error(w, req, fault.New(fault.Invalid, "axis %q: want step, time or relative", in.Axis))
			return
		}
		series, err := s.Charts(req.Context(), track.ChartRequest{Runs: in.Runs, Keys: in.Keys, Axis: in.Axis, From: in.From, To: in.To, Buckets: in.Buckets})
		if err != nil {
			r.Error(w, req, err)
			return
		}
		b := []byte(`{"series":`)
		b = appendList(b, series, appendCurve)
		writeJSON(w, append(b, '}'))
	})
	r.Handle(http.MethodPost, route.Prefix+"/runs/export", route.Access{Action: "run.export", Resource: "run", Audit: route.Read}, func(w http.ResponseWriter, req *http.Request) {
		var in TableRequest
		if err := readJSON(req, &in); err != nil {
			r.Error(w, req, err)
			return
		}
		if err := writeTable(w, req, s, in); err != nil {
			r.Error(w, req, err)
		}
	})
	r.Handle(http.MethodGet, route.Prefix+"/runs/{id}/metrics/export", route.Access{Action: "run.metrics", Resource: "run/{id}", Audit: route.Read}, func(w http.ResponseWriter, req *http.Request) {
		format := req.URL.Query().Get("format")
		media, ok := map[string]string{"": "text/csv; charset=utf-8", "csv": "text/csv; charset=utf-8", "arrow": "application/vnd.apache.arrow.stream", "parquet": mediaParquet}[format]
		if !ok {
			r.Error(w, req, fault.New(fault.Invalid, "format %q: want csv, arrow or parquet", format))
			return
		}
		run, err := s.Get(req.Context(), req.PathValue("id"))
		if err != nil {
			r.Error(w, req, err)
			return
		}
		if format == "" {
			format = "csv"
		}
		out := &lateHeader{w: w, media: media, name: "metrics-" + run.ID + "." + format}
		if err := s.ExportMetrics(req.Context(), []string{run.ID}, format, out); err != nil && !out.begun {
			r.Error(w, req, err)
		}
	})
}

// lateHeader sends the head of an answer with its first byte, so that an error before it can still be answered.
type lateHeader struct {
	w           http.ResponseWriter
	media, name string
	begun       bool
}

func (l *lateHeader) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", l.media)
		l.w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s"`, l.name))
	}
	return l.w.Write(p)
}

// writeTable writes every matching run as CSV, a page at a time.
func writeTable(w http.ResponseWriter, req *http.Request, s *track.Service, in TableRequest) error {
	out := csv.NewWriter(&lateHeader{w: w, media: "text/csv; charset=utf-8", name: "runs.csv"})
	const page = 1000
	for offset := 0; ; offset += page {
		table, err := s.RunTable(req.Context(), track.TableQuery{RunSearch: in.search(), Columns: in.Columns, Offset: offset, Limit: page})
		if err != nil {
			if offset > 0 {
				return nil // the head is gone; the reader sees a short answer
			}
			return err
		}
		if offset == 0 {
			_ = out.Write(append([]string{"run_id"}, in.Columns...)) // the reader left: the next page finds out
		}
		for i, row := range table.Rows {
			record := []string{table.IDs[i]}
			for _, cell := range row {
				record = append(record, cellText(cell))
			}
			_ = out.Write(record)
		}
		out.Flush()
		if out.Error() != nil || len(table.Rows) < page {
			return nil
		}
	}
}

// cellText is a cell in a CSV file. A text that a spreadsheet would run as a formula gets a quote before it.
func cellText(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case string:
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return "'" + v
			}
		}
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(cell)
}

func readJSON(req *http.Request, into any) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.Wrap(err, fault.Invalid, "the body is not the expected JSON").WithHint("its form is described at " + route.Prefix + "/openapi.json")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the reader left; nobody is there to be told
}

func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

func appendText(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

func appendNumber(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendDrawn writes a number with the seven digits that a picture can show, half of the bytes; whole numbers keep all of theirs.
func appendDrawn(b []byte, v float64) []byte {
	if f := math.Abs(v); f > 1e-30 && f < 1e30 && v != math.Trunc(v) {
		return strconv.AppendFloat(b, float64(float32(v)), 'g', -1, 32)
	}
	return appendNumber(b, v)
}

func appendCell(b []byte, cell any) []byte {
	switch v := cell.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendText(b, v)
	case float64:
		return appendNumber(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	}
	return appendText(b, fmt.Sprint(cell))
}

func appendCurve(b []byte, c track.ChartSeries) []byte {
	b = appendText(append(b, `{"run":`...), c.Run)
	b = appendText(append(b, `,"key":`...), c.Key)
	b = strconv.AppendInt(append(b, `,"total":`...), c.Total, 10)
	b = strconv.AppendBool(append(b, `,"downsampled":`...), c.Downsampled)
	b = append(b, `,"x":`...)
	b = appendList(b, c.Points, func(b []byte, p track.ChartPoint) []byte { return strconv.AppendInt(b, p.X, 10) })
	number := appendNumber
	if c.Downsampled {
		number = appendDrawn
	}
	b = append(b, `,"y":`...)
	b = appendList(b, c.Points, func(b []byte, p track.ChartPoint) []byte { return number(b, p.Y) })
	if c.Downsampled {
		b = append(b, `,"low":`...)
		b = appendList(b, c.Points, func(b []byte, p track.ChartPoint) []byte { return number(b, p.Low) })
		b = append(b, `,"high":`...)
		b = appendList(b, c.Points, func(b []byte, p track.ChartPoint) []byte { return number(b, p.High) })
	}
	return append(b, '}')
}

package rows

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// format is how rows are written, in a request or in an answer.
type format int

const (
	asJSON format = iota // {"rows": …} and {"predictions": …}
	asLines
	asCSV
	asStream // Arrow IPC
	asFile   // Arrow IPC with a footer; also known as Feather version 2
	asParquet
)

var contentTypes = [...][]string{
	asJSON:    codec.JSON,
	asLines:   {"application/x-ndjson"},
	asCSV:     {"text/csv; charset=utf-8"},
	asStream:  {"application/vnd.apache.arrow.stream"},
	asFile:    {"application/vnd.apache.arrow.file"},
	asParquet: {"application/vnd.apache.parquet"},
}

// formatOf knows a media type.
func formatOf(media string) (format, bool) {
	switch media {
	case "application/json":
		return asJSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonlines", "application/x-jsonlines", "application/jsonl":
		return asLines, true
	case "text/csv":
		return asCSV, true
	case "application/vnd.apache.arrow.stream":
		return asStream, true
	case "application/vnd.apache.arrow.file":
		return asFile, true
	case "application/vnd.apache.parquet", "application/x-parquet", "application/parquet":
		return asParquet, true
	}
	return asJSON, false
}

// sent is the format of a body. What is none of the others is the row form in JSON, whatever it is called, as it was before there were
// others; but bytes that no JSON begins with and that begin a known file are that file.
func sent(contentType string) format {
	if contentType == "" || contentType == "application/json" {
		return asJSON
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return asJSON
	}
	f, _ := formatOf(media)
	return f
}

// asked is the format of the answer: the first of Accept that is spoken, else that of the request.
func asked(accept string, usual format) (format, error) {
	if accept == "" || accept == "*/*" {
		return usual, nil
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		if f, known := formatOf(media); known {
			return f, nil
		}
		if media == "*/*" || strings.HasSuffix(media, "/*") && strings.HasPrefix(contentTypes[usual][0], strings.TrimSuffix(media, "*")) {
			return usual, nil
		}
	}
	if usual == asJSON {
		return asJSON, nil // as before there were other formats
	}
	return usual, &route.Problem{Status: http.StatusNotAcceptable, Code: fault.Invalid, Detail: "no answer is written as " + codec.Clip(accept),
		Hint: "accept application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream, application/vnd.apache.arrow.file or application/vnd.apache.parquet"}
}

// options are what the query says of a request whose body has no place for it.
func options(req *http.Request, b *serve.Batch) (version int, err error) {
	if req.URL.RawQuery == "" {
		return 0, nil
	}
	for name, values := range req.URL.Query() {
		text := values[0]
		switch name {
		case "version":
			if version, err = strconv.Atoi(text); err != nil || version < 0 {
				return 0, fault.New(fault.Invalid, "version is a whole number, not %q", codec.Clip(text))
			}
		case "id":
			b.Request = text
		case "at":
			us, ok := serve.ParseTime(text)
			if !ok {
				return 0, fault.New(fault.Invalid, "at is a time such as 2013-04-01T10:00:00Z, not %q", codec.Clip(text))
			}
			b.At = append(b.At[:0], us)
		case "explain":
			if b.Explain, err = strconv.ParseBool(text); err != nil {
				return 0, fault.New(fault.Invalid, "explain is true or false, not %q", codec.Clip(text))
			}
		default:
			return 0, fault.New(fault.Invalid, "there is no option %q", codec.Clip(name)).WithHint("options are version, id, at and explain; keys and times per row are the columns %s and %s", frame.ColumnKey, frame.ColumnAt)
		}
	}
	return version, nil
}

// parseTable reads a body that is not the row form.
func parseTable(x *codec.Exchange, sig *registry.Signature, f format, limit int64) error {
	x.Begin()
	switch f {
	case asLines:
		x.Scan = scan.NewWithTokens(x.Body)
		lines := frame.New(x, sig)
		lines.Lines()
		return lines.Finish()
	case asCSV:
		table := frame.New(x, sig)
		if _, err := table.CSV(frame.HeaderFirst, frame.Missing); err != nil {
			return err
		}
		return table.Finish()
	}
	var columns []*column
	var err error
	if f == asParquet {
		columns, err = readParquet(x.Body, limit)
	} else {
		columns, err = readArrow(x.Body, limit)
	}
	if err != nil {
		return err
	}
	return take(&x.Batch, columns, sig)
}

// writeTable writes an answer as a table.
func writeTable(x *codec.Exchange, a *serve.Answer, f format) error {
	if f == asLines {
		b := x.Answer[:0]
		for i := range a.Predictions {
			b = append(appendPrediction(b, a, i), '\n')
		}
		x.Answer = b
		return nil
	}
	columns, err := answered(a)
	if err != nil {
		return err
	}
	if f == asCSV {
		x.Answer = appendCSV(x.Answer[:0], columns)
		return nil
	}
	out := bytes.NewBuffer(x.Answer[:0])
	if f == asParquet {
		err = writeParquet(out, columns)
	} else {
		err = writeArrow(out, columns, f == asFile)
	}
	x.Answer = out.Bytes()
	return err
}

func appendCSV(b []byte, columns []*column) []byte {
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendField(b, c.name)
	}
	b = append(b, '\n')
	for i := range columns[0].rows {
		for k, c := range columns {
			if k > 0 {
				b = append(b, ',')
			}
			switch {
			case c.isNull(i):
			case c.kind == floats:
				b = codec.AppendNumber(b, c.floats[i])
			case c.kind == ints:
				b = strconv.AppendInt(b, c.ints[i], 10)
			case c.kind == times:
				b = codec.AppendTime(b, c.ints[i])
			case c.kind == bools:
				b = strconv.AppendBool(b, c.bools[i])
			default:
				b = appendField(b, c.texts[i])
			}
		}
		b = append(b, '\n')
	}
	return b
}

// appendField writes a text of a CSV, in quotes where RFC 4180 wants them.
func appendField(b []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

package mlflow

import (
	"net/http"
	"strings"
	"sync"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// batchForm is the whole form of log-batch. Bodies as clients write them never meet it: it is for those that are refused or odd.
var batchForm = form(need(words("run_id")),
	objects("metrics", form(need(words("key")), need(field{name: "value", kind: number}), need(long("timestamp")), long("step"),
		words("model_id"), words("dataset_name"), words("dataset_digest"))),
	objects("params", form(need(words("key")), words("value"))), objects("tags", form(need(words("key")), words("value"))))

// batch is a request to log-batch, in memory that is used again. Nothing in it may be kept: what track gets are copies.
type batch struct {
	body []byte
	run  string
	keys [256]string // texts that were seen before, by a hash of theirs: batches repeat their keys
	track.Batch
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) release() {
	if cap(b.body) > 1<<20 || cap(b.Metrics) > 4*track.MaxMetrics {
		return
	}
	clear(b.Metrics)
	clear(b.Params)
	clear(b.Tags)
	b.run, b.Metrics, b.Params, b.Tags = "", b.Metrics[:0], b.Params[:0], b.Tags[:0]
	batches.Put(b)
}

func (d *door) registerBatch() {
	for _, root := range roots {
		d.r.Handle(http.MethodPost, root+"/mlflow/runs/log-batch",
			route.Access{Action: "run.log", Resource: "run", Audit: route.Infer, MaxBody: maxBody, Plain: true}, func(w http.ResponseWriter, req *http.Request) {
				if err := d.logBatch(w, req); err != nil {
					d.r.Error(w, req, err)
				}
			})
	}
}

var empty = []byte("{}")

func (d *door) logBatch(w http.ResponseWriter, req *http.Request) error {
	weight := req.ContentLength
	if weight < 0 {
		weight = unknown
	}
	leave, err := d.writes.enter(req.Context(), weight)
	if err != nil {
		return err
	}
	defer leave()
	if err := contentType(req); err != nil {
		return err
	}
	b := batches.Get().(*batch)
	defer b.release()
	if b.body, err = readBody(req, b.body[:0]); err != nil {
		return err
	}
	if err := b.decode(); err != nil {
		return err
	}
	if err := d.track.LogBatch(req.Context(), b.run, b.Batch); err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(empty) // a client that left is not there to be told
	return nil
}

// decode reads the body. What is not as clients write it goes through the form, which finds what is wrong with it or understands it.
func (b *batch) decode() error {
	if b.fast() {
		return nil
	}
	r, err := decode(batchForm, b.body)
	if err != nil {
		return err
	}
	b.run, b.Metrics, b.Params, b.Tags = strings.Clone(r.text("run_id")), b.Metrics[:0], b.Params[:0], b.Tags[:0]
	for _, m := range r.records("metrics") {
		b.Metrics = append(b.Metrics, track.Metric{Key: strings.Clone(m.text("key")), Value: m.get("value").float, At: m.int("timestamp"), Step: m.int("step"),
			ModelID: strings.Clone(m.text("model_id")), DatasetName: strings.Clone(m.text("dataset_name")), DatasetDigest: strings.Clone(m.text("dataset_digest"))})
	}
	for _, p := range r.records("params") {
		b.Params = append(b.Params, track.Param{Key: strings.Clone(p.text("key")), Value: strings.Clone(p.text("value"))})
	}
	for _, t := range r.records("tags") {
		b.Tags = append(b.Tags, track.Tag{Key: strings.Clone(t.text("key")), Value: strings.Clone(t.text("value"))})
	}
	return nil
}

// odd marks a body that the form has to look at.
const odd = "odd"

// fast reads a body in one pass and reports whether it was as expected.
func (b *batch) fast() bool {
	s := &scanner{b: b.body}
	for ok := s.open('{'); ok; ok = s.more('{') {
		switch s.key() {
		case "run_id":
			b.run = strings.Clone(s.plain())
		case "metrics":
			b.Metrics = b.Metrics[:0]
			for ok := s.open('['); ok; ok = s.more('[') {
				b.Metrics = append(b.Metrics, track.Metric{})
				b.metric(s, &b.Metrics[len(b.Metrics)-1])
			}
		case "params":
			b.Params = b.Params[:0]
			for ok := s.open('['); ok; ok = s.more('[') {
				key, value := s.pair()
				b.Params = append(b.Params, track.Param{Key: key, Value: value})
			}
		case "tags":
			b.Tags = b.Tags[:0]
			for ok := s.open('['); ok; ok = s.more('[') {
				key, value := s.pair()
				b.Tags = append(b.Tags, track.Tag{Key: key, Value: value})
			}
		case "runId":
			s.fail(odd)
		default:
			s.skip()
		}
	}
	s.end()
	return s.err == nil && b.run != ""
}

// plain reads a text that must be one.
func (s *scanner) plain() string {
	if s.space() != '"' {
		s.fail(odd)
		return ""
	}
	return s.text()
}

// again gives a copy of a text, the one that was made when it was seen before.
func (b *batch) again(text string) string {
	if text == "" {
		return ""
	}
	n := len(text)
	slot := &b.keys[uint8(uint(text[n-1])*31+uint(text[n/2])*7+uint(text[0])+uint(n)*131)]
	if *slot != text {
		*slot = strings.Clone(text)
	}
	return *slot
}

// whole reads an integer that is written as one.
func (s *scanner) whole() int64 {
	s.space()
	_, n, ok := s.number()
	if !ok {
		s.fail(odd)
	}
	return n
}

// metric reads one.
func (b *batch) metric(s *scanner, m *track.Metric) {
	const key, value, timestamp = 1, 2, 4
	found := 0
	for ok := s.open('{'); ok; ok = s.more('{') {
		switch s.key() {
		case "key":
			if m.Key = b.again(s.plain()); m.Key != "" {
				found |= key
			}
		case "value":
			found |= value
			if s.space() == '"' {
				var ok bool
				if m.Value, ok = float(s.text()); !ok {
					s.fail(odd)
				}
				continue
			}
			m.Value, _, _ = s.number()
			if m.Value-m.Value != 0 { // an infinity: too large for a number
				s.fail(odd)
			}
		case "timestamp":
			found |= timestamp
			m.At = s.whole()
		case "step":
			m.Step = s.whole()
		case "model_id":
			m.ModelID = b.again(s.orNull())
		case "dataset_name":
			m.DatasetName = b.again(s.orNull())
		case "dataset_digest":
			m.DatasetDigest = b.again(s.orNull())
		case "modelId", "datasetName", "datasetDigest":
			s.fail(odd)
		default:
			s.skip()
		}
	}
	if found != key|value|timestamp {
		s.fail(odd)
	}
}

// orNull reads a text or null.
func (s *scanner) orNull() string {
	if s.space() == 'n' {
		s.literal()
		return ""
	}
	return s.plain()
}

// pair reads a key with its value, which may be missing.
func (s *scanner) pair() (key, value string) {
	for ok := s.open('{'); ok; ok = s.more('{') {
		switch s.key() {
		case "key":
			key = strings.Clone(s.plain())
		case "value":
			value = strings.Clone(s.orNull())
		default:
			s.skip()
		}
	}
	if key == "" {
		s.fail(odd)
	}
	return key, value
}

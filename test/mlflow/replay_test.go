package mlflow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

var (
	record = flag.Bool("record", false, "record the golden answers of the replay anew from the real MLflow server")
	accept = flag.Bool("accept", false, "write our answers that differ into differences.jsonl; the reasons are for you to write")
)

// request is one line of testdata/replay/*.jsonl. ${name} in path, header and body stands for what an earlier answer
// bound, ${x*300} for 300 times x.
type request struct {
	Name    string            `json:"name"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	JSON    json.RawMessage   `json:"json,omitempty"` // sent as application/json
	Body    *string           `json:"body,omitempty"` // sent as it is
	Bind    map[string]string `json:"bind,omitempty"` // name to the path of a value in the answer
}

// answer is one line of the golden files: what a server said, with ids, times and tokens replaced by words.
type answer struct {
	Name   string `json:"name"`
	Status int    `json:"status"`
	JSON   any    `json:"json,omitempty"`
	Text   string `json:"text,omitempty"`
}

// difference is one line of differences.jsonl: where we answer otherwise than MLflow, what we answer, and why that is wanted.
type difference struct {
	File string `json:"file"`
	Name string `json:"name"`
	Why  string `json:"why"`
	Ours answer `json:"ours"`
}

const replayDir = "testdata/replay"

// corpus are the files of requests in the order in which they are replayed.
func corpus(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(replayDir, "[0-9]*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	return slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".golden.jsonl") })
}

func golden(file string) string { return strings.TrimSuffix(file, ".jsonl") + ".golden.jsonl" }

// TestRecord makes the golden files:
//
//	go test ./test/mlflow -run TestRecord -record
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	s, err := peer.Start(t.Context(), t.TempDir(), peer.Options{Workers: 1, Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for _, file := range corpus(t) {
		writeLines(t, golden(file), replay(t, s.URL, readLines[request](t, file)))
	}
}

// TestReplay sends the corpus to our server and compares every answer with the one that MLflow 3.17.2 gave. Where ours is
// wanted to be different, differences.jsonl says why.
func TestReplay(t *testing.T) {
	wanted := map[string]difference{}
	reasons := readLines[difference](t, filepath.Join(replayDir, "differences.jsonl"))
	for _, d := range reasons {
		wanted[d.File+"/"+d.Name] = d
	}
	s := start(t, filepath.Join(t.TempDir(), "state"))
	var differences []difference
	total := 0
	for _, file := range corpus(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			theirs := readLines[answer](t, golden(file))
			for i := range theirs {
				theirs[i].JSON = comparable(theirs[i].JSON, "", nil)
			}
			ours := replay(t, s.url, readLines[request](t, file))
			if len(ours) != len(theirs) {
				t.Fatalf("%d requests, %d golden answers: record them anew", len(ours), len(theirs))
			}
			for i, got := range ours {
				total++
				d, listed := wanted[name+"/"+got.Name]
				delete(wanted, name+"/"+got.Name)
				diff := cmp.Diff(theirs[i], got)
				switch {
				case diff == "" && listed:
					if !*accept {
						t.Errorf("%s: the difference is gone; take it out of differences.jsonl", got.Name)
					}
				case diff == "":
				case listed && (*accept || cmp.Equal(d.Ours, got)):
					differences = append(differences, difference{name, got.Name, d.Why, got})
				case *accept:
					differences = append(differences, difference{name, got.Name, "", got})
				case listed:
					t.Errorf("%s: neither MLflow's answer nor the one of differences.jsonl (-listed +ours):\n%s", got.Name, cmp.Diff(d.Ours, got))
				default:
					t.Errorf("%s: (-MLflow +ours)\n%s", got.Name, diff)
				}
			}
		})
	}
	if *accept {
		writeLines(t, filepath.Join(replayDir, "differences.jsonl"), differences)
		return
	}
	for _, d := range reasons {
		if d.Why == "" {
			t.Errorf("%s/%s: no reason is given for the difference", d.File, d.Name)
		}
	}
	for name := range wanted {
		t.Errorf("differences.jsonl has %s, which is no request", name)
	}
	if total < 300 {
		t.Errorf("only %d requests are replayed", total)
	}
}

// replay sends the requests in order and gives the answers in comparable form.
func replay(t *testing.T, base string, requests []request) []answer {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	bound := map[string]string{}
	var answers []answer
	for _, r := range requests {
		req, err := r.fill(base, bound)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		for name, path := range r.Bind {
			var tree any
			if err := json.Unmarshal(body, &tree); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %s", r.Name, res.StatusCode, body)
			}
			for _, key := range strings.Split(path, ".") {
				tree = tree.(map[string]any)[key]
			}
			bound[name] = fmt.Sprint(tree)
		}
		a := answer{Name: r.Name, Status: res.StatusCode}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if json := strings.HasPrefix(res.Header.Get("Content-Type"), "application/json"); json && decoder.Decode(&a.JSON) == nil {
			a.JSON = comparable(a.JSON, "", bound)
		} else if res.StatusCode < 300 {
			a.Text = string(body) // the HTML of errors is nobody's contract
		}
		// Through JSON, so that it is as a golden file is read.
		encoded, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		a = answer{}
		if err := json.Unmarshal(encoded, &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	return answers
}

var placeholder = regexp.MustCompile(`\$\{(?:(\w)\*(\d+)|(\w+))\}`)

// fill makes the request, with what is bound in place of its name.
func (r request) fill(base string, bound map[string]string) (*http.Request, error) {
	fill := func(text string, escape func(string) string) string {
		return placeholder.ReplaceAllStringFunc(text, func(found string) string {
			m := placeholder.FindStringSubmatch(found)
			if n, err := strconv.Atoi(m[2]); err == nil {
				return strings.Repeat(m[1], n)
			}
			if _, known := bound[m[3]]; !known {
				panic("nothing is bound to " + found + " in " + r.Name)
			}
			return escape(bound[m[3]])
		})
	}
	same := func(s string) string { return s }
	var body io.Reader
	kind := ""
	switch {
	case r.JSON != nil:
		body, kind = strings.NewReader(fill(string(r.JSON), same)), "application/json"
	case r.Body != nil:
		body = strings.NewReader(fill(*r.Body, same))
	}
	req, err := http.NewRequest(r.Method, base+fill(r.Path, url.QueryEscape), body)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for name, value := range r.Headers {
		if value == "" {
			req.Header[name] = nil
			continue
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

var (
	drawn   = regexp.MustCompile(`^[a-z]+-[a-z]+-\d{1,3}$`) // who gives no name gets an adjective, an animal and a number
	address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	hexID   = regexp.MustCompile(`\b(m-)?[0-9a-f]{32}\b`)
	// moments are the fields that hold when something happened on the server.
	moments = []string{"creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms",
		"last_updated_timestamp_ms", "start_time", "end_time", "timestamp"}
	// unordered are the lists whose order nobody promises.
	unordered = []string{"tags", "params", "aliases", "data.metrics", "dataset_inputs", "dataset_summaries", "files"}
	// unspoken are fields of errors that no client reads, theirs and ours.
	unspoken = []string{"sqlstate", "error_class", "request_id", "hint"}
	// set is how Python prints a set, in an order that changes from start to start.
	set = regexp.MustCompile(`'\{'(.*?)'\}'|\{'(.*?)'\}`)
)

// comparable replaces what must differ between two servers: ids by the names they are bound to, times of now, tokens.
func comparable(v any, path string, bound map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if path == "" && slices.Contains(unspoken, key) {
				continue
			}
			out[key] = comparable(value, strings.TrimPrefix(path+"."+key, "."), bound)
			if n, ok := value.(json.Number); ok && slices.Contains(moments, key) {
				if ms, err := n.Int64(); err == nil && ms > 1_750_000_000_000 { // made by the server: after June 2025
					out[key] = "<now>"
				}
			}
			if s, ok := value.(string); ok && strings.HasSuffix(key, "page_token") && s != "" {
				out[key] = "<token>"
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = comparable(value, path, bound)
		}
		if slices.ContainsFunc(unordered, func(suffix string) bool { return path == suffix || strings.HasSuffix(path, "."+suffix) }) {
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return out
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case string:
		return name(v, path, bound)
	}
	return v
}

// name puts the names of bound ids into a text.
func name(s, path string, bound map[string]string) string {
	for key, id := range bound {
		switch {
		case len(id) >= 8:
			s = strings.ReplaceAll(s, id, "<"+key+">")
		case strings.HasSuffix(path, "experiment_id") && s == id:
			return "<" + key + ">"
		case strings.HasPrefix(s, "mlflow-artifacts:/"+id+"/"), s == "mlflow-artifacts:/"+id:
			s = "mlflow-artifacts:/<" + key + ">" + strings.TrimPrefix(s, "mlflow-artifacts:/"+id)
		case path == "message":
			s = regexp.MustCompile(`\b`+regexp.QuoteMeta(id)+`\b`).ReplaceAllString(s, "<"+key+">")
		}
	}
	if path == "message" {
		s = set.ReplaceAllStringFunc(s, func(printed string) string {
			elements := strings.Split(strings.Trim(printed, "{}'"), "', '")
			slices.Sort(elements)
			return "{" + strings.Join(elements, ", ") + "}"
		})
	}
	s = address.ReplaceAllString(drawn.ReplaceAllString(s, "<random name>"), "<server>")
	return hexID.ReplaceAllString(s, "$1<hex>")
}

func readLines[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v: %.200s", path, err, lines.Text())
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func writeLines[T any](t *testing.T, path string, lines []T) {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

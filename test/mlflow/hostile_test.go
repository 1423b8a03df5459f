package mlflow

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a hostile request may take. A hang is longer than this even on a busy machine.
const patience = 5 * time.Second

// attack is a hostile request. Path and body may say {run}, {experiment} and {model}.
type attack struct {
	name, method, path, body string
	header                   map[string]string
	mayPass                  bool // the request is odd, and 200 is a fair answer
}

// post is an attack by a JSON body on a route below /api/2.0/mlflow.
func post(name, path, body string) attack {
	return attack{name: name, method: http.MethodPost, path: "/api/2.0/mlflow" + path, body: body,
		header: map[string]string{"Content-Type": "application/json"}}
}

// passing marks attacks that may be answered with 200.
func passing(attacks ...attack) []attack {
	for i := range attacks {
		attacks[i].mayPass = true
	}
	return attacks
}

// types are values of the wrong type, to be put where a field wants another.
var types = []string{`null`, `true`, `[]`, `{}`, `[[]]`, `{"a":{}}`, `-1`, `1.5`, `1e400`, `99999999999999999999999`, `"\u0000"`, `"\ud800"`, `""`}

// wrongTypes attacks each field of a request with each wrong value; the other fields stay right. Some of the values are
// right for some fields.
func wrongTypes() []attack {
	var attacks []attack
	for _, target := range []struct{ path, body, field string }{
		{"/runs/log-metric", `{"run_id":"{run}","key":"k","timestamp":1,"step":1,"value":%s}`, "value"},
		{"/runs/log-metric", `{"run_id":"{run}","key":"k","timestamp":%s,"step":1,"value":1}`, "timestamp"},
		{"/runs/log-metric", `{"run_id":"{run}","key":"k","timestamp":1,"step":%s,"value":1}`, "step"},
		{"/runs/log-metric", `{"run_id":"{run}","key":%s,"timestamp":1,"step":1,"value":1}`, "key"},
		{"/runs/log-parameter", `{"run_id":%s,"key":"k","value":"v"}`, "run_id"},
		{"/runs/log-batch", `{"run_id":"{run}","metrics":%s}`, "metrics"},
		{"/runs/log-batch", `{"run_id":"{run}","params":[%s]}`, "param"},
		{"/runs/search", `{"experiment_ids":%s}`, "experiment_ids"},
		{"/runs/search", `{"experiment_ids":["{experiment}"],"max_results":%s}`, "max_results"},
		{"/runs/search", `{"experiment_ids":["{experiment}"],"filter":%s}`, "filter"},
		{"/runs/search", `{"experiment_ids":["{experiment}"],"order_by":%s}`, "order_by"},
		{"/experiments/create", `{"name":%s}`, "name"},
		{"/registered-models/create", `{"name":%s,"tags":[]}`, "model name"},
		{"/model-versions/create", `{"name":"{model}","source":%s}`, "source"},
		{"/logged-models", `{"experiment_id":%s,"name":"m"}`, "experiment_id"},
		{"/runs/log-inputs", `{"run_id":"{run}","datasets":[{"dataset":%s}]}`, "dataset"},
	} {
		for _, value := range types {
			attacks = append(attacks, passing(post(target.field+" of "+target.path+" is "+value, target.path, fmt.Sprintf(target.body, value)))...)
		}
	}
	return attacks
}

// spellings are ways to write "../" and friends.
var spellings = []string{"../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e%252f", "..%c0%af", "%c0%ae%c0%ae/", "..;/", "....//", ".%00./", "..%00/", "/",
	"//", "%2f", "file:///", "C:%5c", "~/", "%uff0e%uff0e/"}

// traversals try to read, write, list and delete outside of the store.
func traversals() []attack {
	var attacks []attack
	const proxy = "/api/2.0/mlflow-artifacts/artifacts/"
	for _, s := range spellings {
		up := strings.Repeat(s, 8)
		attacks = append(attacks,
			attack{name: "put " + s, method: http.MethodPut, path: proxy + up + "tmp/{mark}", body: "evil"},
			attack{name: "put below a run " + s, method: http.MethodPut, path: proxy + "{experiment}/{run}/artifacts/" + up + "tmp/{mark}", body: "evil"},
			attack{name: "get " + s, method: http.MethodGet, path: proxy + up + "etc/passwd"},
			attack{name: "delete " + s, method: http.MethodDelete, path: proxy + up + "tmp/{victim}"},
			attack{name: "list " + s, method: http.MethodGet, path: "/api/2.0/mlflow-artifacts/artifacts?path=" + up + "etc", mayPass: true},
			attack{name: "list a run " + s, method: http.MethodGet, path: "/api/2.0/mlflow/artifacts/list?run_id={run}&path=" + up + "etc", mayPass: true},
			attack{name: "get-artifact " + s, method: http.MethodGet, path: "/get-artifact?run_id={run}&path=" + up + "etc/passwd"},
		)
	}
	// A name that does not climb may be written; what matters is where.
	for i := range attacks {
		attacks[i].mayPass = attacks[i].mayPass || attacks[i].method != http.MethodGet
	}
	for _, source := range []string{"/etc/passwd", "file:///etc/passwd", "file://localhost/etc/passwd", "mlflow-artifacts:/../../../etc", "mlflow-artifacts:/%2e%2e/%2e%2e/etc",
		"mlflow-artifacts:/{experiment}/{run}/artifacts/../../../../etc", "runs:/{run}/../../../etc", "runs:/../../etc", "models:/../../etc", "./../../etc", "\\\\host\\share"} {
		attacks = append(attacks, post("register "+source, "/model-versions/create", fmt.Sprintf(`{"name":"{model}","source":%q,"run_id":"{run}"}`, source)))
	}
	return attacks
}

// injections are texts that end a string or begin a command somewhere.
func injections() []attack {
	var attacks []attack
	for _, text := range []string{`'; DROP TABLE runs; --`, `' OR '1'='1`, `" OR 1=1 --`, `'||(SELECT sqlite_version())||'`, `\'; --`, `') UNION SELECT 1,2,3 --`, `${jndi:ldap://x/y}`,
		`{{7*7}}`, `<script>alert(1)</script>`, "line\r\nSet-Cookie: a=b", `%s%s%s%n`, `$(id)`, "`id`", "\u202e\u0000x", `0x1p-2`, `LIKE '%' ESCAPE '\'`, strings.Repeat("%_", 3000)} {
		quoted, _ := json.Marshal(text)
		filter, _ := json.Marshal("tags.t = '" + text + "'")
		raw, _ := json.Marshal(text)
		attacks = append(attacks, passing(
			post("filter value "+text, "/runs/search", `{"experiment_ids":["{experiment}"],"filter":`+string(filter)+`}`),
			post("filter "+text, "/runs/search", `{"experiment_ids":["{experiment}"],"filter":`+string(raw)+`}`),
			post("order "+text, "/runs/search", `{"experiment_ids":["{experiment}"],"order_by":[`+string(raw)+`]}`),
			post("tag "+text, "/runs/set-tag", `{"run_id":"{run}","key":`+string(quoted)+`,"value":`+string(quoted)+`}`),
			post("run "+text, "/runs/delete", `{"run_id":`+string(quoted)+`}`),
			attack{name: "version " + text, method: http.MethodGet, path: "/api/2.0/mlflow/model-versions/get?name={model}&version=" + url.QueryEscape(text)},
			attack{name: "models " + text, method: http.MethodGet, path: "/api/2.0/mlflow/registered-models/search?filter=" + url.QueryEscape("name LIKE '"+text+"'")},
		)...)
	}
	return attacks
}

// bombs are small to send and large to understand.
func bombs() []attack {
	zip := func(plain string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(plain)) // into memory
		_ = w.Close()
		return b.String()
	}
	zipped := func(name, body string) attack {
		a := post(name, "/runs/log-batch", body)
		a.header["Content-Encoding"] = "gzip"
		return a
	}
	attacks := []attack{
		post("deep lists", "/runs/log-batch", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)),
		post("deep objects", "/runs/log-batch", strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000)),
		post("a deep unknown field", "/runs/log-batch", `{"run_id":"{run}","x":`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+`}`),
		post("an open bracket, again and again", "/runs/log-batch", strings.Repeat("[", 1_000_000)),
		post("a long number", "/runs/log-metric", `{"run_id":"{run}","key":"k","timestamp":1,"value":`+strings.Repeat("9", 500_000)+`}`),
		post("a long fraction", "/runs/log-metric", `{"run_id":"{run}","key":"k","timestamp":1,"value":0.`+strings.Repeat("1", 500_000)+`}`),
		post("a long exponent", "/runs/log-metric", `{"run_id":"{run}","key":"k","timestamp":1,"value":1e`+strings.Repeat("9", 500_000)+`}`),
		post("a long key", "/runs/log-metric", `{"run_id":"{run}","key":"`+strings.Repeat("k", 2_000_000)+`","timestamp":1,"value":1}`),
		post("a long tag", "/runs/set-tag", `{"run_id":"{run}","key":"k","value":"`+strings.Repeat("v", 20_000_000)+`"}`),
		post("a long run", "/runs/delete", `{"run_id":"`+strings.Repeat("r", 1_000_000)+`"}`),
		post("many metrics", "/runs/log-batch", `{"run_id":"{run}","metrics":[`+strings.TrimSuffix(strings.Repeat(`{"key":"k","value":1,"timestamp":1},`, 100_000), ",")+`]}`),
		post("many tags", "/experiments/create", `{"name":"tags","tags":[`+strings.TrimSuffix(strings.Repeat(`{"key":"k","value":"v"},`, 100_000), ",")+`]}`),
		post("many clauses", "/runs/search", `{"experiment_ids":["{experiment}"],"filter":"`+strings.Repeat("metrics.m > 1 AND ", 20_000)+`metrics.m > 1"}`),
		post("many orders", "/runs/search", `{"experiment_ids":["{experiment}"],"order_by":["metrics.m"`+strings.Repeat(`,"metrics.m"`, 20_000)+`]}`),
		post("many experiments", "/runs/search", `{"experiment_ids":["1"`+strings.Repeat(`,"1"`, 100_000)+`]}`),
		post("a long list of ids", "/runs/search", `{"experiment_ids":["{experiment}"],"filter":"run_id IN ('a'`+strings.Repeat(",'a'", 50_000)+`)"}`),
		post("a pattern that goes back", "/runs/search", `{"experiment_ids":["{experiment}"],"filter":"tags.t LIKE '`+strings.Repeat("%a", 2000)+`b'"}`),
		post("quotes without end", "/runs/search", `{"experiment_ids":["{experiment}"],"filter":"`+strings.Repeat("'", 100_001)+`"}`),
		post("escapes", "/experiments/create", `{"name":"`+strings.Repeat(`\u0041`, 200_000)+`"}`),
		zipped("zipped zeros", zip(strings.Repeat("\x00", 50_000_000))),
		zipped("a zipped bomb of blanks", zip(`{"run_id":"{run}"`+strings.Repeat(" ", 50_000_000)+`}`)),
		zipped("zipped twice", zip(zip(strings.Repeat(" ", 50_000_000)))),
		zipped("not zipped", `{"run_id":"{run}"}`),
		zipped("half zipped", zip(strings.Repeat("abc", 1000))[:20]),
		{name: "a long path", method: http.MethodGet, path: "/api/2.0/mlflow/" + strings.Repeat("a/", 100_000)},
		{name: "a long argument", method: http.MethodGet, path: "/api/2.0/mlflow/runs/get?run_id=" + strings.Repeat("a", 500_000)},
		{name: "many arguments", method: http.MethodGet, path: "/api/2.0/mlflow/runs/get?" + strings.Repeat("run_id=a&", 100_000)},
		{name: "a long header", method: http.MethodGet, path: "/api/2.0/mlflow/runs/get?run_id=x", header: map[string]string{"X-Long": strings.Repeat("h", 2_000_000)}},
		{name: "an artifact with a long name", method: http.MethodPut, path: "/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/" + strings.Repeat("n", 5000), body: "x"},
		{name: "an artifact far below", method: http.MethodPut, path: "/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/" + strings.Repeat("d/", 3000) + "x", body: "x"},
	}
	return passing(attacks...)
}

// malformed are requests that are no request.
func malformed() []attack {
	var attacks []attack
	for _, body := range []string{"", " ", "null", "5", `"x"`, "[]", "[1]", "{", "}", "{]", `{"a"`, `{"a":}`, `{a:1}`, `{'a':1}`, `{"a":1,}`, "\xff\xfe", "{\"name\":\"\xff\"}", "\xef\xbb\xbf{}", "{}{}", "{} x",
		`{"name":"a","name":"b"}`, `{"name":NaN}`, `{"name":"\x"}`, "{\"name\":\"a\nb\"}", "<xml/>", "a=b", "\x00", `{"name":"x"}` + "\x00", `"{\"name\":\"x\"`, `"\"\\\"\\\\\\\"\""`} {
		attacks = append(attacks, passing(post(fmt.Sprintf("body %q", body), "/experiments/create", body), post(fmt.Sprintf("batch %q", body), "/runs/log-batch", body))...)
	}
	for _, kind := range []string{"text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/x-protobuf", "application/json; charset=utf-16", ";", "a/b/c", "application/json\t;"} {
		a := passing(post("content type "+kind, "/experiments/create", `{"name":"kind"}`))[0]
		a.header = map[string]string{"Content-Type": kind}
		attacks = append(attacks, a)
	}
	for _, encoding := range []string{"br", "deflate", "gzip, gzip", "zstd", "identity", "x"} {
		a := passing(post("content encoding "+encoding, "/experiments/create", `{"name":"encoding"}`))[0]
		a.header["Content-Encoding"] = encoding
		attacks = append(attacks, a)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PROPFIND", "NONSENSE", "get"} {
		for _, path := range []string{"/api/2.0/mlflow/runs/search", "/api/2.0/mlflow/experiments/get", "/api/2.0/mlflow-artifacts/artifacts/x", "/get-artifact"} {
			attacks = append(attacks, attack{name: method + " " + path, method: method, path: path, mayPass: true})
		}
	}
	for _, token := range []string{"x", "!!!", "eyJvZmZzZXQiOi0xfQ==", "eyJvZmZzZXQiOiA5OTk5OTk5OTk5OTk5OTk5OTk5OTl9", "bnVsbA==", "W10=", "{}", "\x00", strings.Repeat("A", 100_000), "' OR 1=1",
		"..%2f", "{token}x", "{token}{token}"} {
		quoted, _ := json.Marshal(token)
		attacks = append(attacks, post("page token "+short(token), "/runs/search", `{"experiment_ids":["{experiment}"],"page_token":`+string(quoted)+`}`),
			post("experiments' page token "+short(token), "/experiments/search", `{"max_results":5,"page_token":`+string(quoted)+`}`),
			attack{name: "models' page token " + short(token), method: http.MethodGet, path: "/api/2.0/mlflow/registered-models/search?page_token=" + url.QueryEscape(token)},
			attack{name: "history's page token " + short(token), method: http.MethodGet,
				path: "/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=m&max_results=1&page_token=" + url.QueryEscape(token)})
	}
	attacks = append(attacks,
		post("the token of another search", "/runs/search", `{"experiment_ids":["{experiment}"],"filter":"metrics.m > 5","page_token":"{token}"}`),
		attack{name: "another host", method: http.MethodPost, path: "/api/2.0/mlflow/experiments/create", body: `{"name":"host"}`, header: map[string]string{"Host": "evil.example", "Content-Type": "application/json"}},
		attack{name: "another origin", method: http.MethodPost, path: "/api/2.0/mlflow/experiments/create", body: `{"name":"origin"}`,
			header: map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"}},
		attack{name: "a bad percent", method: http.MethodGet, path: "/api/2.0/mlflow/runs/get?run_id=%zz", mayPass: true},
		attack{name: "a bad escape in the path", method: http.MethodGet, path: "/api/2.0/mlflow-artifacts/artifacts/%zz"},
		attack{name: "a range of nothing", method: http.MethodGet, path: "/get-artifact?run_id={run}&path=a.txt", header: map[string]string{"Range": "bytes=99-1"}, mayPass: true},
		attack{name: "many ranges", method: http.MethodGet, path: "/get-artifact?run_id={run}&path=a.txt", header: map[string]string{"Range": "bytes=" + strings.Repeat("0-0,", 5000) + "0-0"}, mayPass: true},
		attack{name: "a negative length", method: http.MethodPost, path: "/api/2.0/mlflow/runs/search", body: "{}", header: map[string]string{"Content-Length": "-1"}},
		attack{name: "a length and chunks", method: http.MethodPost, path: "/api/2.0/mlflow/runs/search", body: "0\r\n\r\n", header: map[string]string{"Content-Length": "4", "Transfer-Encoding": "chunked"}, mayPass: true},
		attack{name: "a webhook to this machine", method: http.MethodPost, path: "/api/2.0/mlflow/webhooks", body: `{"name":"w","url":"http://127.0.0.1:1/x","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}]}`,
			header: map[string]string{"Content-Type": "application/json"}},
		attack{name: "a webhook to the cloud's secrets", method: http.MethodPost, path: "/api/2.0/mlflow/webhooks", body: `{"name":"w","url":"https://169.254.169.254/x","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}]}`,
			header: map[string]string{"Content-Type": "application/json"}},
	)
	return attacks
}

func short(s string) string { return fmt.Sprintf("%.20q", s) }

// victim is a server with something to lose.
type victim struct {
	*server
	replace *strings.Replacer
	outside string // a folder beside the store that nobody may touch
}

// TestHostile sends requests that are wrong, cut, huge or evil. None may be answered with a 5xx or not at all, none may
// leave a byte outside of the store, and the server must be well afterwards.
func TestHostile(t *testing.T) {
	root := t.TempDir()
	v := victim{server: start(t, filepath.Join(root, "state")), outside: filepath.Join(root, "outside")}
	v.prepare(t)
	before := photograph(t, v.outside)
	state := v.state(t)
	total := 0
	for _, family := range []struct {
		name    string
		attacks []attack
	}{{"types", wrongTypes()}, {"traversal", traversals()}, {"injection", injections()}, {"bombs", bombs()}, {"malformed", malformed()}} {
		t.Run(family.name, func(t *testing.T) {
			for _, a := range family.attacks {
				total++
				refused := v.attack(t, a)
				now := v.state(t)
				if refused && now != state {
					t.Errorf("%.200s: it was refused, and something is written", a.name)
				}
				state = now
			}
		})
	}
	if total < 150 {
		t.Errorf("only %d attacks", total)
	}
	t.Logf("%d attacks", total)
	if after := photograph(t, v.outside); after != before {
		t.Errorf("outside of the store: before\n%s\nafter\n%s", before, after)
	}
	if stray, _ := filepath.Glob(filepath.Join(os.TempDir(), v.mark()+"*")); len(stray) > 0 {
		t.Errorf("written outside of the store: %v", stray)
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the store: %v, %v", entries, err)
	}
	if log := v.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
		t.Errorf("the server panicked:\n%.5000s", log)
	}
	if code, body := v.call(t, http.MethodGet, "/api/2.0/mlflow/runs/get?run_id={run}", ""); code != http.StatusOK || !strings.Contains(body, `"m"`) {
		t.Errorf("the run afterwards: %d %s", code, body)
	}
}

func (v *victim) mark() string { return "trimtab-hostile-mark" }

// prepare makes an experiment with a run, a metric, an artifact and a model, and a folder to protect.
func (v *victim) prepare(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(v.outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.outside, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	v.replace = strings.NewReplacer()
	var made struct {
		ExperimentID string `json:"experiment_id"`
		Run          struct {
			Info struct {
				RunID string `json:"run_id"`
			}
		}
		Token string `json:"next_page_token"`
	}
	ask := func(method, path, body string) {
		code, text := v.call(t, method, path, body)
		if code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, code, text)
		}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &made); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(http.MethodPost, "/api/2.0/mlflow/experiments/create", `{"name":"victim"}`)
	v.replace = strings.NewReplacer("{experiment}", made.ExperimentID)
	for range 2 {
		ask(http.MethodPost, "/api/2.0/mlflow/runs/create", `{"experiment_id":"{experiment}","start_time":1}`)
	}
	ask(http.MethodPost, "/api/2.0/mlflow/runs/search", `{"experiment_ids":["{experiment}"],"max_results":1}`)
	v.replace = strings.NewReplacer("{experiment}", made.ExperimentID, "{run}", made.Run.Info.RunID, "{model}", "victim", "{token}", made.Token,
		"{mark}", v.mark(), "{victim}", strings.TrimPrefix(filepath.Join(v.outside, "secret"), "/tmp/"))
	ask(http.MethodPost, "/api/2.0/mlflow/runs/log-metric", `{"run_id":"{run}","key":"m","value":1,"timestamp":1}`)
	ask(http.MethodPost, "/api/2.0/mlflow/registered-models/create", `{"name":"victim"}`)
	ask(http.MethodPut, "/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/a.txt", "hello")
}

func (v *victim) call(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, v.url+v.replace.Replace(path), strings.NewReader(v.replace.Replace(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// state is what is written: experiments, runs, models, versions, and the artifacts of the run.
func (v *victim) state(t *testing.T) string {
	t.Helper()
	sum := sha256.New()
	for _, q := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/2.0/mlflow/experiments/search", `{"max_results":50000,"view_type":"ALL"}`},
		{http.MethodPost, "/api/2.0/mlflow/runs/search", `{"experiment_ids":["{experiment}","0"],"max_results":50000,"run_view_type":"ALL"}`},
		{http.MethodGet, "/api/2.0/mlflow/registered-models/search?max_results=1000", ""},
		{http.MethodGet, "/api/2.0/mlflow/model-versions/search?max_results=1000", ""},
		{http.MethodPost, "/api/2.0/mlflow/logged-models/search", `{"experiment_ids":["{experiment}","0"]}`},
		{http.MethodGet, "/api/2.0/mlflow/artifacts/list?run_id={run}", ""},
	} {
		code, body := v.call(t, q.method, q.path, q.body)
		if code != http.StatusOK {
			t.Fatalf("%s: %d %.500s", q.path, code, body)
		}
		_, _ = io.WriteString(sum, body) // a hash cannot fail
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// attack sends the request as it is, byte by byte: net/http would correct the path and refuse the header. It says whether
// the answer was an error.
func (v *victim) attack(t *testing.T, a attack) (refused bool) {
	t.Helper()
	host := strings.TrimPrefix(v.url, "http://")
	body := v.replace.Replace(a.body)
	if a.header["Content-Encoding"] != "" {
		body = a.body
	}
	header := map[string]string{"Host": host, "Content-Length": fmt.Sprint(len(body)), "Connection": "close"}
	for name, value := range a.header {
		header[name] = value
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", a.method, strings.NewReplacer(" ", "%20", "\x00", "%00", "\r", "", "\n", "").Replace(v.replace.Replace(a.path)))
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\r\n", name, header[name])
	}
	b.WriteString("\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		t.Fatalf("%.200s: the server cannot be reached: %v\n%.3000s", a.name, err, v.log.String())
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // a deadline in the future cannot be refused
	go func() {
		// The server may answer before it has read everything.
		_, _ = conn.Write(b.Bytes())
		_, _ = io.WriteString(conn, body)
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: a.method})
	if err != nil {
		if nerr, slow := err.(net.Error); slow && nerr.Timeout() {
			t.Errorf("%.200s: no answer in %s", a.name, patience)
		} else if len(b.Bytes())+len(body) < 1<<20 {
			t.Errorf("%.200s: no answer: %v", a.name, err)
		} // a server may close on whoever sends a megabyte that it does not want
		return true
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // a cut body is the server's right after an error
	switch {
	case res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented:
		t.Errorf("%.200s: %d %.500s", a.name, res.StatusCode, text)
	case res.StatusCode < 300 && !a.mayPass:
		t.Errorf("%.200s: %d %.500s", a.name, res.StatusCode, text)
	case bytes.Contains(text, []byte("root:x:")):
		t.Errorf("%.200s: it gave away a file of the system", a.name)
	case !strings.Contains(a.path+a.body, "sqlite") && bytes.Contains(bytes.ToLower(text), []byte("sqlite")), bytes.Contains(text, []byte(v.dir)), bytes.Contains(text, []byte("goroutine ")):
		t.Errorf("%.200s: it tells of its inside: %.500s", a.name, text)
	}
	return res.StatusCode >= 400
}

// photograph is every file below a folder with its content.
func photograph(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

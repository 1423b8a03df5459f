package mlflow_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/api/mlflow"
)

const proxied = "/api/2.0/mlflow-artifacts/artifacts"

func TestArtifacts(t *testing.T) {
	each(t, func(w *world) {
		w.talk(`
			POST mlflow/runs/create {"experiment_id":"0","run_name":"n"}
			200 {"run":{"info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"","status":"RUNNING","start_time":0,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"},"data":{"tags":[{"key":"mlflow.runName","value":"n"}]},"inputs":{}}}
			GET mlflow/artifacts/list?run_id=<r>
			200 {"root_uri":"mlflow-artifacts:/0/<r>/artifacts"}
			PUT mlflow-artifacts/artifacts/0/<r>/artifacts/d/x.txt hello
			200 {}
			PUT mlflow-artifacts/artifacts/0/<r>/artifacts/d/%23%20100%25.txt odd
			200 {}
			GET mlflow-artifacts/artifacts/0/<r>/artifacts/d/x.txt
			200 hello
			GET mlflow-artifacts/artifacts/0/<r>/artifacts/d/%23%20100%25.txt
			200 odd
			GET mlflow-artifacts/artifacts?path=0/<r>/artifacts
			200 {"files":[{"path":"d","is_dir":true}]}
			GET mlflow-artifacts/artifacts?path=0%2F<r>%2Fartifacts%2Fd
			200 {"files":[{"path":"# 100%.txt","is_dir":false,"file_size":3},{"path":"x.txt","is_dir":false,"file_size":5}]}
			GET mlflow-artifacts/artifacts?path=0/<r>/artifacts/d/x.txt
			200 {}
			GET mlflow-artifacts/artifacts?path=0/none
			200 {}
			GET mlflow/artifacts/list?run_id=<r>&path=d
			200 {"root_uri":"mlflow-artifacts:/0/<r>/artifacts","files":[{"path":"d/# 100%.txt","is_dir":false,"file_size":3},{"path":"d/x.txt","is_dir":false,"file_size":5}]}
			GET mlflow/artifacts/list?run_id=<r>&path=../..
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid path","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow-artifacts/artifacts/0/<r>/artifacts/none
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No such artifact: '0/<r>/artifacts/none'","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			# MLflow answers 400 to a folder, with another body.
			GET mlflow-artifacts/artifacts/0/<r>/artifacts/
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No such artifact: '0/<r>/artifacts'","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			GET /get-artifact?run_uuid=<r>&path=d/x.txt
			200 hello
			GET /get-artifact?run_id=<r>&path=none
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No such artifact: '0/<r>/artifacts/none'","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			GET /get-artifact?run_id=<r>&path=..%2F..%2Fx
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid path","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET /get-artifact?run_id=<r>
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'path'. See the API docs for more information about request parameters.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid=<r>&path=u/y.txt hello
			200 {}
			POST /ajax-api/2.0/mlflow/upload-artifact?path=u/y.txt hello
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Request must specify run_uuid.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			DELETE mlflow-artifacts/artifacts/0/<r>/artifacts/d
			200 {}
			GET mlflow/artifacts/list?run_id=<r>
			200 {"root_uri":"mlflow-artifacts:/0/<r>/artifacts","files":[{"path":"u","is_dir":true}]}
			PUT mlflow-artifacts/artifacts/versions/abc/MLmodel x
			403 {"error_code":"PERMISSION_DENIED","message":"\"versions/abc/MLmodel\" belongs to a registered model version, and those do not change","sqlstate":"KAM00","error_class":"PERMISSION_DENIED"}
			GET mlflow-artifacts/presigned/0/x
			501 {"error_code":"NOT_IMPLEMENTED","message":"Multipart download is not supported for the current artifact repository"}
			POST mlflow/artifacts/presigned-upload-url {"run_id":"<r>","path":"a"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Presigned upload is not supported for proxied artifact storage (artifact URI scheme: mlflow-artifacts). This endpoint requires a direct cloud storage artifact URI.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/artifacts/presigned-download-url {"run_id":"<r>","path":"a"}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Presigned download is not supported for runs with proxied artifact storage (artifact URI scheme: mlflow-artifacts). This endpoint requires a run with a direct cloud storage artifact URI.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
		`)
	})
}

func TestFilesAreSentWithRangesAndNeverAsPages(t *testing.T) {
	w := on(t, mlflow.Limits{})
	w.do("PUT", proxied+"/a/page.html", "<script>alert(1)</script>")
	w.do("PUT", proxied+"/a/data.json", `{"a": 1}`)
	res, body := w.do("GET", proxied+"/a/page.html", "")
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment; filename=page.html", "Accept-Ranges": "bytes", "Content-Length": "25",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tag := res.Header.Get("Etag")
	if body != "<script>alert(1)</script>" || len(tag) != 66 || res.Header.Get("Last-Modified") == "" {
		t.Errorf("%q, tag %q", body, tag)
	}
	if res, body := w.do("GET", proxied+"/a/page.html", "", "Range", "bytes=1-6"); res.StatusCode != http.StatusPartialContent || body != "script" {
		t.Errorf("a range: %d %q", res.StatusCode, body)
	}
	if res, _ := w.do("GET", proxied+"/a/page.html", "", "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged: %d", res.StatusCode)
	}
	if res, _ := w.do("GET", proxied+"/a/page.html", "", "Range", "bytes=100-"); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end: %d", res.StatusCode)
	}
	if res, _ := w.do("GET", proxied+"/a/data.json", "", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Error("a file was compressed on its way")
	}
}

func TestChecksumsOfUploads(t *testing.T) {
	w := on(t, mlflow.Limits{})
	sum := md5.Sum([]byte("body"))
	for _, test := range []struct {
		header, value string
		status        int
	}{
		{"Content-MD5", base64.StdEncoding.EncodeToString(sum[:]), 200},
		{"Content-MD5", base64.StdEncoding.EncodeToString(make([]byte, 16)), 400},
		{"Content-MD5", "not base64!", 400},
		// sha256 of "body" (sha256sum): 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5
		{"Digest", "SHA-256=Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=", 200},
		{"Content-Digest", "sha-256=:Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=:", 200},
		{"Digest", "sha-256=Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLQ=", 400},
		{"Digest", "crc32=abcd", 200},
		{"X-Checksum-Sha256", "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5", 200},
		{"X-Checksum-Sha256", "230d", 400},
		{"X-Checksum-Md5", strings.Repeat("0", 32), 400},
		{"X-Checksum-Blake3", strings.Repeat("0", 64), 400},
	} {
		if res, body := w.do("PUT", proxied+"/a/b", "body", test.header, test.value); res.StatusCode != test.status {
			t.Errorf("%s: %s: %d %s", test.header, test.value, res.StatusCode, body)
		}
	}
}

func TestUploadsInParts(t *testing.T) {
	w := on(t, mlflow.Limits{})
	const folder = "/api/2.0/mlflow-artifacts/mpu/%s/1/r/artifacts/sub"
	create := func() (upload string, urls []string) {
		res, body := w.do("POST", fmt.Sprintf(folder, "create"), `{"path":"/home/me/big file.bin","num_parts":2}`, "Authorization", "Bearer x")
		var got struct {
			UploadID    string `json:"upload_id"`
			Credentials []struct {
				URL        string
				PartNumber int `json:"part_number"`
				Headers    map[string]string
			}
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || len(got.Credentials) != 2 {
			t.Fatalf("%d %s %v", res.StatusCode, body, err)
		}
		for i, c := range got.Credentials {
			if c.PartNumber != i+1 || c.Headers["Authorization"] != "Bearer x" || !strings.HasPrefix(c.URL, w.url+"/") {
				t.Errorf("%+v", c)
			}
			urls = append(urls, strings.TrimPrefix(c.URL, w.url))
		}
		return got.UploadID, urls
	}
	upload, urls := create()
	var tags []string
	for i, body := range []string{"hello ", "world"} {
		res, answer := w.do("PUT", urls[i], body, "Content-Type", "application/octet-stream")
		if res.StatusCode != 200 || res.Header.Get("ETag") == "" {
			t.Fatalf("part %d: %d %s", i, res.StatusCode, answer)
		}
		tags = append(tags, res.Header.Get("ETag"))
	}
	res, body := w.do("GET", urls[0][:strings.LastIndex(urls[0], "/")], "")
	if res.StatusCode != 200 || !strings.Contains(body, `"path":"1/r/artifacts/sub/big file.bin","parts":[{"part_number":1,"size":6,`) {
		t.Errorf("progress: %d %s", res.StatusCode, body)
	}
	complete := func(path, upload string, parts ...string) (int, string) {
		res, body := w.do("POST", fmt.Sprintf(folder, "complete"), fmt.Sprintf(`{"path":%q,"upload_id":%q,"parts":[%s]}`, path, upload, strings.Join(parts, ",")))
		return res.StatusCode, body
	}
	one, two := fmt.Sprintf(`{"part_number":1,"etag":%q}`, tags[0]), fmt.Sprintf(`{"part_number":"2","etag":%q,"url":"x"}`, tags[1])
	for _, bad := range [][]string{{two, one}, {one, one}, {`{"part_number":3}`}, {`{"part_number":0}`}, {`{"part_number":1,"etag":"x"}`}} {
		if status, body := complete("big file.bin", upload, bad...); status != 400 {
			t.Errorf("%v: %d %s", bad, status, body)
		}
	}
	if status, body := complete("other.bin", upload, one, two); status != 400 {
		t.Errorf("another file: %d %s", status, body)
	}
	if status, body := complete(`C:\me\big file.bin`, upload, one, two); status != 200 {
		t.Errorf("complete: %d %s", status, body)
	}
	if _, body := w.do("GET", proxied+"/1/r/artifacts/sub/big%20file.bin", ""); body != "hello world" {
		t.Errorf("the file reads %q", body)
	}
	if status, _ := complete("big file.bin", upload, one, two); status != 404 {
		t.Errorf("complete again: %d", status)
	}
	upload, urls = create()
	for range 2 {
		if res, body := w.do("POST", fmt.Sprintf(folder, "abort"), fmt.Sprintf(`{"path":"big file.bin","upload_id":%q}`, upload)); res.StatusCode != 200 {
			t.Errorf("abort: %d %s", res.StatusCode, body)
		}
	}
	if res, _ := w.do("PUT", urls[0], "late"); res.StatusCode != 404 {
		t.Errorf("a part of an aborted upload: %d", res.StatusCode)
	}
	for path, body := range map[string]string{
		"create/a": `{"path":"..","num_parts":1}`, "create/%2e%2e/x": `{"path":"b","num_parts":1}`, "create/a/": `{"path":"b","num_parts":0}`,
		"create": `{"path":"b","num_parts":10001}`, "create/versions/x": `{"path":"b"}`, "complete/a": `{"path":"b"}`, "abort/a": `{}`,
	} {
		if res, answer := w.do("POST", "/api/2.0/mlflow-artifacts/mpu/"+path, body); res.StatusCode != 400 && res.StatusCode != 403 {
			t.Errorf("%s %s: %d %s", path, body, res.StatusCode, answer)
		}
	}
}

// TestPressure: more than can be handled waits, more than may wait is told to come again.
func TestPressure(t *testing.T) {
	w := on(t, mlflow.Limits{Uploads: 1, Queue: 1, Patience: time.Minute})
	held, release := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, body := w.send("PUT", proxied+"/a/slow", held); res.StatusCode != 200 {
			t.Errorf("the slow one: %d %s", res.StatusCode, body)
		}
	})
	if _, err := release.Write([]byte("first bytes")); err != nil { // it is being received now
		t.Fatal(err)
	}
	// Two more: one of them waits, the other is refused at once, whichever comes first.
	refused := make(chan struct{}, 2)
	for _, name := range []string{"second", "third"} {
		wg.Go(func() {
			res, body := w.do("PUT", proxied+"/a/"+name, "x")
			switch {
			case res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "1" && strings.Contains(body, "REQUEST_LIMIT_EXCEEDED"):
				refused <- struct{}{}
			case res.StatusCode != 200:
				t.Errorf("%s: %d %s", name, res.StatusCode, body)
			}
		})
	}
	<-refused
	if res, body := w.do("GET", "/api/3.0/mlflow/server-info", ""); res.StatusCode != 200 {
		t.Errorf("another kind of request: %d %s", res.StatusCode, body)
	}
	if err := release.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if len(refused) > 0 {
		t.Error("both were refused")
	}
}

// TestTwoGigabytesThroughTheProxy sends and reads 2 GiB and bounds the memory of the process.
func TestTwoGigabytesThroughTheProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 2 GiB")
	}
	const size = 2 << 30
	w := on(t, mlflow.Limits{})
	debug.FreeOSMemory()
	before := resident(t)
	res, body := w.send("PUT", proxied+"/a/big", io.LimitReader(zeros{}, size))
	if res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	sent := resident(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+proxied+"/a/big", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err = http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != size {
		t.Errorf("%d bytes, %v", n, err)
	}
	if read := resident(t); max(sent, read)-before > 64<<20 {
		t.Errorf("resident memory went from %d MiB to %d MiB and %d MiB", before>>20, sent>>20, read>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// resident is the memory of this process in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

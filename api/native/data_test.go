package native_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

func TestDatasetRoutes(t *testing.T) {
	dir := t.TempDir()
	db, err := catalog.Open(t.Context(), catalogtest.In(t, dir), govern.Schema, data.Schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	blobs, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := duck.Open(duck.Options{TempDir: filepath.Join(dir, "temp")})
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	s := data.New(db, blobs, tables, govern.New(db), []byte("secret"))
	for _, text := range []string{"k,b\n1,x\n2,y\n", "k,b\n1,x\n2,y\n-3,z\n"} {
		if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ingest(t.Context(), data.IngestRequest{Project: "p", Dataset: "d", Dir: dir,
			Spec: project.Dataset{Files: project.Strings{"a.csv"}, Contract: []project.Check{{Column: "k", Between: []float64{0, 9}}}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := route.New(route.Config{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	native.RegisterData(r, s)
	server := httptest.NewServer(r)
	defer server.Close()
	tests := []struct {
		path   string
		status int
		holds  string
	}{
		{"", 200, `"dataset":"d","number":2,"rows":2`},
		{"/d", 200, `"number":2`},
		{"/nobody", 404, `"code":"not_found"`},
		{"/d/versions", 200, `"number":1`},
		{"/d/versions/1", 200, `"quarantined":0`},
		{"/d/versions/9", 404, `no version 9`},
		{"/d/versions/2/profile", 200, `"name":"k","kind":"long","count":2`},
		{"/d/versions/2/profile.html", 200, `<h1>d, version 2</h1>`},
		{"/d/versions/two/profile.html", 400, `not a number`},
		{"/d/versions/2/quarantine", 200, `"record":3,"reason":"k is -3, not between 0 and 9"`},
		{"/d/versions/1/quarantine", 200, `"items":[]`},
		{"/d/versions/2/quarantine.parquet", 200, `PAR1`},
		{"/d/versions/1/quarantine.parquet", 404, `no rows in quarantine`},
		{"/d/versions/2/suggest", 200, `"yaml":"`},
		{"/d/diff?from=1&to=2", 200, `"quarantined":[0,1]`},
		{"/d/diff?from=1", 400, `to`},
	}
	for _, test := range tests {
		res, err := http.Get(server.URL + route.Prefix + "/projects/p/datasets" + test.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != test.status || !strings.Contains(string(body), test.holds) {
			t.Errorf("%s: %d, %v: %.600s; want %d and %s", test.path, res.StatusCode, err, body, test.status, test.holds)
		}
	}
}

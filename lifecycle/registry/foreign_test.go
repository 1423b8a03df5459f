package registry_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// goldenModel is a model of another library beside what that library predicts (engine/learn/exchange/testdata/make.py).
type goldenModel struct {
	Name, Format, Model string
	Bytes               []byte
	X                   [][]*float64
	Want                [][]float64
	Near                float64
	Task                string
	Categories          map[string][]string
	Texts               map[string][]string
}

func goldenModels(t *testing.T) []goldenModel {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "engine", "learn", "exchange", "testdata", "golden.json.gz"))
	must(t, err)
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	must(t, err)
	var golden struct{ Cases []goldenModel }
	must(t, json.NewDecoder(unzipped).Decode(&golden))
	return golden.Cases
}

// tarOf makes an upload of names and contents.
func tarOf(t *testing.T, files ...string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		must(t, w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, files[i+1])
		must(t, err)
	}
	must(t, w.Close())
	return &b
}

// bring imports files as the next version of a model.
func (w *world) bring(t *testing.T, ctx context.Context, model string, o registry.RunOptions, files ...string) (*registry.Version, error) {
	t.Helper()
	unpacked, err := w.Unpack(ctx, tarOf(t, files...))
	must(t, err)
	return w.Import(ctx, registry.Import{Model: model, Files: unpacked, Options: o})
}

// TestServesModelsOfOtherLibraries imports every golden model file of LightGBM, XGBoost, CatBoost and ONNX, and holds the package's answers
// against the library's.
func TestServesModelsOfOtherLibraries(t *testing.T) {
	models := goldenModels(t)
	one(t, func(t *testing.T, ctx context.Context, w *world) {
		for _, c := range models {
			file, content := "model.bin", c.Model
			if content == "" {
				content = string(c.Bytes)
			}
			v, err := w.bring(t, ctx, "golden", registry.RunOptions{}, file, content)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			if v.Format != c.Format || v.Serving == nil || v.Certificate == nil {
				t.Errorf("%s: registered as %s, %+v, %+v", c.Name, v.Format, v.Serving, v.Certificate)
			}
			p, err := w.LoadPackage(ctx, "golden", v.Version)
			must(t, err)
			if c.Format == "onnx" && v.Signature.Task == registry.TaskTensors {
				continue // several numbers for a row that are no classes
			}
			rows := make([][]table.Value, len(c.X))
			for i, x := range c.X {
				rows[i] = make([]table.Value, len(x))
				for j, cell := range x {
					rows[i][j] = c.cell(p, j, cell)
				}
			}
			scores, _, err := p.Ask(ctx, rows)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			k := p.Outputs()
			near := max(c.Near, 1e-5*float64(b2i(c.Format == "onnx"))) // a graph computes in float32
			worst, at := 0.0, 0
			for i, want := range c.Want {
				if len(want) != k {
					t.Fatalf("%s: %d numbers for a row, want %d", c.Name, k, len(want))
				}
				for j, x := range want {
					if d := math.Abs(scores[i*k+j]-x) / max(1, math.Abs(x)); !(d <= worst) {
						worst, at = d, i
					}
				}
			}
			if !(worst <= near) {
				t.Errorf("%s: row %d differs by %g, %g is allowed", c.Name, at, worst, near)
			}
			must(t, p.Close())
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cell is a golden cell as a caller would send it: a text where the column takes texts.
func (c *goldenModel) cell(p *registry.Package, j int, x *float64) table.Value {
	if x == nil {
		return table.Null
	}
	texts := c.Texts[strconv.Itoa(j)]
	if texts == nil {
		texts = c.Categories[strconv.Itoa(j)]
	}
	if texts == nil {
		return table.Number(*x)
	}
	text := "not known"
	if i := int(*x); *x >= 0 && i < len(texts) {
		text = texts[i]
	}
	if p.Signature.Inputs[j].Kind == table.String {
		return table.Text(text)
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		number = -12345
	}
	return table.Number(number)
}

// one runs a test on the first catalog only: what it looks at does not depend on it.
func one(t *testing.T, f func(t *testing.T, ctx context.Context, w *world)) {
	done := false
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		if !done {
			f(t, ctx, w)
		}
		done = true
	})
}

// TestUploadsAreDistrusted sends streams that are no upload.
func TestUploadsAreDistrusted(t *testing.T) {
	sparse := func() *bytes.Buffer { // a header that claims a terabyte of nothing
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(&tar.Header{Name: "model.txt", Size: 1 << 40, Typeflag: tar.TypeReg, Mode: 0o644}))
		return &b
	}
	link := func(kind byte) *bytes.Buffer {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(&tar.Header{Name: "model.txt", Linkname: "/etc/passwd", Typeflag: kind, Mode: 0o644}))
		must(t, w.Close())
		return &b
	}
	whole := tarOf(t, "model.txt", strings.Repeat("tree\n", 1000))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(bytes.Repeat([]byte{0}, 1<<20))
	must(t, err)
	must(t, z.Close())
	one(t, func(t *testing.T, ctx context.Context, w *world) {
		for name, c := range map[string]struct {
			body io.Reader
			code fault.Code
			part string
		}{
			"leaves the folder":        {tarOf(t, "../model.txt", "x"), fault.Invalid, "leaves its folder"},
			"leaves it later":          {tarOf(t, "a/../../model.txt", "x"), fault.Invalid, "leaves its folder"},
			"absolute":                 {tarOf(t, "/etc/passwd", "x"), fault.Invalid, "leaves its folder"},
			"a path of another system": {tarOf(t, `a\..\b`, "x"), fault.Invalid, "holds"},
			"a name of control":        {tarOf(t, "a\nb", "x"), fault.Invalid, "no text"},
			"a long name":              {tarOf(t, strings.Repeat("a", 300), "x"), fault.Invalid, "255 bytes"},
			"twice":                    {tarOf(t, "a", "x", "a", "y"), fault.Invalid, "comes twice"},
			"a file as a folder":       {tarOf(t, "a", "x", "a/b", "y"), fault.Invalid, "a file and a folder"},
			"a symbolic link":          {link(tar.TypeSymlink), fault.Invalid, "is a link"},
			"a hard link":              {link(tar.TypeLink), fault.Invalid, "is a link"},
			"a device":                 {link(tar.TypeChar), fault.Invalid, "is a link"},
			"too large":                {sparse(), fault.TooLarge, "more than"},
			"no file":                  {tarOf(t), fault.Invalid, "no file"},
			"nothing":                  {strings.NewReader(""), fault.Invalid, "no file"},
			"no tar":                   {strings.NewReader(strings.Repeat("what is this? ", 100)), fault.Invalid, "no whole tar"},
			"cut":                      {bytes.NewReader(whole.Bytes()[:2000]), fault.Invalid, "no whole tar"},
			"compressed":               {&zipped, fault.Invalid, "compressed"},
		} {
			_, err := w.Unpack(ctx, c.body)
			if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.part) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.Models(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestDamagedModelsAreTheCallers imports files that look like models and are not whole.
func TestDamagedModelsAreTheCallers(t *testing.T) {
	var text, json_, graph string
	for _, c := range goldenModels(t) {
		switch {
		case c.Format == "lightgbm" && text == "":
			text = c.Model
		case c.Format == "catboost" && json_ == "":
			json_ = c.Model
		case c.Format == "onnx" && graph == "":
			graph = string(c.Bytes)
		}
	}
	one(t, func(t *testing.T, ctx context.Context, w *world) {
		for name, files := range map[string][]string{
			"half of LightGBM":    {"model.txt", text[:len(text)/2]},
			"half of CatBoost":    {"model.json", json_[:len(json_)/2]},
			"half of a graph":     {"model.onnx", graph[:len(graph)/2]},
			"an empty file":       {"model.onnx", ""},
			"only a description":  {"MLmodel", "flavors: {lightgbm: {data: model.lgb}}"},
			"a path that escapes": {"MLmodel", "flavors: {lightgbm: {data: ../../etc/passwd}}", "model.lgb", text},
			"a description bomb":  {"MLmodel", "a: &a [x,x]\nb: &b [*a,*a]\nflavors: *b"},
			"two models":          {"a.txt", text, "b.txt", text},
			"nothing known":       {"notes.md", "# hello", "more.md", "x"},
		} {
			_, err := w.bring(t, ctx, "damaged", registry.RunOptions{}, files...)
			switch code := fault.CodeOf(err); code {
			case fault.Invalid, fault.TooLarge:
			default:
				t.Errorf("%s: %s %v", name, code, err)
			}
		}
		if m, err := w.Model(ctx, "damaged"); err == nil {
			t.Errorf("a model was made: %+v", m)
		}
		for name, o := range map[string]registry.RunOptions{
			"no such task":    {Task: "guess"},
			"no such kind":    {Kind: "word"},
			"no such engine":  {Engine: "abacus"},
			"a tolerance":     {Tolerance: math.NaN()},
			"a relative path": {Python: "../python"},
			"no such file":    {Requirements: "needs.txt"},
			"an empty import": {Allow: []string{""}},
		} {
			if _, err := w.bring(t, ctx, "damaged", o, "model.txt", text); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

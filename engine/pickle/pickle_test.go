package pickle

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func scanned(t *testing.T, b []byte) Report {
	t.Helper()
	r, err := Scan(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRealModels compares the imports with those that Python looked up when it loaded the same files, and finds the models safe.
// The files are made by testdata/make.py of the oracle.
func TestRealModels(t *testing.T) {
	python, err := filepath.Abs("../../.cache/oracle/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("the oracle is not there: `make oracle`")
	}
	dir := t.TempDir()
	if out, err := exec.Command(python, "testdata/make.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lists, err := filepath.Glob(filepath.Join(dir, "*.imports"))
	if err != nil || len(lists) < 20 {
		t.Fatalf("%d files, %v", len(lists), err)
	}
	for _, list := range lists {
		path := strings.TrimSuffix(list, ".imports")
		name := filepath.Base(path)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		report, err := Scan(f)
		f.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, line := range strings.Fields(string(b)) {
			want = append(want, strings.Replace(strings.Replace(line, "copy_reg.", "copyreg.", 1), "__builtin__.", "builtins.", 1))
		}
		for _, i := range report.Imports {
			got = append(got, i.String())
		}
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(got, want) {
			t.Errorf("%s: %v, and Python looked up %v", name, got, want)
		}
		if report.Trailing {
			t.Errorf("%s: bytes after the end", name)
		}
		err = report.Check(For("sklearn"))
		if name == "lambda.p5.pkl" {
			if err == nil || report.Verdict() != Code || report.Check(For("pyfunc")) != nil {
				t.Errorf("%s: %v, %v", name, report, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// short is a pickle of protocol 2 or 4 that calls module.name(argument).
func short(module, name, argument string) []byte {
	return []byte("\x80\x02c" + module + "\n" + name + "\nU" + string(rune(len(argument))) + argument + "\x85R.")
}

// The imports that matter are found in whatever way they are written.
func TestDangerousPickles(t *testing.T) {
	stack := func(module, name string) string {
		return "\x8c" + string(rune(len(module))) + module + "\x8c" + string(rune(len(name))) + name + "\x93"
	}
	for what, test := range map[string]struct{ pickle, names string }{
		"GLOBAL, protocol 0":          {"cos\nsystem\n(S'id'\ntR.", "os.system"},
		"INST":                        {"(S'id'\nios\nsystem\n.", "os.system"},
		"OBJ":                         {"(cos\nsystem\nS'id'\no.", "os.system"},
		"REDUCE, protocol 2":          {string(short("subprocess", "Popen", "id")), "subprocess.Popen"},
		"Python 2's name":             {string(short("__builtin__", "eval", "1")), "builtins.eval"},
		"STACK_GLOBAL":                {"\x80\x04" + stack("posix", "system") + "\x8c\x02id\x85R.", "posix.system"},
		"from the memo":               {"\x80\x04\x8c\x02os\x940\x8c\x06system\x940h\x00h\x01\x93.", "os.system"},
		"MEMOIZE over a place":        {"\x80\x04\x8c\x05numpyq\x000\x8c\x02osq\x000\x8c\x06system\x940h\x00h\x01\x93.", "os.system"},
		"a dotted name":               {"\x80\x04" + stack("sklearn.base", "os.system") + ".", "sklearn.base.os.system"},
		"a function of a safe module": {string(short("numpy", "load", "x")), "numpy.load"},
		"below a dangerous one":       {string(short("numpy.testing._private.utils", "runstring", "x")), "numpy.testing._private.utils.runstring"},
		"getattr":                     {string(short("builtins", "getattr", "x")), "builtins.getattr"},
		"nobody knows it":             {string(short("my_package.models", "Model", "x")), "my_package.models.Model"},
		"an extension":                {"\x80\x02\x82\x01.", "copyreg.extension 1"},
		"never called":                {"cos\nsystem\n0N.", "os.system"},
		"in a second pickle":          {"\x80\x02N.\x80\x02cos\nsystem\n.", "os.system"},
	} {
		r := scanned(t, []byte(test.pickle))
		err := r.Check(For("sklearn"))
		var refused *Refused
		if !errors.As(err, &refused) || !fault.Is(err, fault.GateRefused) || !strings.Contains(err.Error(), test.names) || refused.Imports[0].String() != test.names {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		if err := r.Check(Policy{Allow: []string{test.names}}); err != nil {
			t.Errorf("%s, allowed: %v", what, err)
		}
	}
	if err := (Report{Imports: []Import{{"a.b", "c", Unknown}}}).Check(Policy{Allow: []string{"a.b.*"}}); err != nil {
		t.Error(err)
	}
}

// What a static reader cannot follow is refused, not passed.
func TestPicklesThatHide(t *testing.T) {
	wrapped := "cjoblib.numpy_pickle\nNumpyArrayWrapper\n"
	for what, text := range map[string]string{
		"a computed name":               "\x80\x04cbuiltins\nstr\n)R\x8c\x06system\x93.",
		"joblib's array by calling":     wrapped + ")R}b.",
		"joblib's array as a value":     "\x80\x02cbuiltins\nobject\n)\x81N}X\x09\x00\x00\x00__class__" + wrapped + "s\x86b.",
		"joblib's array without state":  wrapped + ")\x81}b.",
		"an array inside a frame":       "\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00" + wrapped + ")\x81}b.",
		"cut":                           "\x80\x04cos\nsys",
		"no pickle":                     "PAR1 and so on",
		"empty":                         "",
		"an unknown protocol":           "\x80\x09N.",
		"an empty stack":                "\x80\x02R.",
		"a mark where a value is taken": "\x80\x02(R.",
		"an unfilled place":             "\x80\x02h\x05.",
		"a place far away":              "\x80\x02Nr\xff\xff\xff\xff.",
		"xz":                            "\xfd7zXZ\x00abc",
	} {
		if _, err := Scan(strings.NewReader(text)); fault.CodeOf(err) != fault.Invalid && fault.CodeOf(err) != fault.TooLarge {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// joblibArray is an array as joblib writes it, with bytes of data that would be instructions if they were read as such.
func joblibArray(dtype string, count byte, data string) string {
	state := "}(X\x05\x00\x00\x00shapeK" + string(count) + "\x85X\x05\x00\x00\x00dtypecnumpy\ndtype\nX\x02\x00\x00\x00" + dtype + "\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb" +
		"X\x1b\x00\x00\x00numpy_array_alignment_bytesK\x10u"
	return "\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + "b" + data + "."
}

func TestArraysAreSkipped(t *testing.T) {
	data := "cos\nsystem\n" // eleven bytes, and five
	r := scanned(t, []byte(joblibArray("f8", 2, "\x03pad"+data+"five5")))
	if r.Format != "joblib" || r.Arrays != 1 || r.Check(For("sklearn")) != nil {
		t.Errorf("%+v %v", r, r.Check(For("sklearn")))
	}
	// The same bytes are instructions to pickle itself, which pyfunc models are loaded by: there the class is refused.
	if err := r.Check(For("pyfunc")); err == nil {
		t.Error("pyfunc takes joblib's arrays")
	}
	// An array of objects is a pickle.
	r = scanned(t, []byte(joblibArray("O8", 1, "\x80\x02cos\nsystem\n.")))
	if r.Verdict() != Dangerous {
		t.Errorf("%+v", r)
	}
}

func TestArchives(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{"model/data.pkl": string(short("torch._utils", "_rebuild_tensor_v2", "x")), "model/data/0": "raw", "model/code/x.py": "import os",
		"model/constants.pkl": string(short("os", "system", "x"))} {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []io.Reader{bytes.NewReader(b.Bytes()), io.MultiReader(bytes.NewReader(b.Bytes()))} {
		report, err := Scan(r)
		want := []Import{{"os", "system", Dangerous}, {"torch._utils", "_rebuild_tensor_v2", Safe}}
		if err != nil || report.Format != "torch" || report.Pickles != 2 || !reflect.DeepEqual(report.Imports, want) {
			t.Errorf("%+v, %v", report, err)
		}
	}
	// The classes that a TorchScript archive defines itself.
	if r := scanned(t, []byte("\x80\x02c__torch__.torch.nn.modules.linear\nLinear\n)\x81.")); r.Check(For("torch")) != nil {
		t.Error(r)
	}
	// torch.save before archives: five pickles, then the bytes of tensors.
	old := "\x80\x02\x8a\x0a" + string(legacyTorch) + ".\x80\x02M\xe9\x03.\x80\x02}.\x80\x02ctorch\nFloatStorage\n.\x80\x02]." + "\x80\x02cos\nsystem\n."
	if r := scanned(t, []byte(old)); r.Format != "torch" || r.Pickles != 5 || r.Verdict() != Safe || !r.Trailing {
		t.Errorf("%+v", r)
	}
	// An array of objects in numpy's own format.
	header := "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
	npy := "\x93NUMPY\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(header)))) + header + string(short("os", "system", "x"))
	if r := scanned(t, []byte(npy)); r.Verdict() != Dangerous {
		t.Errorf("%+v", r)
	}
}

func TestPackedBombIsBounded(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	head := []byte("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f")
	if _, err := w.Write(append(head, make([]byte, 50<<20)...)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := Scan(bytes.NewReader(b.Bytes())); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
	if allocated > 1000 {
		t.Errorf("%v allocations", allocated)
	}
}

// FuzzScan: it neither panics nor runs away, and what passes imports nothing that is refused.
func FuzzScan(f *testing.F) {
	f.Add(short("os", "system", "id"))
	f.Add([]byte(joblibArray("f8", 1, "\x00\x00\x00\x00\x00\x00\x00\x00\x00")))
	f.Add([]byte(joblibArray("O8", 1, "\x80\x02cos\nsystem\n.")))
	f.Add([]byte("\x80\x05\x95\x05\x00\x00\x00\x00\x00\x00\x00(K\x01K\x02e.\x80\x02}(U\x01aU\x01bu."))
	f.Add([]byte("(lp0\nI1\naF1.5\nag0\na(dp1\nS'a'\nI01\ns."))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Scan(bytes.NewReader(b))
		if err == nil && bytes.Contains(b, []byte("cos\nsystem\n")) && r.Compression == "" && r.Format == "pickle" && len(b) < 40 && bytes.HasPrefix(b, []byte("cos\n")) && r.Verdict() != Dangerous {
			t.Errorf("%q passes: %+v", b, r)
		}
	})
}

package rows_test

import (
	"math/rand"
	"testing"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	. "github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/inference/rows"
	"github.com/trimtab-ml/trimtab/api/inference/scoring"
	"github.com/trimtab-ml/trimtab/api/inference/tfserving"
	"github.com/trimtab-ml/trimtab/api/inference/torchserve"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// TestHostileBodies sends thousands of bodies that were once right to every door that reads rows: whatever became of them is the caller's
// mistake, and never the server's.
func TestHostileBodies(t *testing.T) {
	h := Door(t, func(r *route.Router, s *serve.Service, o codec.Options) {
		rows.Register(r, s, o)
		scoring.Register(r, s, o)
		tfserving.Register(r, s, o)
		torchserve.Register(r, s, o)
	})
	type seed struct{ path, header, body string }
	var seeds []seed
	for _, m := range []string{"binary", "classes", "mean", "length", "simple", "half_plus_two", "iris"} {
		for _, b := range []string{`{"instances":[{"temp":7,"dest":"LAX"}]}`, `{"instances":[[7,"LAX"],[2,null]]}`, `{"inputs":{"dest":[["LAX"]],"temp":[[7]]}}`, `{"inputs":[[1,2],[3,4]]}`,
			`{"signature_name":"predict_proba","instances":[{"temp":NaN,"dest":{"b64":"TEFY"}}]}`, `{"instances":[{"features":[1,2]}]}`, `{"examples":[{"x":[1]}],"context":{"y":1}}`,
			`{"dataframe_split":{"columns":["dest","temp","image"],"index":[0],"data":[["LAX",7,[1,2]]]}}`, `{"dataframe_records":[{"temp":7,"dest":"LAX","trimtab_key":1}],"params":{"a":1}}`,
			`{"rows":[{"temp":[1,[2]],"image":[1,2]}]}`, `{"data":[1,2]}`, `[1,[2,3],{"x":1}]`, "temp,dest,x\n1,LAX,2\n", "{\"features\":[1,2]}\n[1,2]\n", `{"INPUT0":[1],"INPUT1":[[1]]}`} {
			for _, p := range []string{"/v1/models/" + m + ":predict", "/v1/models/" + m + ":classify", "/d/" + m + "/mlflow/invocations", "/d/" + m + "/sagemaker/invocations", "/predictions/" + m, path(m)} {
				for _, c := range []string{"application/json", "text/csv", "application/x-ndjson"} {
					seeds = append(seeds, seed{p, "Content-Type: " + c, b})
				}
			}
		}
		for hd, b := range map[string]string{isStream: stream(t, record(t), false), isFile: stream(t, record(t), true), isParquet: parquetFile(t)} {
			for range 60 {
				seeds = append(seeds, seed{path(m), hd, b})
			}
		}
	}
	rng := rand.New(rand.NewSource(1))
	tokens := []string{"[", "]", "{", "}", ",", ":", "null", "NaN", "1e308", "-1", `"x"`, `"features"`, `"instances"`, `"data"`, `"b64"`, "[[", "]]", "\n", "\"", "9007199254740993", "Infinity", "\x00", "\xff", "true"}
	for range 5000 {
		s := seeds[rng.Intn(len(seeds))]
		b := []byte(s.body)
		for range 1 + rng.Intn(4) {
			if len(b) == 0 {
				break
			}
			i := rng.Intn(len(b))
			switch rng.Intn(5) {
			case 0:
				b[i] = byte(rng.Intn(256))
			case 1:
				b = append(b[:i:i], b[i+1:]...)
			case 2:
				tok := tokens[rng.Intn(len(tokens))]
				b = append(b[:i:i], append([]byte(tok), b[i:]...)...)
			case 3:
				j := i + rng.Intn(len(b)-i)
				b = append(b[:j:j], append(append([]byte{}, b[i:j]...), b[j:]...)...)
			case 4:
				b[i] ^= 1 << rng.Intn(8)
			}
		}
		status, answer := Call(h, "POST", s.path, string(b), s.header)
		if status >= 500 {
			t.Fatalf("%s %s %q: %d %s", s.path, s.header, b, status, answer)
		}
	}
}

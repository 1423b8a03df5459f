package registry

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/pickle"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxSchema bounds the description in a skops file.
const maxSchema = 256 << 20

// scan looks into every file that Python would unpickle, before anything loads it, and gives what they import. One that imports what
// models of the kind do not need, and that allow does not name, is fault.GateRefused with the names; one that cannot be looked into is
// fault.Invalid. A program (predict.py) runs as its author wrote it: there the sandbox is what holds.
func (s *Service) scan(ctx context.Context, files []File, way prospect, allow []string) ([]string, error) {
	policy := pickle.For(way.kind)
	switch way.kind {
	case KindTorchScript, KindTorchExport:
		policy = pickle.For("torch")
	case KindPredict, KindR, KindONNX, KindKeras, KindTensorFlow:
		return nil, nil
	}
	policy.Allow = allow
	imports := map[string]bool{}
	for _, f := range files {
		ext := strings.ToLower(path.Ext(f.Path))
		if !slices.Contains([]string{".pkl", ".pickle", ".joblib", ".pt", ".pth", ".pt2", ".skops", ".dill"}, ext) && f.Path != way.path {
			continue
		}
		if f.Path == way.path && (way.kind == KindLightGBM || way.kind == KindXGBoost) {
			continue // of a format without code
		}
		report, err := s.imports(ctx, f, ext == ".skops")
		if err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "%s cannot be checked before it is loaded", f.Path)
		}
		for _, i := range report.Imports {
			imports[i.String()] = true
		}
		if err := report.Check(policy); err != nil {
			refused := fault.Wrap(err, fault.GateRefused, "%s is not loaded", f.Path)
			var found *pickle.Refused
			if errors.As(err, &found) {
				refused.With("imports", found.Imports)
			}
			return nil, refused.WithHint("%s: --allow-imports NAME", fault.HintOf(err))
		}
	}
	out := make([]string, 0, len(imports))
	for name := range imports {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// imports lists what a file would import.
func (s *Service) imports(ctx context.Context, f File, skops bool) (pickle.Report, error) {
	if skops {
		return s.skopsImports(ctx, f)
	}
	r, err := s.blobs.Open(ctx, f.Blob)
	if err != nil {
		return pickle.Report{}, err
	}
	defer r.Close()
	return pickle.Scan(r)
}

// skopsImports lists the types that a skops file names in its schema. It is no pickle, and the types are imported all the same: they are
// graded as those of a pickle that names them.
func (s *Service) skopsImports(ctx context.Context, f File) (pickle.Report, error) {
	if f.Size > maxSchema {
		return pickle.Report{}, fault.New(fault.TooLarge, "the file has %d bytes", f.Size)
	}
	data, err := blob.ReadAll(ctx, s.blobs, f.Blob)
	if err != nil {
		return pickle.Report{}, err
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return pickle.Report{}, fault.Wrap(err, fault.Invalid, "this is no skops file")
	}
	schema, err := archive.Open("schema.json")
	if err != nil {
		return pickle.Report{}, fault.Wrap(err, fault.Invalid, "this is no skops file")
	}
	defer schema.Close()
	d := json.NewDecoder(io.LimitReader(schema, maxSchema))
	var program strings.Builder
	seen := map[string]bool{}
	// Every object of the schema has __module__ and __class__; the tokens are read one by one, so that depth costs nothing.
	key, object, module := false, []bool{}, []string{}
	name := ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(object) == 0 {
			break
		}
		if err != nil {
			return pickle.Report{}, fault.Wrap(err, fault.Invalid, "the schema of the skops file is no JSON")
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{', '[':
				object, module = append(object, t == '{'), append(module, "")
				key = t == '{'
				continue
			default:
				object, module = object[:len(object)-1], module[:len(module)-1]
			}
		case string:
			if len(object) > 0 && object[len(object)-1] && key {
				name, key = t, false
				continue
			}
			top := len(module) - 1
			switch {
			case top < 0:
			case name == "__class__" && !strings.ContainsAny(t, "\n\r"):
				module[top] += "\n" + t
			case name == "__module__" && !strings.ContainsAny(t, "\n\r"):
				module[top] = t + module[top]
			}
			if top >= 0 && (name == "__class__" || name == "__module__") {
				if from, class, ok := strings.Cut(module[top], "\n"); ok && from != "" && class != "" && !seen[module[top]] {
					seen[module[top]] = true
					program.WriteString("c" + module[top] + "\n0") // GLOBAL, POP
				}
			}
		}
		key, name = len(object) > 0 && object[len(object)-1], ""
	}
	program.WriteString("N.") // NONE, STOP
	return pickle.Scan(strings.NewReader(program.String()))
}

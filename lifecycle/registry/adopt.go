package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Served is nil when an engine here can answer with the version, else a fault.FormatNotServed.
func (v *Version) Served() error {
	if v.Format != FormatExternal && (v.Format != formatFiles || v.Serving != nil) {
		return nil // opening it may still say what it holds that no engine takes
	}
	return fault.New(fault.FormatNotServed, "%s v%d holds %s, which no engine here serves", v.Model, v.Version, v.Format).
		WithHint("served are LightGBM, XGBoost, CatBoost, ONNX, MLflow folders, pickles, TorchScript, SavedModel, predict.py: trimtab models import")
}

// Adopt makes the files of a model that somebody's program made those of a version, with what was found out about it: its
// signature and its evaluation. It sets files, digest and format; the files are in the blob store already, and nothing is registered.
func (s *Service) Adopt(ctx context.Context, v *Version, files []File, ev *Evaluation) error {
	var err error
	if v.Format, err = s.format(ctx, files); err != nil {
		return err
	}
	if v.Format == FormatTrimtab {
		return fault.New(fault.Invalid, "the program logged a package of Trimtab's own as its model").WithHint("register that one as it is")
	}
	v.Files = slices.Clone(files)
	for name, doc := range map[string]any{fileSignature: v.Signature, fileEvaluation: ev} {
		if slices.ContainsFunc(files, func(f File) bool { return f.Path == name }) {
			return fault.New(fault.Conflict, "the model has a file %s, where the platform keeps its own", name).WithHint("give the file of the model another name")
		}
		data, err := json.Marshal(doc)
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		hash, size, err := s.blobs.Put(ctx, bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("store %s: %w", name, err)
		}
		v.Files = append(v.Files, File{Path: name, Blob: hash, Size: size})
	}
	v.Digest, err = s.manifest(ctx, v.Files)
	return err
}

// manifest sorts the files by path, stores their list, and gives its digest.
func (s *Service) manifest(ctx context.Context, files []File) (string, error) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	manifest, err := json.Marshal(files)
	if err != nil {
		return "", fmt.Errorf("encode manifest: %w", err)
	}
	if _, _, err := s.blobs.Put(ctx, bytes.NewReader(manifest)); err != nil {
		return "", fmt.Errorf("store manifest: %w", err)
	}
	return fmt.Sprintf("%x", blake3.Sum256(manifest)), nil
}

package registry

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Kinds of models that run in a worker: how their files are opened there.
const (
	KindSklearn     = "sklearn"      // a pickle, a joblib or a skops file of an estimator, or of any object with predict
	KindPyfunc      = "pyfunc"       // a folder that mlflow.pyfunc.load_model opens
	KindTorchScript = "torchscript"  // torch.jit.load
	KindTorchExport = "torch_export" // torch.export.load
	KindKeras       = "keras"        // keras.models.load_model
	KindTensorFlow  = "tensorflow"   // tf.saved_model.load
	KindLightGBM    = "lightgbm"     // a model file of LightGBM, opened by LightGBM
	KindXGBoost     = "xgboost"      // a model file of XGBoost, opened by XGBoost
	KindPredict     = "predict.py"   // a folder with predict.py
	KindR           = "r"            // a folder with predict.R, or an .rds file
	KindONNX        = "onnxruntime"  // a graph, for ONNX Runtime
)

// Kinds are all of them, in the order to show them.
func Kinds() []string {
	return []string{KindSklearn, KindPyfunc, KindTorchScript, KindTorchExport, KindKeras, KindTensorFlow, KindLightGBM, KindXGBoost, KindPredict, KindR, KindONNX}
}

// Engines by which a version can answer, the first that can being chosen.
const (
	EngineNative      = "native"      // Trimtab's own trees and linear models, whoever trained them
	EngineONNX        = "onnx"        // the graph evaluated in this process
	EngineONNXRuntime = "onnxruntime" // the graph in a child process with ONNX Runtime
	EnginePython      = "python"      // a worker process with the model's own libraries
	EngineR           = "r"           // the same with R
)

// Names of files beside a model that are not the model.
const (
	fileExample   = "input_example.json"
	fileConverted = "converted.onnx" // the same model as a graph, to serve instead of the original
)

// content is what the files of a version are: the file or folder that each engine would open. "" = it cannot.
type content struct {
	format   string
	exchange string // a model file of LightGBM, XGBoost or CatBoost
	graph    string // an ONNX file
	kind     string // in a worker
	path     string // what the worker opens; "" = the whole folder
	lone     bool   // the graph is the model itself, and not a conversion beside it
}

// contentOf finds out what the files of a version are, from their names and what MLmodel says; kind overrides what a worker makes of them.
func contentOf(files []File, m *mlflow, kind string) (content, error) {
	has := map[string]bool{}
	var graphs, models []string
	for _, f := range files {
		has[f.Path] = true
		if path.Ext(f.Path) == ".onnx" {
			graphs = append(graphs, f.Path)
		}
		if kindOf(f.Path) != "" || looksExchanged(f.Path) {
			models = append(models, f.Path)
		}
	}
	out := content{format: formatFiles}
	if has[fileModel] && has[fileSignature] {
		out.format = FormatTrimtab
		return out, nil
	}
	if m != nil {
		out = m.content()
	} else {
		out.loose(files, graphs, models, has)
	}
	switch {
	case out.graph != "":
	case has[fileConverted]:
		out.graph = fileConverted
	case len(graphs) == 1 && out.format != FormatONNX:
		out.graph = graphs[0]
	}
	out.lone = out.format == FormatONNX
	if kind != "" {
		if !slices.Contains(Kinds(), kind) {
			return out, fault.New(fault.Invalid, "there is no kind %q of models", clip(kind)).WithHint("kinds are %s", strings.Join(Kinds(), ", "))
		}
		if kind != out.kind && kind != KindONNX {
			out.kind, out.exchange = kind, ""
			if out.format == formatFiles {
				out.format = kind
			}
			if kind != KindPyfunc && kind != KindPredict && kind != KindR && len(models) == 1 {
				out.path = models[0]
			}
		}
	}
	return out, nil
}

// content is what the flavours say.
func (m *mlflow) content() content {
	out := content{format: formatFiles}
	var names []string
	for name := range m.Flavors {
		if name != "python_function" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > 0 {
		out.format = names[0]
	}
	if _, ok := m.Flavors["python_function"]; ok {
		out.kind = KindPyfunc
		if len(names) == 0 {
			out.format = KindPyfunc
		}
	}
	switch out.format {
	case FormatONNX:
		out.graph, out.kind = clean(m.says(FormatONNX, "data")), KindONNX
	case exchange.LightGBM, exchange.XGBoost, exchange.CatBoost:
		switch data := clean(m.says(out.format, "data")); {
		case kindOf(data) == KindSklearn: // in scikit-learn's dress
			out.kind, out.path = KindSklearn, data
		case out.format == exchange.CatBoost:
			out.exchange = data
		case data != "":
			out.exchange, out.kind, out.path = data, out.format, data
		}
	case KindSklearn:
		if file := clean(m.says(KindSklearn, "pickled_model")); file != "" {
			out.kind, out.path = KindSklearn, file
		}
	case "crate", "r":
		out.kind = KindR
	}
	return out
}

// loose is what files without a description are.
func (s *content) loose(files []File, graphs, models []string, has map[string]bool) {
	switch {
	case has["predict.py"]:
		s.format, s.kind = KindPredict, KindPredict
	case has["predict.R"], has["predict.r"]:
		s.format, s.kind = KindR, KindR
	case has["saved_model.pb"]:
		s.format, s.kind = KindTensorFlow, KindTensorFlow
	case len(models) == 1 && looksExchanged(models[0]):
		s.exchange = models[0] // its bytes say of which library it is
	case len(models) == 1:
		s.format, s.kind, s.path = kindOf(models[0]), kindOf(models[0]), models[0]
	case len(models) == 0 && len(graphs) == 1:
		s.format, s.kind, s.graph = FormatONNX, KindONNX, graphs[0]
	case len(models) == 0 && len(graphs) == 0 && len(files) == 1:
		s.exchange = files[0].Path // whatever it is called, its bytes decide
	}
}

// kindOf is the kind of a file by its name; "" when the name says nothing.
func kindOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".pkl", ".pickle", ".joblib", ".skops":
		return KindSklearn
	case ".pt", ".pth", ".ts", ".torchscript":
		return KindTorchScript
	case ".pt2":
		return KindTorchExport
	case ".keras", ".h5", ".hdf5":
		return KindKeras
	case ".rds":
		return KindR
	}
	return ""
}

// looksExchanged tells whether a name may be that of a model file of LightGBM, XGBoost or CatBoost.
func looksExchanged(name string) bool {
	switch base := strings.ToLower(path.Base(name)); base {
	case fileExample, "serving_input_example.json", "requirements.txt", "conda.yaml", "python_env.yaml":
		return false
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".lgb", ".lightgbm", ".txt", ".model", ".xgb", ".ubj", ".json", ".cbm", ".cb", ".bst":
		return true
	}
	return false
}

// look finds out what the files of a version are, the library of a lone model file by its bytes.
func (s *Service) look(ctx context.Context, files []File, kind string) (content, *mlflow, error) {
	m, err := s.mlflowOf(ctx, files)
	if err != nil {
		return content{}, nil, err
	}
	out, err := contentOf(files, m, kind)
	if err != nil || out.exchange == "" || out.format != formatFiles {
		return out, m, err
	}
	data, err := s.open(ctx, files, out.exchange, maxExchange)
	if err != nil {
		return out, m, err
	}
	switch found := exchange.Detect(data); found {
	case exchange.LightGBM, exchange.XGBoost:
		out.format, out.kind, out.path = found, found, out.exchange
	case exchange.CatBoost:
		out.format = found
	case exchange.ONNX:
		out.format, out.graph, out.kind, out.exchange, out.lone = FormatONNX, out.exchange, KindONNX, "", true
	default:
		if slices.Contains([]string{"\x80"}, string(data[:min(1, len(data))])) {
			out.format, out.kind, out.path, out.exchange = KindSklearn, KindSklearn, out.exchange, ""
		}
	}
	return out, m, nil
}

// open reads one file of a version whole, up to a size.
func (s *Service) open(ctx context.Context, files []File, name string, most int64) ([]byte, error) {
	at := slices.IndexFunc(files, func(f File) bool { return f.Path == name })
	if at < 0 {
		return nil, fault.New(fault.FormatNotServed, "the version has no file %q, which its description names", clip(name))
	}
	if files[at].Size > most {
		return nil, fault.New(fault.FormatNotServed, "%s has %d bytes, more than the %d that are read here", name, files[at].Size, most)
	}
	data, err := blob.ReadAll(ctx, s.blobs, files[at].Blob)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

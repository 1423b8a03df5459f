package worker

import (
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// direct are the flavours that a worker opens without MLflow, and the key that names their file.
var direct = []struct{ name, key string }{{"sklearn", "pickled_model"}, {"lightgbm", "lgb_model"}, {"lightgbm", "data"}, {"xgboost", "data"}, {"xgboost", "model_file"}}

// readFlavor finds in an MLmodel what a worker without MLflow needs to know: the name of the flavour, and its file.
func readFlavor(dir string) (map[string]any, error) {
	b, err := os.ReadFile(filepath.Join(dir, "MLmodel"))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s is no model folder of MLflow", dir)
	}
	if len(b) > 1<<20 {
		return nil, fault.New(fault.Invalid, "the MLmodel file has %d bytes", len(b))
	}
	var model struct {
		Flavors map[string]map[string]any `yaml:"flavors"`
	}
	if err := yaml.Unmarshal(b, &model); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the MLmodel file cannot be read")
	}
	for _, d := range direct {
		file, ok := model.Flavors[d.name][d.key].(string)
		if ok && filepath.IsLocal(file) {
			return map[string]any{"name": d.name, "data": file}, nil
		}
	}
	return map[string]any{"name": "python_function"}, nil
}

package cli

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
)

// importOptions is what the command was told.
type importOptions struct {
	name, project, kind, task, engine, python, requirements, example, graph, description string
	allow                                                                                []string
	tolerance                                                                            float64
	deploy                                                                               bool
}

func newModelsImportCommand(f *Factory) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{Use: "import FILE|FOLDER", Short: "Register a model of another library, and serve it",
		Long: "Register a model file or folder as the next version of a model: LightGBM, XGBoost, CatBoost, ONNX, a model folder of MLflow, a pickle,\n" +
			"TorchScript, a SavedModel, Keras, R, or a folder with predict.py. It is opened in the engine that will serve it and compared with the\n" +
			"original; what a pickle imports is checked before anything is loaded.",
		Example: "  trimtab models import model.txt --name churn --deploy\n" +
			"  trimtab models import mlruns/1/models/m-1/artifacts --name churn --python .venv/bin/python --deploy\n" +
			"  trimtab models import model.pkl --name churn --requirements requirements.txt --onnx model.onnx --input-example rows.csv",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importModel(cmd, f, args[0], &o) }}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "the model; made when it is not there")
	flags.BoolVar(&o.deploy, "deploy", false, "bring the version to traffic: a model of no project gets a deployment of its name")
	flags.StringVar(&o.project, "project", "", "project of a model that is made")
	flags.StringVar(&o.kind, "kind", "", "how a worker opens the files: "+strings.Join(registry.Kinds(), ", "))
	flags.StringVar(&o.task, "task", "", "binary, multiclass, regression or tensors; default what the model answers")
	flags.StringVar(&o.engine, "engine", "", "the engine that serves: native, onnx, onnxruntime, python or r; default the first that can")
	flags.StringVar(&o.python, "python", "", "interpreter of its worker, a `PATH` on the server")
	flags.StringVar(&o.requirements, "requirements", "", "`FILE` of which an environment for its worker is made")
	flags.StringSliceVar(&o.allow, "allow-imports", nil, "`NAME` that its pickles may import beside those that are always allowed; recorded with the version")
	flags.StringVar(&o.example, "input-example", "", "`FILE` of rows that it takes, .json or .csv")
	flags.StringVar(&o.graph, "onnx", "", "`FILE` with the same model as ONNX, to serve instead of the original")
	flags.Float64Var(&o.tolerance, "tolerance", registry.DefaultTolerance, "how far its answers may be from the original's")
	flags.StringVar(&o.description, "description", "", "shown with the version")
	_ = cmd.MarkFlagRequired("name") // the flag exists
	return cmd
}

// imported is the answer of the command as JSON.
type imported struct {
	*native.VersionDetail
	Deployment string `json:"deployment,omitempty"`
}

func importModel(cmd *cobra.Command, f *Factory, from string, o *importOptions) error {
	files, err := modelFiles(from)
	if err != nil {
		return err
	}
	extra := func(path, as string) error {
		if path == "" {
			return nil
		}
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return fault.New(fault.NotFound, "there is no file %s", path)
		}
		files = slices.DeleteFunc(files, func(u uploaded) bool { return u.name == as })
		files = append(files, uploaded{as, path})
		return nil
	}
	query := url.Values{}
	for key, value := range map[string]string{"project": o.project, "kind": o.kind, "task": o.task, "engine": o.engine, "python": o.python, "description": o.description} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if o.python != "" && !filepath.IsAbs(o.python) {
		whole, err := filepath.Abs(o.python)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the interpreter %s", o.python)
		}
		query.Set("python", whole)
	}
	if cmd.Flags().Changed("tolerance") {
		query.Set("tolerance", strconv.FormatFloat(o.tolerance, 'g', -1, 64))
	}
	query["allow"] = o.allow
	example := "input_example.json"
	if strings.EqualFold(filepath.Ext(o.example), ".csv") {
		example = "input_example.csv"
	}
	for _, e := range [][2]string{{o.requirements, "requirements.txt"}, {o.example, example}, {o.graph, "converted.onnx"}} {
		if err := extra(e[0], e[1]); err != nil {
			return err
		}
	}
	if o.requirements != "" {
		query.Set("requirements", "requirements.txt")
	}
	client, err := f.Client(cmd.Context())
	if err != nil {
		return err
	}
	body, pipe := io.Pipe()
	go func() { pipe.CloseWithError(writeTar(pipe, files)) }()
	var answer bytes.Buffer
	err = client.Do(cmd.Context(), http.MethodPost, Path("models", o.name, "import")+"?"+query.Encode(), http.Header{"Content-Type": {"application/x-tar"}}, body, &answer)
	_ = body.Close() // so that the writer ends
	if err != nil {
		return err
	}
	out := imported{VersionDetail: &native.VersionDetail{}}
	if err := json.Unmarshal(answer.Bytes(), out.VersionDetail); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	v := out.VersionDetail.Version
	if o.deploy {
		var r rollout.Rollout
		err := client.Post(cmd.Context(), versionPath(o.name, v.Version)+"/deploy", map[string]any{"reason": "imported"}, &r)
		if err != nil {
			return err
		}
		out.Deployment = r.Deployment
	}
	if f.JSON {
		return f.IO.JSON(out)
	}
	f.IO.Printf("%s v%d: %s, served by %s (%s)\n", v.Model, v.Version, v.Format, v.Serving.Engine, v.Serving.Reason)
	f.IO.Printf("certificate: %s\n", v.Certificate.Sentence())
	if out.Deployment != "" {
		f.IO.Printf("answers at /v2/models/%s\n", out.Deployment)
	}
	return nil
}

// uploaded is a file to send: its name in the version, and where it is.
type uploaded struct{ name, path string }

// modelFiles lists what is sent for a file or a folder. Hidden files and caches of Python stay behind; links are followed.
func modelFiles(from string) ([]uploaded, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no file or folder %s", from)
	}
	if !info.IsDir() {
		return []uploaded{{filepath.Base(from), from}}, nil
	}
	var out []uploaded
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != from && (strings.HasPrefix(d.Name(), ".") || d.Name() == "__pycache__") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(from, path)
		out = append(out, uploaded{filepath.ToSlash(name), path})
		return err
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the folder %s can't be read", from)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "the folder %s is empty", from)
	}
	return out, nil
}

func writeTar(w io.Writer, files []uploaded) error {
	archive := tar.NewWriter(w)
	for _, u := range files {
		if err := addFile(archive, u); err != nil {
			return err
		}
	}
	return archive.Close()
}

func addFile(archive *tar.Writer, u uploaded) error {
	in, err := os.Open(u.path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: u.name, Mode: 0o644, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, in, info.Size())
	return err
}

// agreementRow is a line of the certificate.
func agreementRow(a *registry.Agreement) []string {
	number := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return strconv.FormatFloat(*v, 'g', 3, 64)
	}
	return []string{a.Engine, yes(a.Serves), yes(a.Holds), number(a.MaxAbs), number(a.MaxRel), strconv.Itoa(a.Flips), a.Error}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func newModelsExamineCommand(f *Factory) *cobra.Command {
	var version int
	var o registry.RunOptions
	cmd := &cobra.Command{Use: "examine MODEL", Short: "Open a version again: what serves it, and how far its engines agree",
		Long: "Open a version again: what serves it, and how far its engines agree. With a flag beside --version, the version is run so from now on:\n" +
			"that is how one that came through the MLflow client is told its interpreter.",
		Example: "  trimtab models examine churn --version 2\n  trimtab models examine churn --version 2 --python .venv/bin/python", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			body := map[string]any{}
			if o.Python != "" {
				if o.Python, err = filepath.Abs(o.Python); err != nil {
					return fault.Wrap(err, fault.Invalid, "the interpreter")
				}
			}
			if cmd.Flags().NFlag() > 1 {
				body["options"] = o
			}
			v := &native.VersionDetail{}
			if err := client.Post(cmd.Context(), versionPath(args[0], version)+"/examine", body, v); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(v)
			}
			printVersion(f, v)
			return nil
		}}
	flags := cmd.Flags()
	flags.IntVar(&version, "version", 0, "the version")
	flags.StringVar(&o.Kind, "kind", "", "how a worker opens the files")
	flags.StringVar(&o.Task, "task", "", "binary, multiclass, regression or tensors")
	flags.StringVar(&o.Engine, "engine", "", "the engine that serves")
	flags.StringVar(&o.Python, "python", "", "interpreter of its worker, a `PATH` on the server")
	flags.StringVar(&o.Requirements, "requirements", "", "`FILE` of the version of which its environment is made")
	flags.StringSliceVar(&o.Allow, "allow-imports", nil, "`NAME` that its pickles may import")
	flags.Float64Var(&o.Tolerance, "tolerance", 0, "how far its answers may be from the original's")
	_ = cmd.MarkFlagRequired("version") // the flag exists
	return cmd
}

package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func newONNXCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "onnx", Short: "Run and look into ONNX files; works on files alone, without a server"}
	cmd.AddCommand(newONNXRunCommand(f), newONNXShowCommand(f))
	return cmd
}

func openONNX(path string) ([]byte, *onnx.Evaluator, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.NotFound, "the model can't be read")
	}
	p, err := onnx.Open(data)
	if err != nil {
		return data, nil, err
	}
	return data, p.(*onnx.Evaluator), nil
}

func newONNXRunCommand(f *Factory) *cobra.Command {
	var in, out string
	cmd := &cobra.Command{
		Use:   "run MODEL.onnx",
		Short: "Evaluate an ONNX file on tensors",
		Long: "Evaluate an ONNX file on tensors in the JSON of the Open Inference Protocol. The inputs are a file\n" +
			"{\"inputs\": [{\"name\", \"shape\", \"datatype\", \"data\"}]}, the outputs {\"outputs\": [...]}. Data is flat and row-major; BYTES are JSON\n" +
			"strings; \"NaN\", \"Infinity\" and \"-Infinity\" stand for what JSON lacks. A map of probabilities is one tensor of rows x classes.",
		Example: "  trimtab onnx run model.onnx --inputs in.json --outputs out.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, model, err := openONNX(args[0])
			if err != nil {
				return err
			}
			body, err := os.ReadFile(in)
			if err != nil {
				return fault.Wrap(err, fault.NotFound, "the inputs can't be read")
			}
			q, err := readTensors(body)
			if err != nil {
				return err
			}
			answer, err := model.Predict(cmd.Context(), q)
			if err != nil {
				return err
			}
			text := appendTensors(nil, answer)
			if out == "" || out == "-" {
				f.IO.Printf("%s\n", text)
				return nil
			}
			if err := os.WriteFile(out, append(text, '\n'), 0o644); err != nil {
				return fault.Wrap(err, fault.Unavailable, "write %s", out)
			}
			f.IO.Sayf("%s %s\n", f.IO.Good("wrote"), out)
			return nil
		},
	}
	cmd.Flags().StringVar(&in, "inputs", "", "file of the input tensors")
	cmd.Flags().StringVar(&out, "outputs", "", "file to write the output tensors to; standard output when left out")
	_ = cmd.MarkFlagRequired("inputs") // the flag exists
	return cmd
}

// onnxShown is what trimtab onnx show prints as JSON.
type onnxShown struct {
	File      string            `json:"file"`
	Producer  string            `json:"producer,omitempty"`
	IR        int64             `json:"ir_version"`
	Opsets    map[string]int64  `json:"opsets"`
	Engine    string            `json:"engine"`
	Reason    string            `json:"reason"`
	Inputs    []predictor.Field `json:"inputs"`
	Outputs   []predictor.Field `json:"outputs"`
	Classes   []string          `json:"classes,omitempty"`
	Operators map[string]int    `json:"operators"`
	Nodes     int               `json:"nodes,omitempty"`
}

func newONNXShowCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "show MODEL.onnx",
		Short:   "Show an ONNX file's operators, inputs and outputs, and which engine serves it and why",
		Example: "  trimtab onnx show model.onnx",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			data, model, err := openONNX(args[0])
			if err != nil && !fault.Is(err, fault.FormatNotServed) {
				return err
			}
			outline, outlineErr := onnx.Read(data)
			if outlineErr != nil {
				return outlineErr
			}
			shown := onnxShown{File: args[0], Producer: outline.Producer, IR: outline.IR, Opsets: outline.Opsets, Operators: outline.Operators}
			if err != nil {
				shown.Engine, shown.Reason = "onnxruntime", err.Error()
				shown.Inputs, shown.Outputs = declared(outline.Inputs), declared(outline.Outputs)
			} else {
				shown.Engine, shown.Inputs, shown.Outputs, shown.Classes = "onnx", model.Inputs(), model.Outputs(), model.Classes()
				shown.Nodes = model.Nodes()
				shown.Reason = fmt.Sprintf("all %d operators are evaluated in this program", len(model.Operators()))
				if !model.Inferred() {
					shown.Reason += "; the outputs are as the file declares them"
				}
			}
			if f.JSON {
				return f.IO.JSON(shown)
			}
			f.showONNX(&shown)
			return nil
		},
	}
}

func declared(fields []onnx.Tensor) []predictor.Field {
	out := make([]predictor.Field, len(fields))
	for i, t := range fields {
		out[i] = predictor.Field{Name: t.Name, Type: t.Element(), Shape: []int{}}
		for _, d := range t.Shape {
			out[i].Shape = append(out[i].Shape, int(d))
		}
	}
	return out
}

func (f *Factory) showONNX(s *onnxShown) {
	opsets := []string{}
	for domain, version := range s.Opsets {
		if domain == "" {
			domain = "ai.onnx"
		}
		opsets = append(opsets, domain+" "+strconv.FormatInt(version, 10))
	}
	slices.Sort(opsets)
	engine := s.Engine
	if engine == "onnx" {
		engine = "in this program (onnx)"
	} else {
		engine = "onnxruntime, in a process of its own"
	}
	fields := [][2]string{{"file", s.File}, {"producer", s.Producer}, {"versions", "IR " + strconv.FormatInt(s.IR, 10) + ", " + strings.Join(opsets, ", ")}, {"engine", engine}, {"because", s.Reason}}
	if len(s.Classes) > 0 {
		fields = append(fields, [2]string{"classes", strings.Join(s.Classes, ", ")})
	}
	f.IO.Fields(fields...)
	rows := [][]string{}
	add := func(what string, list []predictor.Field) {
		for _, t := range list {
			rows = append(rows, []string{what, t.Name, t.Type.String(), shapeText(t.Shape)})
		}
	}
	add("input", s.Inputs)
	add("output", s.Outputs)
	f.IO.Printf("\n")
	f.IO.Table([]string{"", "name", "type", "shape"}, rows)
	names := make([]string, 0, len(s.Operators))
	for name := range s.Operators {
		names = append(names, name)
	}
	slices.Sort(names)
	here := onnx.Operators()
	rows = nil
	for _, name := range names {
		engine := "onnxruntime"
		if slices.Contains(here, name) {
			engine = "onnx"
		}
		rows = append(rows, []string{name, strconv.Itoa(s.Operators[name]), engine})
	}
	f.IO.Printf("\n")
	f.IO.Table([]string{"operator", "nodes", "engine"}, rows)
}

func shapeText(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.Itoa(d)
		if d < 0 {
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

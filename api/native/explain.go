package native

import (
	"context"
	"net/http"
	"sort"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

type explainInput struct {
	VersionPath
	Body struct {
		Rows []map[string]any `json:"rows" minItems:"1" maxItems:"1000" doc:"one object per row: column and value; what is left out is missing"`
	}
}

// RowExplanations is rows with what each feature contributed, in margin space.
type RowExplanations struct {
	Model    string         `json:"model"`
	Version  int            `json:"version"`
	Task     string         `json:"task"`
	Outputs  []string       `json:"outputs" doc:"what the margins are of: the positive class, the classes, or the label"`
	Unit     string         `json:"unit" enum:"log_odds,score,log,probability,value" doc:"of margins, expected values and contributions"`
	Features []string       `json:"features" doc:"what the recipe reads: inputs and values derived from them"`
	Expected []float64      `json:"expected" doc:"per output: the margin when nothing is known of a row"`
	Rows     []ExplainedRow `json:"rows"`
}

// ExplainedRow is one of them, in the order of the request.
type ExplainedRow struct {
	Scores        []float64   `json:"scores" doc:"the probability of the positive class, one per class, or the value"`
	Label         string      `json:"label,omitempty" doc:"the decision"`
	Margin        []float64   `json:"margin" doc:"per output: expected plus all contributions"`
	Values        []any       `json:"values" doc:"of the features: numbers, texts or null; times are microseconds, personal ones hashed"`
	Contributions [][]float64 `json:"contributions" doc:"outputs x features"`
}

type explainOutput struct{ Body RowExplanations }

type explanationsOutput struct{ Body *explain.Summary }

// RegisterExplanations adds why a version answers what it answers: for rows that are sent, and for the held-out rows.
func RegisterExplanations(r *route.Router, serving *serve.Service, models *registry.Service) {
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models/{model}/versions/{version}/explain", Summary: "Say what each feature contributed to a version's answers for rows; nothing is logged"},
		route.Access{Action: "version.explain", Resource: "model/{model}/{version}", Audit: route.Read},
		func(ctx context.Context, in *explainInput) (*explainOutput, error) {
			rows := make([]serve.Row, len(in.Body.Rows))
			for i, fields := range in.Body.Rows {
				rows[i] = rowOf(fields)
			}
			sig, got, err := serving.Explain(ctx, in.Model, in.Version, rows)
			if err != nil {
				return nil, err
			}
			out := &explainOutput{Body: RowExplanations{Model: in.Model, Version: in.Version, Task: sig.Task, Outputs: sig.Margins(), Unit: got[0].Unit, Features: sig.Features, Expected: got[0].Expected}}
			inputs := registry.RecipeInputs(sig)
			for i := range got {
				out.Body.Rows = append(out.Body.Rows, explainedRow(inputs, &got[i]))
			}
			return out, nil
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models/{model}/versions/{version}/explanations", Summary: "Show what features contributed on the held-out rows: influence, dependence, and a sample"},
		route.Access{Action: "version.explanations", Resource: "model/{model}/{version}", Audit: route.Read},
		func(ctx context.Context, in *VersionPath) (*explanationsOutput, error) {
			s, err := models.Explanations(ctx, in.Model, in.Version)
			return &explanationsOutput{Body: s}, err
		})
}

// rowOf reads the cells of a JSON object, in the order of their names.
func rowOf(fields map[string]any) serve.Row {
	row := make(serve.Row, 0, len(fields))
	for name, v := range fields {
		cell := serve.Cell{}
		switch v := v.(type) {
		case nil:
		case string:
			cell = serve.Cell{Type: serve.TextCell, Text: v}
		case float64:
			cell = serve.Cell{Type: serve.NumberCell, Number: v}
		case bool:
			cell = serve.Cell{Type: serve.BoolCell}
			if v {
				cell.Number = 1
			}
		default:
			cell = serve.Cell{Type: serve.OtherCell}
		}
		row = append(row, serve.Field{Name: name, Cell: cell})
	}
	sort.Slice(row, func(i, j int) bool { return row[i].Name < row[j].Name })
	return row
}

func explainedRow(inputs []recipe.Input, e *serve.Explained) ExplainedRow {
	row := ExplainedRow{Scores: e.Scores, Label: e.Label, Margin: e.Margin, Values: make([]any, len(e.Values)), Contributions: make([][]float64, len(e.Margin))}
	for j, v := range e.Values {
		switch {
		case v.Null:
		case inputs[j].Kind == table.String:
			row.Values[j] = v.S
		default:
			row.Values[j] = v.F
		}
	}
	for o := range row.Contributions {
		row.Contributions[o] = make([]float64, len(e.Contributions))
		for j, c := range e.Contributions {
			row.Contributions[o][j] = c[o]
		}
	}
	return row
}

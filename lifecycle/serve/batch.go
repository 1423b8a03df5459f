package serve

import (
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Batch is a request: rows by name, or columns, and what the caller says about them. Its texts may alias a buffer that is reused once the
// answer is made; what serve keeps of them it copies.
type Batch struct {
	Request string   // the caller's request id, if any
	Rows    []Row    // rows, each with its fields,
	Columns []Column // or columns, all with the same number of rows; not both
	Keys    []string // one per row, or nil; "" = derive
	At      []int64  // microseconds: one per row, one for all, or nil
	Explain bool     // say of every row what its features contributed

	Params   map[string]any           // of the caller, for models that take them
	Header   func(name string) string // of the request, for routes by header; nil = it has none
	Priority int                      // 0 = usual; above, it is served first and shed last; below, the other way round
	Wanted   []string                 // outputs of a version that answers tensors; none = all
}

// Column is a named input for all rows: cells as the request spelt them, or a tensor whose first dimension is the rows. A tensor
// with more than one value per row is a matrix of several inputs, or an input of a version that takes tensors.
type Column struct {
	Name   string
	Cells  []Cell
	Tensor *tensor.Tensor // nil = Cells
	Kind   string         // content type that the request gave it: "datetime", "base64", "np", "pd", "str"; "" = by the signature
}

// Choice says which version a request asks for. The zero Choice is the deployment's route.
type Choice struct {
	Version int    // a resident version; 0 = none is named
	Label   string // a label of the route, such as "stable"; "" = none
}

// Answer is what a request gets.
type Answer struct {
	Deployment  string
	Version     int                 // that answered; where two did, the champion's
	Signature   *registry.Signature // of Version
	Predictions []Prediction        // one per row
	Outputs     []tensor.Named      // of a version that answers tensors, for all rows; else nil
}

// Row is the fields of one row in any order.
type Row []Field

// Field is a named cell.
type Field struct {
	Name string
	Cell Cell
}

// Cell is a value as the request spelt it, before the signature says what it should be.
type Cell struct {
	Type   CellType
	Number float64 // of NumberCell; 0 or 1 of BoolCell
	Text   string  // of TextCell; of other cells, how an error shows them
}

// CellType is the JSON type of a cell.
type CellType uint8

// The types.
const (
	NullCell CellType = iota
	BoolCell
	NumberCell
	TextCell
	OtherCell // an array or an object: no input takes one
)

// MaxRows bounds a request.
const MaxRows = 10_000

package serve

// Batch is a request: rows by name, and what the caller says about them. Its texts may alias a buffer that is reused once Predict has
// returned; what serve keeps of them it copies.
type Batch struct {
	Request string   // the caller's request id, if any
	Rows    []Row    //
	Keys    []string // one per row, or nil; "" = derive
	At      []int64  // microseconds: one per row, one for all, or nil
	Explain bool     // say of every row what its features contributed
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

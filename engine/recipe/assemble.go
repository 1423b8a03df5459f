package recipe

import "github.com/trimtab-ml/trimtab/internal/fault"

// Assemble makes a fitted recipe of columns that nothing was learned for: the inputs of a model of another library, whose file says what its
// codes stand for. There is one column for each input. Columns that do not hold together are fault.Invalid.
func Assemble(inputs []Input, columns []Column) (*Fitted, error) {
	if len(columns) != len(inputs) {
		return nil, fault.New(fault.Invalid, "there are %d columns for %d inputs", len(columns), len(inputs))
	}
	f := &Fitted{spec: Spec{Inputs: inputs}, columns: make([]Column, len(columns))}
	for i := range columns {
		if columns[i].Projected != nil || columns[i].Hidden {
			return nil, fault.New(fault.Invalid, "column %s is a projection, which is learned", inputs[i].Name)
		}
		if err := columns[i].validate(); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "column %s", inputs[i].Name)
		}
		f.columns[i] = columns[i]
		if e := columns[i].Encoder; e != nil { // its tables are made below, and the caller's stays as it is
			own := *e
			f.columns[i].Encoder = &own
		}
	}
	f.link()
	return f, nil
}

package profile

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// countsJSON is Counts with only the filled cells, as pairs of place and count in rising place. The format names the mapping, so that
// counts are never read onto cells they were not made for.
type countsJSON struct {
	Cells      [][2]int64 `json:"cells"`
	OutOfRange int64      `json:"out_of_range,omitempty"`
	Least      *float64   `json:"least,omitempty"`
	Greatest   *float64   `json:"greatest,omitempty"`
}

func (n *Counts) encode() countsJSON {
	out := countsJSON{Cells: [][2]int64{}, OutOfRange: n.OutOfRange}
	for i, k := range n.Cells {
		if k != 0 {
			out.Cells = append(out.Cells, [2]int64{int64(i), k})
		}
	}
	if n.Least <= n.Greatest {
		least, greatest := n.Least, n.Greatest
		out.Least, out.Greatest = &least, &greatest
	}
	return out
}

func (c *RefColumn) decode(in countsJSON) (*Counts, error) {
	n := c.New()
	for _, pair := range in.Cells {
		if pair[0] < 0 || pair[0] >= int64(len(n.Cells)) || pair[1] < 0 {
			return nil, fault.New(fault.Corrupt, "profile of column %q: cell %d with count %d is not on its reference of %d cells", c.Name, pair[0], pair[1], len(n.Cells))
		}
		n.Cells[pair[0]] += pair[1]
	}
	n.OutOfRange = in.OutOfRange
	if in.Least != nil && in.Greatest != nil {
		n.Least, n.Greatest = *in.Least, *in.Greatest
	}
	return n, nil
}

const mapping = "asinh-0.02/1"

type referenceJSON struct {
	Mapping string       `json:"mapping"`
	Rows    int64        `json:"rows"`
	Columns []columnJSON `json:"columns"`
}

type columnJSON struct {
	Name   string     `json:"name"`
	Kind   table.Kind `json:"kind"`
	NEff   float64    `json:"n_eff"`
	Center float64    `json:"center,omitempty"`
	Scale  float64    `json:"scale,omitempty"`
	Atoms  []float64  `json:"atoms,omitempty"`
	Words  []string   `json:"words,omitempty"`
	Rest   []uint64   `json:"rest,omitempty"`
	Open   bool       `json:"open,omitempty"`
	Counts countsJSON `json:"counts"`
}

// MarshalJSON writes the reference; the same reference gives the same bytes.
func (r *Reference) MarshalJSON() ([]byte, error) {
	out := referenceJSON{Mapping: mapping, Rows: r.Rows, Columns: []columnJSON{}}
	for _, c := range r.Columns {
		out.Columns = append(out.Columns, columnJSON{
			Name: c.Name, Kind: c.Kind, NEff: c.NEff, Center: c.Center, Scale: c.Scale, Atoms: c.Atoms,
			Words: c.Words, Rest: c.Rest, Open: c.Open, Counts: c.Counts.encode(),
		})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote; anything else is fault.Corrupt.
func (r *Reference) UnmarshalJSON(b []byte) error {
	var in referenceJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fault.Wrap(err, fault.Corrupt, "a reference profile cannot be read")
	}
	if in.Mapping != mapping {
		return fault.New(fault.Corrupt, "a reference profile has cells %q, this program knows %q", in.Mapping, mapping)
	}
	out := Reference{Rows: in.Rows}
	for _, j := range in.Columns {
		c := &RefColumn{
			Name: j.Name, Kind: j.Kind, NEff: j.NEff, Center: j.Center, Scale: j.Scale, Atoms: j.Atoms,
			Words: j.Words, Rest: j.Rest, Open: j.Open,
		}
		if err := c.check(); err != nil {
			return err
		}
		c.prepare()
		n, err := c.decode(j.Counts)
		if err != nil {
			return err
		}
		c.Counts = n
		c.group()
		out.Columns = append(out.Columns, c)
	}
	*r = out
	return nil
}

func (c *RefColumn) check() error {
	broken := func(why string) error {
		return fault.New(fault.Corrupt, "the reference profile of column %q %s", c.Name, why)
	}
	switch {
	case c.Numeric() && (!(c.Scale > 0) || math.IsInf(c.Scale, 0) || math.IsInf(c.Center, 0) || math.IsNaN(c.Center)):
		return broken(fmt.Sprintf("has a scale of %v around %v", c.Scale, c.Center))
	case len(c.Atoms) > int(1/atomShare)+maxWords, len(c.Words) > maxWords, len(c.Rest) > maxRest:
		return broken("has more cells than one can have")
	case c.Kind == table.Boolean && len(c.Words) != 2:
		return broken("is of a boolean and has not two words")
	}
	for i := 1; i < len(c.Atoms); i++ {
		if !(c.Atoms[i-1] < c.Atoms[i]) {
			return broken("has atoms that do not rise")
		}
	}
	return nil
}

type profileJSON struct {
	Rows    int64        `json:"rows"`
	Columns []countsJSON `json:"columns"`
}

// MarshalJSON writes the counts without the reference; equal counts give equal bytes.
func (p *Profile) MarshalJSON() ([]byte, error) {
	out := profileJSON{Rows: p.Rows, Columns: []countsJSON{}}
	for _, n := range p.Columns {
		out.Columns = append(out.Columns, n.encode())
	}
	return json.Marshal(out)
}

// Parse reads a profile that MarshalJSON wrote from one on this reference; counts that do not fit its cells are fault.Corrupt.
func (r *Reference) Parse(b []byte) (*Profile, error) {
	var in profileJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "a profile cannot be read")
	}
	if len(in.Columns) != len(r.Columns) {
		return nil, fault.New(fault.Corrupt, "a profile of %d columns is not on its reference of %d", len(in.Columns), len(r.Columns))
	}
	p := &Profile{Ref: r, Rows: in.Rows}
	for i, c := range r.Columns {
		n, err := c.decode(in.Columns[i])
		if err != nil {
			return nil, err
		}
		p.Columns = append(p.Columns, n)
	}
	return p, nil
}

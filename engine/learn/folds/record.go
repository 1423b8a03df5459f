package folds

import (
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// role is what a row does in a split.
type role int32

const (
	unused role = iota
	trains
	tests
)

// Record is which row did what, to be kept with a run. When in every repeat each row is tested once and trains
// otherwise, IDs holds repeats x rows fold numbers; otherwise splits x rows roles: 0 left out, 1 trained, 2 tested. The
// order of rows within a split is not kept.
type Record struct {
	Layout string  `json:"layout"` // "folds" or "roles"
	Rows   int     `json:"rows"`
	Splits int     `json:"splits"`
	IDs    []int32 `json:"ids"`
	Digest string  `json:"digest"` // BLAKE3 of layout, rows, splits and IDs, as hex: equal digests are equal splits
}

// mostIDs bounds a record: 1 GiB of numbers.
const mostIDs = 1 << 28

// Record writes the splits down. Splits that would need more than 2^28 numbers are fault.TooLarge.
func (f *Folds) Record() (Record, error) {
	r := Record{Layout: "roles", Rows: f.rows, Splits: f.splits}
	tables := f.splits
	if f.partition {
		r.Layout, tables = "folds", f.repeats
	}
	if tables*f.rows > mostIDs {
		return Record{}, fault.New(fault.TooLarge, "%d splits of %d rows are too many to keep", f.splits, f.rows).
			WithHint("keep the validation's settings and seed: they give the same splits again")
	}
	r.IDs = make([]int32, tables*f.rows)
	perRepeat := f.splits / f.repeats
	for i, s := range f.All() {
		if f.partition {
			ids := r.IDs[i/perRepeat*f.rows:][:f.rows]
			for _, row := range s.Test {
				ids[row] = int32(i % perRepeat)
			}
			continue
		}
		ids := r.IDs[i*f.rows:][:f.rows]
		for _, row := range s.Train {
			ids[row] = int32(trains)
		}
		for _, row := range s.Test {
			ids[row] = int32(tests)
		}
	}
	r.Digest = r.digest()
	return r, nil
}

func (r Record) digest() string {
	b := append([]byte("trimtab folds 1\n"+r.Layout), 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Rows))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Splits))
	h := blake3.New()
	_, _ = h.Write(b) // a hash takes everything
	b = b[:0]
	for i, id := range r.IDs {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
		if len(b) >= 1<<16 || i == len(r.IDs)-1 {
			_, _ = h.Write(b)
			b = b[:0]
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:32])
}

// Folds is the recorded splits again, rows rising within each. A record that does not match its digest is
// fault.Corrupt.
func (r Record) Folds() (*Folds, error) {
	bad := func(what string) error { return fault.New(fault.Corrupt, "the record of the folds %s", what) }
	tables := 0
	if r.Rows > 0 {
		tables = len(r.IDs) / r.Rows
	}
	repeats := tables
	if r.Layout == "roles" {
		repeats = 1
	}
	switch {
	case r.Layout != "folds" && r.Layout != "roles":
		return nil, bad("has an unknown layout")
	case r.Rows < 1 || r.Splits < 1 || tables < 1 || tables*r.Rows != len(r.IDs) || r.Splits%repeats != 0 || r.Layout == "roles" && tables != r.Splits:
		return nil, bad("does not have the numbers it claims")
	case r.Layout == "folds" && r.Splits/repeats > r.Rows:
		return nil, bad("has more folds than rows")
	case r.digest() != r.Digest:
		return nil, bad("does not match its digest")
	}
	most := int32(tests)
	if r.Layout == "folds" {
		most = int32(r.Splits/repeats - 1)
	}
	if slices.Min(r.IDs) < 0 || slices.Max(r.IDs) > most {
		return nil, bad("names folds or roles that there are not")
	}
	f := &Folds{rows: r.Rows, splits: r.Splits, repeats: repeats, partition: r.Layout == "folds"}
	f.each = func(yield func(Split) bool) {
		for i := range r.Splits {
			if f.partition {
				per := r.Splits / repeats
				if !yield(against(r.IDs[i/per*r.Rows:][:r.Rows], int32(i%per))) {
					return
				}
				continue
			}
			var s Split
			for row, id := range r.IDs[i*r.Rows:][:r.Rows] {
				switch role(id) {
				case trains:
					s.Train = append(s.Train, int32(row))
				case tests:
					s.Test = append(s.Test, int32(row))
				}
			}
			if !yield(s) {
				return
			}
		}
	}
	return f, nil
}

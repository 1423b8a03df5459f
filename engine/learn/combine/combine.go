// Package combine adds columns to a row that CatBoost's models read beside it: statistics of combinations of features.
// A combination is hashed, its hash looked up in a table of what the training rows with that combination had, and what
// is found there is a number that trees compare with a threshold. It owns the columns and the model that puts them
// before trees; it must never know the file that they were read from.
//
// Source of the hash and the tables: catboost/libs/model (hash.h, eval_processing.h, static_ctr_provider.cpp), and the
// evaluator that CatBoost's export to Python writes.
package combine

import (
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Columns are the added columns. They are immutable and safe for concurrent use.
type Columns struct {
	Inputs       int // columns of a row without them
	Categories   []Categories
	Combinations []Combination
}

// Categories are what the codes of a column stand for.
type Categories struct {
	Column  int
	Hashes  []uint32 // by code
	Known   []bool   // by code: false where a code stands for nothing
	Missing int      // code of what is missing, -1 when that is a category of its own kind that is not known
}

// Combination is one hash of a row and the tables that it is looked up in.
type Combination struct {
	Parts  []Part // in the order in which they are hashed
	Tables []Table
}

// Kind is what a part of a combination takes from a row.
type Kind uint32

// The kinds.
const (
	Category Kind = iota // the hash of the category
	Above                // 1 for a number above Border, else 0
	Is                   // 1 for the category of code Code, else 0
)

// Part is one feature of a combination.
type Part struct {
	Kind         Kind
	Of           int // index into Categories; of Above: the column
	Border       float32
	MissingAbove bool // a missing number counts as above
	Code         int  // -1: no row has it
}

// Table has a row for each combination that was trained on.
type Table struct {
	Hashes     []uint64
	Statistics []Statistic // each one column

	row map[uint64]int32
}

// Statistic is a number for each row of a table, and one for combinations that are not there.
type Statistic struct {
	Values []float32
	Empty  float32
}

// Check makes sure that no row can lead out of the lists, and prepares the tables: it must be called before Row. Faults
// are fault.Corrupt.
func (c *Columns) Check() error {
	for i := range c.Categories {
		k := &c.Categories[i]
		if k.Column < 0 || k.Column >= c.Inputs || len(k.Hashes) != len(k.Known) || k.Missing < -1 || k.Missing >= len(k.Hashes) {
			return fault.New(fault.Corrupt, "the categories of column %d of %d are not sound", k.Column, c.Inputs)
		}
	}
	for i := range c.Combinations {
		b := &c.Combinations[i]
		for _, p := range b.Parts {
			of := len(c.Categories)
			if p.Kind == Above {
				of = c.Inputs
			}
			if p.Kind > Is || p.Of < 0 || p.Of >= of {
				return fault.New(fault.Corrupt, "combination %d has a part that is not sound", i)
			}
		}
		for t := range b.Tables {
			for _, s := range b.Tables[t].Statistics {
				if len(s.Values) != len(b.Tables[t].Hashes) {
					return fault.New(fault.Corrupt, "combination %d has %d values for %d hashes", i, len(s.Values), len(b.Tables[t].Hashes))
				}
			}
			b.Tables[t].index()
		}
	}
	return nil
}

func (t *Table) index() {
	t.row = make(map[uint64]int32, len(t.Hashes))
	for i, h := range t.Hashes {
		t.row[h] = int32(i)
	}
}

// Outputs is the columns of a row with the added ones.
func (c *Columns) Outputs() int {
	n := c.Inputs
	for i := range c.Combinations {
		for t := range c.Combinations[i].Tables {
			n += len(c.Combinations[i].Tables[t].Statistics)
		}
	}
	return n
}

// Sources are, for each of the Outputs columns, the columns that what it does counts for, ascending: of a combination those
// of its categories, as in CatBoost, which has numbers and single categories in it beside them (catboost/libs/fstr,
// shap_prepared_trees.cpp).
func (c *Columns) Sources() [][]int {
	out := make([][]int, 0, c.Inputs)
	for j := range c.Inputs {
		out = append(out, []int{j})
	}
	for i := range c.Combinations {
		b := &c.Combinations[i]
		own := c.sources(b)
		for t := range b.Tables {
			for range b.Tables[t].Statistics {
				out = append(out, own)
			}
		}
	}
	return out
}

// Row writes a row of Inputs values and the added ones to dst, without allocating.
func (c *Columns) Row(x, dst []float32) {
	copy(dst[:c.Inputs], x)
	at := c.Inputs
	for i := range c.Combinations {
		b := &c.Combinations[i]
		hash, known := c.hash(b.Parts, x)
		for t := range b.Tables {
			row, there := int32(0), false
			if known {
				row, there = b.Tables[t].row[hash]
			}
			for s := range b.Tables[t].Statistics {
				stat := &b.Tables[t].Statistics[s]
				dst[at] = stat.Empty
				if there {
					dst[at] = stat.Values[row]
				}
				at++
			}
		}
	}
}

// hash is the hash of a row's combination; known is false when it has a category that was not trained on.
func (c *Columns) hash(parts []Part, x []float32) (hash uint64, known bool) {
	for i := range parts {
		p := &parts[i]
		next := uint64(0)
		switch p.Kind {
		case Above:
			if v := x[p.Of]; v > p.Border || v != v && p.MissingAbove {
				next = 1
			}
		case Category:
			k := &c.Categories[p.Of]
			code := k.code(x)
			if code < 0 {
				return 0, false
			}
			next = Sign(k.Hashes[code])
		case Is:
			if code := c.Categories[p.Of].code(x); code >= 0 && code == p.Code {
				next = 1
			}
		}
		hash = Mix(hash, next)
	}
	return hash, true
}

// code is the row's category, -1 when it is not known.
func (k *Categories) code(x []float32) int {
	v := x[k.Column]
	if v != v {
		return k.Missing
	}
	if !(v > -1 && v < float32(len(k.Known))) { // compared as numbers: a huge one has no int
		return -1
	}
	if code := int(v); code < len(k.Known) && k.Known[code] { // the whole part, as trees take it
		return code
	}
	return -1
}

// magic is the multiplier of CatBoost's CalcHash (catboost/libs/cat_feature, hash.h).
const magic = 0x4906ba494954cb65

// Mix is CatBoost's CalcHash: it adds the next part of a combination to the hash of those before, 0 at the beginning.
func Mix(hash, next uint64) uint64 { return magic * (hash + magic*next) }

// unmagic is the inverse of magic modulo 2^64.
var unmagic = func() uint64 {
	inverse := uint64(magic)
	for range 6 { // Newton's method doubles the bits that are right, from 3
		inverse *= 2 - magic*inverse
	}
	return inverse
}()

// Unmix is the hash before next was added.
func Unmix(hash, next uint64) uint64 { return unmagic*hash - magic*next }

// First is the part that a hash of one part alone was made of.
func First(hash uint64) uint64 { return unmagic * (unmagic * hash) }

// Sign widens the hash of a category as CatBoost does, which keeps it in a signed int.
func Sign(category uint32) uint64 { return uint64(int64(int32(category))) }

// Write appends the columns to a model.
func (c *Columns) Write(w *wire.Writer) {
	w.Uint32(uint32(c.Inputs))
	w.Uint32(uint32(len(c.Categories)))
	for i := range c.Categories {
		k := &c.Categories[i]
		w.Ints([]int32{int32(k.Column), int32(k.Missing)})
		w.Words(k.Hashes)
		w.Bools(k.Known)
	}
	w.Uint32(uint32(len(c.Combinations)))
	for i := range c.Combinations {
		b := &c.Combinations[i]
		w.Uint32(uint32(len(b.Parts)))
		for _, p := range b.Parts {
			w.Ints([]int32{int32(p.Kind), int32(p.Of), int32(p.Code)})
			w.Singles([]float32{p.Border})
			w.Bools([]bool{p.MissingAbove})
		}
		w.Uint32(uint32(len(b.Tables)))
		for t := range b.Tables {
			table := &b.Tables[t]
			words := make([]uint32, 0, 2*len(table.Hashes))
			for _, h := range table.Hashes {
				words = append(words, uint32(h), uint32(h>>32))
			}
			w.Words(words)
			w.Uint32(uint32(len(table.Statistics)))
			for _, s := range table.Statistics {
				w.Singles(s.Values)
				w.Singles([]float32{s.Empty})
			}
		}
	}
}

// Read takes back what Write wrote; what is not sound is a fault of the reader or of Check.
func Read(r *wire.Reader) *Columns {
	c := &Columns{Inputs: int(r.Uint32())}
	for n := int(r.Uint32()); n > 0 && r.Err() == nil; n-- {
		of := r.Ints()
		k := Categories{Hashes: r.Words(), Known: r.Bools()}
		if r.Err() == nil && len(of) != 2 {
			r.Fail("the categories of a column have %d numbers", len(of))
		}
		if r.Err() == nil {
			k.Column, k.Missing = int(of[0]), int(of[1])
			c.Categories = append(c.Categories, k)
		}
	}
	for n := int(r.Uint32()); n > 0 && r.Err() == nil; n-- {
		c.Combinations = append(c.Combinations, readCombination(r))
	}
	return c
}

func readCombination(r *wire.Reader) (b Combination) {
	for n := int(r.Uint32()); n > 0 && r.Err() == nil; n-- {
		of, border, missing := r.Ints(), r.Singles(), r.Bools()
		if r.Err() == nil && (len(of) != 3 || len(border) != 1 || len(missing) != 1) {
			r.Fail("a part of a combination has %d, %d and %d numbers", len(of), len(border), len(missing))
		}
		if r.Err() == nil {
			b.Parts = append(b.Parts, Part{Kind: Kind(of[0]), Of: int(of[1]), Code: int(of[2]), Border: border[0], MissingAbove: missing[0]})
		}
	}
	for n := int(r.Uint32()); n > 0 && r.Err() == nil; n-- {
		words := r.Words()
		var t Table
		for i := 0; i+1 < len(words); i += 2 {
			t.Hashes = append(t.Hashes, uint64(words[i])|uint64(words[i+1])<<32)
		}
		for s := int(r.Uint32()); s > 0 && r.Err() == nil; s-- {
			values, empty := r.Singles(), r.Singles()
			if r.Err() == nil && len(empty) != 1 {
				r.Fail("a statistic has %d values for what is not in its table", len(empty))
			}
			if r.Err() == nil {
				t.Statistics = append(t.Statistics, Statistic{values, empty[0]})
			}
		}
		b.Tables = append(b.Tables, t)
	}
	return b
}

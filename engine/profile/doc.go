// Package profile summarises columns of production rows on cells that training fixed, and measures how far they moved.
//
// A Reference is built once from the training rows of a model version: it fixes, for every column, the cells into which values
// are counted. A Profile is integer counts on the cells of a Reference. Because every replica, window and slice shares the cells,
// profiles add up exactly: in any order, from any number of shards, to the same counts.
//
// Numbers fall into log-linear cells of asinh((x-median)/IQR), 0.02 wide, out to a million IQRs on both sides; values that are
// frequent in training (atoms) are cells of their own, as are missing, both infinities and what lies beyond the last cell.
// Text falls into a dictionary of the most frequent words of training, with cells for the rarer ones, for words that training
// never saw, and for missing. Booleans are text of two words.
//
// The package knows columns and counts. It must not know models, windows, alerts or where profiles are kept.
package profile

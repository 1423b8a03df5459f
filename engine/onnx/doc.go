// Package onnx writes a fitted recipe and its model as one ONNX graph, so that every runtime that speaks the standard gives the
// predictions that Trimtab gives, and reads the outline of such files.
//
// It owns the graph's layout and the golden rows that a stored version is checked with. It must never know of registries, files or
// HTTP.
//
// # The graph
//
// One input tensor per input of the recipe, of its name and of shape [N, 1]: strings, or doubles for every other kind. A missing
// number is NaN, a missing text is "". A derived input enters as its value; its expression is the documentation of its tensor.
//
// Outputs: a classifier has "probabilities", float [N, K] (K = 2 for binary), and "label", int64 [N]: the class index, for
// binary whether the second probability reaches the decision threshold. A regression has "variable", float [N, 1].
//
// Arithmetic of the recipe is in double, with one cast to float before the model, as in package recipe; trees then compare the
// same float32 numbers. ONNX runtimes add up trees in float32, where Trimtab uses float64: margins agree to about 1e-6.
// Operators are those of ai.onnx 15 and ai.onnx.ml 3.
package onnx

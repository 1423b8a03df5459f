// Package graph evaluates ONNX graphs in Go: the operators that the converters of scikit-learn, LightGBM and XGBoost emit for
// models of numbers. Element types are float, double, int64, string and bool; arithmetic is done in the type of the tensors, as
// the ONNX operators say.
//
// It owns the reading of a graph and the meaning of its operators. It must never know where a graph came from or who asks.
// Sources: the operator definitions of ONNX 1.16 (ai.onnx up to opset 21, ai.onnx.ml up to 3); where they leave a tree
// ensemble's binary case open, onnxruntime's answer is the rule, and the tests hold against it.
package graph

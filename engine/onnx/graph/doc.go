// Package graph evaluates ONNX graphs in Go: the operators that the converters of scikit-learn, LightGBM, XGBoost and H2O emit and
// those of tabular networks of PyTorch, of opset 1 and later, with subgraphs, sequences and functions of the file's own. Arithmetic is
// done in the type of the tensors, as the operators say; sums of floats are added in float64 and rounded once.
//
// It owns the reading of a graph and the meaning of its operators. It must never know where a graph came from or who asks.
//
// Files are hostile until proven otherwise: sizes, steps of loops, nesting and work are bounded (Limits), and whatever a file or an
// input has wrong is an error. Operators report with throw, a panic that Load and Run turn into the error that it carries, so that a
// hundred operators read as statements; it never leaves the package.
//
// Sources: the operator definitions of ONNX 1.23 (ai.onnx up to opset 24, ai.onnx.ml up to 5) and onnxruntime's of com.microsoft.
// Where a definition leaves an answer open, onnxruntime's is the rule, and the tests hold against it.
package graph

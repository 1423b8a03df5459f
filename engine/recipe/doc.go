// Package recipe prepares data for models: expressions that derive a value from the columns of a row, and recipes, the recorded
// steps (impute, one-hot, target encoding, scaling, ...) that turn inputs into the float32 features a model reads.
//
// It owns the expression language, the steps, what fitting them on training rows learns, and the forms in which the result
// runs: Go for a batch or one row, and DuckDB SQL. Package onnx writes the third form. All compute in float64 with one cast
// to float32 at the end, so that they give the same feature bits. Exception: logarithms and exponentials come from
// different mathematics libraries, whose last bit of float64 may differ; a feature made with them can differ by one unit in the
// last place of float32, about once in 10^8 values.
//
// It must never know of files, datasets, stored versions, learners or HTTP.
//
// # Missing values
//
// A missing number is null or NaN. In a recipe a missing text is null or "", which are one and the same; in an expression
// null and "" differ, as in SQL.
package recipe

package graph

var operators map[string]operator

// operators refers to functions that refer to nothing of it; init keeps the compiler from seeing a cycle through node.
func init() {
	operators = map[string]operator{}
	for _, table := range []map[string]operator{
		arithmetic, comparisons, unaries, casts, shaping, moving, scattering, reductions, orders, norms, products, control, sequences,
		recurrent, texts, tokens, encoders, scalers, linears, machines, ensembles, distances,
	} {
		for name, op := range table {
			operators[name] = op
		}
	}
}

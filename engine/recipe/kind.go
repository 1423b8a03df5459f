package recipe

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// Kind checks the types of the expression over columns of the given kinds and gives the kind of its result.
// Numbers and booleans mix; texts and datetimes do not mix with anything. A null literal takes the kind of its neighbours.
func (e *Expr) Kind(schema map[string]table.Kind) (table.Kind, error) {
	k, err := e.root.kind(schema)
	if k == "" && err == nil {
		k = table.Double
	}
	return k, err
}

// kind is "" for null.
func (n *node) kind(schema map[string]table.Kind) (table.Kind, error) {
	kinds := make([]table.Kind, len(n.args))
	for i, a := range n.args {
		k, err := a.kind(schema)
		if err != nil {
			return "", err
		}
		kinds[i] = k
	}
	switch n.op {
	case opColumn:
		k, ok := schema[n.text]
		if !ok {
			return "", unknownColumn(n, schemaNames(schema))
		}
		return k, nil
	case opNumber:
		if n.integer {
			return table.Long, nil
		}
		return table.Double, nil
	case opText:
		return table.String, nil
	case opBoolean:
		return table.Boolean, nil
	case opNull:
		return "", nil
	case opNegate, opAdd, opSubtract, opMultiply, opDivide, opModulo:
		return n.arithmeticKind(kinds)
	case opNot, opAnd, opOr:
		for i, k := range kinds {
			if k != table.Boolean && k != "" {
				return "", invalid(n.args[i].column, "%s needs a condition, and this is a %s", symbolWord(n.op), k).WithHint("compare it with something, e.g. x > 0")
			}
		}
		return table.Boolean, nil
	case opIsNull:
		return table.Boolean, nil
	case opCall:
		return n.callKind(kinds)
	}
	_, err := commonKind(n.args, kinds)
	return table.Boolean, err
}

func symbolWord(op operator) string {
	if op == opNot {
		return "not"
	}
	return symbols[op].text
}

func (n *node) arithmeticKind(kinds []table.Kind) (table.Kind, error) {
	result := table.Long
	for i, k := range kinds {
		switch k {
		case table.String, table.Datetime:
			f := invalid(n.args[i].column, "arithmetic needs numbers, and this is a %s", k)
			if k == table.Datetime {
				f.WithHint("epoch(...) is a datetime in seconds")
			}
			return "", f
		case table.Double:
			result = table.Double
		}
	}
	if n.op == opDivide {
		result = table.Double
	}
	return result, nil
}

func (n *node) callKind(kinds []table.Kind) (table.Kind, error) {
	f := n.function
	if f.result == classUnknown {
		if f.branches == 1 && kinds[0] != table.Boolean && kinds[0] != "" {
			return "", invalid(n.args[0].column, "the first argument of %s is a condition, and this is a %s", n.text, kinds[0])
		}
		branches := kinds[f.branches:]
		k, err := commonKind(n.args[f.branches:], branches)
		if err == nil && k != table.Boolean {
			if i := slices.Index(branches, table.Boolean); i >= 0 {
				return "", invalid(n.args[f.branches+i].column, "a boolean does not go with a %s", k).WithHint("write 1 and 0")
			}
		}
		return k, err
	}
	for i, k := range kinds {
		if k == "" || f.argument == classUnknown || classOf(k) == f.argument || f.argument == classNumber && k == table.Boolean {
			continue
		}
		want := map[class]string{classNumber: "a number", classText: "a string", classTime: "a datetime"}[f.argument]
		return "", invalid(n.args[i].column, "%s takes %s, and this is a %s", n.text, want, k)
	}
	return f.kind, nil
}

// commonKind is the kind that all operands have; numbers and booleans widen to long and double.
func commonKind(args []*node, kinds []table.Kind) (table.Kind, error) {
	rank := []table.Kind{table.Boolean, table.Long, table.Double}
	result := table.Kind("")
	for i, k := range kinds {
		a, b := slices.Index(rank, result), slices.Index(rank, k)
		switch {
		case k == "" || k == result:
		case result == "":
			result = k
		case a >= 0 && b >= 0:
			result = rank[max(a, b)]
		default:
			return "", invalid(args[i].column, "a %s does not go with a %s", k, result)
		}
	}
	return result, nil
}

func unknownColumn(n *node, names []string) error {
	return suggest(invalid(n.column, "there is no column %s", n.text), n.text, names)
}

func schemaNames(schema map[string]table.Kind) []string {
	var names []string
	for name := range schema {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

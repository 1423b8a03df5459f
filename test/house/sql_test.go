package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// columnTypes are the types that a column may have (package catalog says why).
var columnTypes = map[string]bool{"TEXT": true, "BIGINT": true, "INTEGER": true, "DOUBLE": true, "BYTEA": true}

var (
	column = regexp.MustCompile(`(?m)^\s+([a-z_][a-z0-9_]*)\s+([A-Z]+)\b`)
	added  = regexp.MustCompile(`ADD COLUMN ([a-z0-9_]+) ([A-Z]+)`)
	// oneDialect is what only one of SQLite and PostgreSQL takes, or takes otherwise.
	oneDialect = regexp.MustCompile(`(?i)\b(AUTOINCREMENT|WITHOUT ROWID|STRICT|SERIAL|REFERENCES|JSONB?|JSON_\w+|ROWID|INSERT OR|REPLACE INTO|GLOB|ILIKE|IFNULL|strftime|datetime\(|now\(\)|greatest\(|least\()\b`)
	statement  = regexp.MustCompile(`^\s*(SELECT|INSERT INTO|UPDATE [a-z_]+ SET|DELETE FROM|WITH [a-z_]+ (AS )?\()`)
	question   = regexp.MustCompile(`[=<>(,]\s*\?|\bLIMIT \?|\bIN \?`)
	numbered   = regexp.MustCompile(`\$(\d+)`)
)

// TestMigrationsAreWrittenForBothCatalogs holds schema/*.sql to what SQLite and PostgreSQL both take and both mean.
func TestMigrationsAreWrittenForBothCatalogs(t *testing.T) {
	found := 0
	walk(t, func(name string) {
		if path.Base(path.Dir(name)) != "schema" || !strings.HasSuffix(name, ".sql") {
			return
		}
		found++
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		var code strings.Builder
		for line := range strings.Lines(string(b)) {
			bare, _, _ := strings.Cut(line, "--")
			code.WriteString(strings.TrimRight(bare, "\n") + "\n")
		}
		text := code.String()
		if hit := oneDialect.FindString(text); hit != "" {
			t.Errorf("%s: %s is of one dialect", name, hit)
		}
		for _, table := range regexp.MustCompile(`(?s)CREATE TABLE [^;]*;`).FindAllString(text, -1) {
			for _, parts := range append(column.FindAllStringSubmatch(table, -1), added.FindAllStringSubmatch(table, -1)...) {
				if !columnTypes[parts[2]] {
					t.Errorf("%s: the column %s has the type %s", name, parts[1], parts[2])
				}
			}
		}
		for _, parts := range added.FindAllStringSubmatch(text, -1) {
			if !columnTypes[parts[2]] {
				t.Errorf("%s: the column %s has the type %s", name, parts[1], parts[2])
			}
		}
	})
	if found < 10 {
		t.Errorf("only %d migrations found", found)
	}
}

// TestStatementsAreWrittenForBothCatalogs looks at every text that begins like a statement in packages that keep rows.
func TestStatementsAreWrittenForBothCatalogs(t *testing.T) {
	keeps := map[string]bool{}
	walk(t, func(name string) {
		if path.Base(path.Dir(name)) == "schema" && strings.HasSuffix(name, ".sql") {
			keeps[path.Dir(path.Dir(name))] = true
		}
	})
	found := 0
	for _, f := range sources(t) {
		if !keeps[f.pkg] || f.test {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			// What goes to DuckDB is another language.
			if call, ok := n.(*ast.CallExpr); ok && toDuckDB(call) {
				return false
			}
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			// Statements with numbered verbs are made for DuckDB too, in pieces.
			if err != nil || !statement.MatchString(text) || strings.Contains(text, "%[") {
				return true
			}
			found++
			if question.MatchString(text) {
				t.Errorf("%s: a parameter is written ?, not $1: %s", f.path, text)
			}
			if hit := oneDialect.FindString(text); hit != "" {
				t.Errorf("%s: %s is of one dialect: %s", f.path, hit, text)
			}
			next := 1
			for _, parts := range numbered.FindAllStringSubmatch(text, -1) {
				number, err := strconv.Atoi(parts[1])
				if err != nil || number > next && next > 1 {
					t.Errorf("%s: $%s comes before $%d: SQLite numbers parameters by appearance: %s", f.path, parts[1], next, text)
					break
				}
				next = max(next, number+1)
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("only %d statements found", found)
	}
}

func toDuckDB(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	inner, ok := selector.X.(*ast.SelectorExpr)
	return ok && strings.EqualFold(inner.Sel.Name, "duck")
}

// Command trimtab is the whole platform in one program.
package main

import (
	"os"
	_ "time/tzdata" // time zones travel with the program: a minimal container has none

	"github.com/trimtab-ml/trimtab/cli"
)

func main() { os.Exit(cli.Main()) }

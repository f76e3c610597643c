// Command mlgym runs AI research agents on machine-learning tasks in sandboxes,
// scores them, and keeps the records. See mlgym --help.
package main

import (
	"os"

	"mlgym/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

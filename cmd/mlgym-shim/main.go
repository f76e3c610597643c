// Command mlgym-shim is the first process of every sandbox. Called under the
// name of a tool (open, edit, validate …) it is that command.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"mlgym/internal/shim/server"
	"mlgym/sandbox"
	"mlgym/tool"
)

func main() {
	name := filepath.Base(os.Args[0])
	if name != "mlgym-shim" {
		code, err := server.Command(name, os.Args[1:], os.Stdin, os.Stdout)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
		os.Exit(code)
	}
	if len(os.Args) != 2 || os.Args[1] != "serve" {
		fmt.Fprintln(os.Stderr, "usage: mlgym-shim serve\n\nIt is started by mlgym inside a sandbox and of no use elsewhere.")
		os.Exit(2)
	}
	// An action passes through half a dozen goroutines, one after the other: waking
	// many processors for them costs more than it gains. With a single one the
	// runtime takes it away from every system call that lasts.
	const processors = 2
	runtime.GOMAXPROCS(min(processors, runtime.NumCPU()))
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := server.Serve(os.Stdin, os.Stdout, tools, log); err != nil {
		log.Error("mlgym-shim ends", "error", err)
		os.Exit(1)
	}
}

func tools(jobs tool.Jobs) tool.Runner {
	return tool.NewRunner(tool.Options{
		Jobs:   jobs,
		Linter: tool.Ruff{Path: filepath.Join(sandbox.ShimDir, "ruff")},
	})
}

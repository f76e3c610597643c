package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mlgym/internal/cachedir"
	"mlgym/internal/cli"
	"mlgym/internal/shim"
	"mlgym/internal/shim/shimtest"
)

// asMlgym makes the test program be mlgym.
const asMlgym = "MLGYM_TEST_AS_MLGYM"

func TestMain(m *testing.M) {
	if os.Getenv(asMlgym) != "" {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if os.Getenv("TESTSCRIPT_COMMAND") == "" {
		if err := shimtest.Build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	testscript.Main(m, map[string]func(){
		"mlgym": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command line as a person would, in files of text.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv(shim.EnvShim, os.Getenv(shim.EnvShim))
			if ruff, err := shim.Ruff(); err == nil {
				e.Setenv(shim.EnvRuff, ruff)
			}
			if tools, err := cachedir.Dir("tools", "bin"); err == nil {
				e.Setenv("MLGYM_UV", filepath.Join(tools, "uv")) // a script may choose another cache
			}
			e.Setenv("MLGYM_STATE", filepath.Join(e.WorkDir, "state"))
			return nil
		},
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package dataset_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"mlgym/dataset"
)

// letters is a small data set whose script needs the standard library only.
const letters = `format: 1
id: letters
version: 1
name: Letters
description: Some letters.
licence: MIT
splits:
  - {name: train, agent: always, summary: seen}
  - {name: validation_labels, agent: published, summary: seen sometimes}
  - {name: test_labels, agent: never, summary: hidden}
variants:
  full:
    summary: from a file
    bytes: 1000
    user_files: the file letters.txt, which you have.
    sources:
SOURCES
  small:
    summary: made
    bytes: 1000
    sources: [{kind: generated}]
`

const script = `
from mlgym_dataset import Preparation, run


def prepare(p: Preparation) -> None:
    text = "abc" if p.kind == "generated" else p.file("letters.txt").read_text()
    if text.startswith("bad"):
        p.refuse("letters.txt begins with bad")
    for number in range(3):
        p.progress("writing", number, 3)
    (p.split("train") / "letters.txt").write_text(text)
    (p.split("validation_labels") / "ids.txt").write_text(" ".join(p.ids(5, "validation")))
    (p.split("test_labels") / "ids.txt").write_text(" ".join(p.ids(5, "test")))
EXTRA

if __name__ == "__main__":
    run(prepare)
`

// define makes the data set letters, with a source and more lines of script.
func define(t testing.TB, sources, extra string) *dataset.Dataset {
	t.Helper()
	d, err := dataset.Load(folder(sources, extra), "letters")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func folder(sources, extra string) fstest.MapFS {
	if sources == "" {
		sources = "{kind: generated}"
	}
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
	return fstest.MapFS{
		"letters/dataset.yaml":     file(strings.Replace(letters, "SOURCES", "      - "+sources, 1)),
		"letters/prepare.py":       file(strings.Replace(script, "EXTRA", extra, 1)),
		"letters/requirements.txt": file(""),
		"letters/tests/test_it.py": file("no part of it"),
	}
}

// options of a store whose scripts run with the system's Python.
func options() dataset.Options {
	return dataset.Options{
		Secret:      func() ([]byte, error) { return []byte("a secret of these tests"), nil },
		Interpreter: func(context.Context, *dataset.Dataset) (string, error) { return exec.LookPath("python3") },
	}
}

// open returns a store of its own.
func open(t testing.TB, change func(*dataset.Options)) (*dataset.Store, string) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	opts := options()
	if change != nil {
		change(&opts)
	}
	dir := t.TempDir()
	store, err := dataset.OpenStore(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // what is kept is read-only
		_ = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(name, 0o755)
			}
			return nil
		})
	})
	return store, dir
}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func read(t testing.TB, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// leftovers lists what a preparation must not leave behind.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".work-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

package grader_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/task"
	"mlgym/tasks"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// key is the secret of the test's runs.
var key = []byte("a secret of thirty-two bytes....")

// newDriver returns a driver that works here, or skips the test.
func newDriver(t testing.TB) sandbox.Driver {
	t.Helper()
	driver := bubblewrap.New(bubblewrap.Options{})
	box, err := driver.Create(context.Background(), sandbox.Spec{Purpose: "probe"})
	if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	return driver
}

// newAgent returns the sandbox of an agent that has done nothing.
func newAgent(t testing.TB, driver sandbox.Driver) sandbox.Sandbox {
	t.Helper()
	box, err := driver.Create(t.Context(), sandbox.Spec{Purpose: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Errorf("close the agent's sandbox: %v", err)
		}
	})
	return box
}

// put writes files into a sandbox's workspace.
func put(t testing.TB, box sandbox.Sandbox, files map[string]string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := box.Files().Put(t.Context(), sandbox.WorkDir, &b); err != nil {
		t.Fatal(err)
	}
}

// shell runs a script in a sandbox's workspace.
func shell(t testing.TB, box sandbox.Sandbox, script string) {
	t.Helper()
	result, err := box.(sandbox.Shell).Run(t.Context(), sandbox.Script{Text: script})
	if err != nil || result.ExitCode != 0 {
		t.Fatalf("%s: %v %+v", script, err, result)
	}
}

// find loads a task that ships.
func find(t testing.TB, id task.ID) *task.Task {
	t.Helper()
	catalog, err := task.NewCatalog(tasks.Files)
	if err != nil {
		t.Fatal(err)
	}
	found, err := catalog.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// read reads a file beside the task's folder.
func read(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", "tasks"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// grade grades and shows the logs of a grading that failed.
func grade(t testing.TB, driver sandbox.Driver, req grader.Request) gym.Evaluation {
	t.Helper()
	req.LogDir = t.TempDir()
	req.Key = key
	if req.Kind == "" {
		req.Kind = gym.Submit
	}
	got, err := grader.New(driver, grader.Options{}).Grade(t.Context(), req)
	if err != nil {
		t.Errorf("grade: %v", err)
		showLogs(t, req.LogDir)
		t.FailNow()
	}
	return got
}

func showLogs(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		t.Logf("%s:\n%s", d.Name(), data)
		return err
	})
	if err != nil {
		t.Log(err)
	}
}

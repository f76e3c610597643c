package sandboxtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/sandbox"
)

// environment mounts what a Python environment looks like: a folder whose
// python is a link to the system's, with packages of its own.
func (s *suite) environment(t *testing.T) {
	const place = "/opt/mlgym/env"
	first := s.create(t, sandbox.Spec{})
	t.Run("python is what python3 is where the system lacks it", func(t *testing.T) {
		if res := s.run(t, first, "! test -x /usr/bin/python3 || python -c 'print(6 * 7)'"); res.ExitCode != 0 || !strings.Contains(res.Output, "42") {
			t.Errorf("got %q (exit code %d)", res.Output, res.ExitCode)
		}
	})
	version := strings.TrimSpace(s.python(t, first, "import sys; print('python%d.%d' % sys.version_info[:2])"))
	if res := s.run(t, first, "test -x /usr/bin/"+version); res.ExitCode != 0 {
		t.Skipf("SKIPPED: no /usr/bin/%s in the root file system", version)
	}
	dir := publicFolder(t)
	for name, text := range map[string]string{
		"pyvenv.cfg":                             "home = /usr/bin\ninclude-system-site-packages = false\n",
		"lib/" + version + "/site-packages/a.py": "print('the package')\n",
		"bin/mlgymtest-tool":                     "#!/bin/sh\necho the tool\n",
		"bin/open":                               "#!/bin/sh\necho a false command\n",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, at, text)
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("/usr/bin/"+version, filepath.Join(dir, "bin/python")), os.Symlink("python", filepath.Join(dir, "bin/python3"))); err != nil {
		t.Fatal(err)
	}
	box := s.create(t, sandbox.Spec{
		Mounts: []sandbox.Mount{{Source: dir, Target: place}}, Path: []string{place + "/bin", "/opt/other"}, Env: []string{"OMP_NUM_THREADS=3"},
	})
	for _, c := range []struct{ name, text, want string }{
		{"its python comes first", "command -v python python3", place + "/bin/python\n" + place + "/bin/python3\n"},
		{"its packages are seen", "python -c 'import a, sys; print(sys.prefix)'", "the package\n" + place + "\n"},
		{"and in isolated mode", "python3 -I -c 'import a, sys; print(sys.prefix)'", "the package\n" + place + "\n"},
		{"its programs", "mlgymtest-tool", "the tool\n"},
		{"the sandbox's own commands come before", "command -v open validate", sandbox.ShimDir + "/open\n" + sandbox.ShimDir + "/validate\n"},
		{"variables for its libraries", "python -c 'import os; print(os.environ[\"OMP_NUM_THREADS\"])'", "3\n"},
		// Numeric libraries start threads when they are loaded.
		{"threads", "python -c 'import threading as t; s = []; x = [t.Thread(target=s.append, args=(i,)) for i in range(8)]; [y.start() for y in x]; [y.join() for y in x]; print(len(s))'", "8\n"},
		{"it cannot be written", "touch " + place + "/bin/new 2> /dev/null || echo refused", "refused\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if res := s.run(t, box, c.text); res.Output != c.want {
				t.Errorf("%q says %q (exit code %d), want %q", c.text, res.Output, res.ExitCode, c.want)
			}
		})
	}
	t.Run("beside the shell", func(t *testing.T) {
		if got := s.python(t, box, "import a, os; print(os.environ['PATH'].split(':')[:3])"); got != "the package\n['"+sandbox.ShimDir+"', '"+place+"/bin', '/opt/other']\n" {
			t.Errorf("got %q", got)
		}
	})
}

// publicFolder is a temporary folder that every user can reach.
func publicFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for dir := folder; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

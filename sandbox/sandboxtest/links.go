package sandboxtest

import (
	"errors"
	"testing"

	"mlgym/sandbox"
)

// links makes the absolute places that tasks of others name. A driver that
// cannot make them says that it is unavailable, and leaves nothing.
func (s *suite) links(t *testing.T) {
	spec := sandbox.Spec{Links: map[string]string{"/app": sandbox.WorkDir, "/logs/verifier": sandbox.HomeDir + "/logs/verifier"}}
	box, err := s.driver.Create(t.Context(), spec)
	if lacks, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		t.Skipf("SKIPPED: %v", lacks)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct{ name, text, want string }{
		{"a file behind it is the workspace's", "echo seven > /app/answer && cat answer", "seven\n"},
		{"it is seen as a link", "readlink /app /logs/verifier", sandbox.WorkDir + "\n" + sandbox.HomeDir + "/logs/verifier\n"},
		{"where it leads can be made later", "mkdir -p ~/logs/verifier && echo 1 > /logs/verifier/x && cat ~/logs/verifier/x", "1\n"},
		{"it cannot be replaced", "rm /app 2> /dev/null || echo refused; ln -sfn /etc /logs/verifier 2> /dev/null; test -e /logs/verifier/x && echo kept", "refused\nkept\n"},
		{"nothing can be put beside it", "touch /logs/other 2> /dev/null || echo refused", "refused\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if res := s.run(t, box, c.text); res.Output != c.want {
				t.Errorf("%q says %q (exit code %d), want %q", c.text, res.Output, res.ExitCode, c.want)
			}
		})
	}
}

package bubblewrap

import (
	"slices"
	"testing"

	"mlgym/internal/hostview"
)

// TestDriversAreShownInWhatIsHidden looks at the order: a driver's folder lies in
// one that is covered, so it is put there between the cover and its lock.
func TestDriversAreShownInWhatIsHidden(t *testing.T) {
	if !slices.ContainsFunc(hostview.HiddenPaths(), func(h hostview.Hidden) bool { return h.Path == "/usr/local" }) {
		t.Skip("SKIPPED: this machine has no /usr/local")
	}
	const folder = "/usr/local/nvidia"
	args, err := rootArguments("", "/etc", nil, []string{folder})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--tmpfs", "/usr/local", "--ro-bind", folder, folder, "--remount-ro", "/usr/local"}
	at := slices.Index(args, "/usr/local") - 1
	if at < 0 || !slices.Equal(args[at:at+len(want)], want) {
		t.Errorf("got %v, want among them %v", args, want)
	}
	args, err = rootArguments("", "/etc", nil, nil)
	if err != nil || slices.Contains(args, folder) {
		t.Errorf("without GPUs the folder is shown: %v, %v", args, err)
	}
}

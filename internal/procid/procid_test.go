package procid_test

import (
	"os/exec"
	"testing"

	"mlgym/internal/procid"
)

func TestAlive(t *testing.T) {
	self, err := procid.Self()
	if err != nil {
		t.Fatal(err)
	}
	if self.Boot == "" || self.Namespace == "" || self.Start == 0 {
		t.Errorf("this process is %+v, which lacks something", self)
	}
	cmd := exec.Command("true") //nolint:noctx // it ends at once
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*procid.ID)) procid.ID {
		id := self
		change(&id)
		return id
	}
	for name, c := range map[string]struct {
		id   procid.ID
		want bool
	}{
		"this one":                       {self, true},
		"another with the same number":   {with(func(id *procid.ID) { id.Start++ }), false},
		"one that ended":                 {with(func(id *procid.ID) { id.PID = cmd.Process.Pid }), false},
		"before the machine's last boot": {with(func(id *procid.ID) { id.Boot = "another" }), false},
		"in another container":           {with(func(id *procid.ID) { id.Namespace, id.PID = "pid:[1]", cmd.Process.Pid }), true},
		"in another container, before the boot": {with(func(id *procid.ID) {
			id.Namespace, id.Boot = "pid:[1]", "another"
		}), false},
		"of an earlier version":            {procid.ID{PID: self.PID, Start: self.Start}, true},
		"of an earlier version that ended": {procid.ID{PID: cmd.Process.Pid, Start: self.Start}, false},
	} {
		if got := c.id.Alive(); got != c.want {
			t.Errorf("%s: alive %v, want %v", name, got, c.want)
		}
	}
}

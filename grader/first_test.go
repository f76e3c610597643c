package grader_test

import (
	"testing"

	"mlgym/grader"
)

func TestFirst(t *testing.T) {
	driver := newDriver(t)
	bos := find(t, "battleOfSexes")
	box := newAgent(t, driver)
	put(t, box, map[string]string{"strategy.py": read(t, "battleOfSexes", "starter", "strategy.py")})
	for range 3 {
		t.Logf("%+v", grade(t, driver, grader.Request{Task: bos, Submission: box.Files()}))
	}
	put(t, box, map[string]string{"strategy.py": read(t, "battleOfSexes", "tests", "reference.py")})
	t.Logf("%+v", grade(t, driver, grader.Request{Task: bos, Submission: box.Files()}))
	put(t, box, map[string]string{"strategy.py": read(t, "battleOfSexes", "tests", "null.py")})
	t.Logf("%+v", grade(t, driver, grader.Request{Task: bos, Submission: box.Files()}))
}

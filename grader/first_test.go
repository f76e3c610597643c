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

func TestSAT(t *testing.T) {
	driver := newDriver(t)
	sat := find(t, "3SATTime")
	box := newAgent(t, driver)
	for _, variant := range []string{"small", "full"} {
		put(t, box, map[string]string{"heuristic.py": read(t, "3SATTime", "starter", "heuristic.py")})
		t.Logf("%+v", grade(t, driver, grader.Request{Task: sat, Submission: box.Files(), Variant: variant}))
		put(t, box, map[string]string{"heuristic.py": read(t, "3SATTime", "tests", "reference.py")})
		t.Logf("%+v", grade(t, driver, grader.Request{Task: sat, Submission: box.Files(), Variant: variant}))
	}
}

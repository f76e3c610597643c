package grader_test

import (
	"strings"
	"testing"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// folderTask hands in a folder, or with "./" the whole workspace.
func folderTask(t *testing.T, path, body string) *task.Task {
	t.Helper()
	what := fixture(t, task.Files, header+body)
	what.Submission.Files = []task.SubmissionFile{{Path: path, MaxBytes: 100_000}}
	return what
}

func TestFolders(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	what := folderTask(t, "app/", `    import os
    app = session.submission / "app"
    assert session.files == ["app/a.txt", "app/deep/ b\u00e9.sh"], session.files
    assert os.access(app / "deep" / " b\u00e9.sh", os.X_OK) and not os.access(app / "a.txt", os.X_OK)
    assert not (app / "link").exists() and not os.path.lexists(app / "pipe")
    return Result({"Score": len((app / "a.txt").read_text())})
`)
	shell(t, box, `mkdir -p app/deep/empty; echo -n seven > app/a.txt; echo echo > "app/deep/ bé.sh"; chmod +x app/deep/*.sh
ln -s /etc/passwd app/link; mkfifo app/pipe; echo not handed in > other.txt`)
	got := grade(t, driver, grader.Request{Task: what, Submission: box.Files()})
	if got.Scores["Score"] != 5 || !strings.Contains(got.Message, "2 links and other things") {
		t.Errorf("got %+v, want the score 5 and a note of what was left out", got)
	}
}

// TestWholeWorkspace is graded with the starter beside it, whatever the agent did
// to its own copy.
func TestWholeWorkspace(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	what := folderTask(t, "./", `    assert session.files == ["x/large", "y.txt"], session.files
    assert (session.starter / "other.txt").read_text() == "from the starter"
    return Result({"Score": (session.submission / "x" / "large").stat().st_size / 10_000})
`)
	shell(t, box, "rm -rf ~/workspace/* && mkdir x && truncate -s 90000 x/large && echo > y.txt")
	if got := grade(t, driver, grader.Request{Task: what, Submission: box.Files()}); got.Scores["Score"] != 9 {
		t.Errorf("got %+v, want the score 9", got)
	}
}

func TestFoldersThatCannotBeTaken(t *testing.T) {
	driver := newDriver(t)
	for _, tt := range []struct{ name, path, script, want string }{
		{"missing", "app/", "true", "app/ is missing: the submission is the folder app/"},
		{"a file", "app/", "echo > app", "app/ is not a folder"},
		{"a link", "app/", "mkdir real; ln -s real app", "app/ is not a folder"},
		{"too large together", "app/", "mkdir app; head -c 60000 /dev/zero > app/a; cp app/a app/b", "app/ is too large: at most 100000 bytes"},
		{"huge and sparse", "app/", "mkdir app; truncate -s 1500M app/a", "app/ is too large"},
		{"too many", "app/", "mkdir app; cd app; seq 10001 | xargs touch", "more than the 10000 files"},
		{"too many folders", "app/", "mkdir app; cd app; seq 20001 | xargs mkdir", "more than the 10000 files"},
		{"a name that is no text", "app/", `mkdir app; touch app/$'a\377b'`, "a file whose name cannot be taken"},
		{"a name with a new line", "app/", `mkdir app; touch app/$'a\nb'`, "a file whose name cannot be taken"},
		{"a file that cannot be read", "app/", "mkdir app; echo > app/a; chmod 000 app/a", "app/ could not be read"},
		{"the workspace is a link", "./", "cd ..; rm -rf workspace; ln -s /etc workspace", "./ is not a folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			box := newAgent(t, driver)
			shell(t, box, tt.script)
			got := grade(t, driver, grader.Request{Task: folderTask(t, tt.path, "    return Result({'Score': 1})\n"), Submission: box.Files()})
			if got.Problem == gym.Scored || got.Problem == "" && got.Scores != nil || !strings.Contains(got.Message, tt.want) {
				t.Errorf("got %v %q %q, want it refused with %q", got.Scores, got.Problem, got.Message, tt.want)
			}
		})
	}
}

// TestLinksOfTheGrader are seen in the grader's sandbox.
func TestLinksOfTheGrader(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	put(t, box, good)
	what := fixture(t, task.Files, header+`    import os
    assert open("/app/answer.txt").read() == "seven"
    return Result({"Score": len(os.listdir("/tests"))})
`)
	what.Links = map[string]string{"/app": sandbox.HomeDir + "/submission"}
	what.Grading.Links = map[string]string{"/tests": sandbox.HomeDir + "/grader/own"}
	if got := grade(t, driver, grader.Request{Task: what, Submission: box.Files()}); got.Scores["Score"] != 1 {
		t.Errorf("got %+v, want the score 1", got)
	}
}

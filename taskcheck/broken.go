package taskcheck

import (
	"context"
	"errors"
	"fmt"
	"path"

	"mvdan.cc/sh/v3/syntax"

	"mlgym/gym"
	"mlgym/sandbox"
)

// broken are submissions that no task can take, as shell text in which $f is
// the first file to be handed in. The prepared workspace has the starter only.
var broken = []struct{ name, script string }{
	{"missing", `rm -rf "$f"`},
	{"empty", `: > "$f"`},
	{"a folder", `mkdir "$f"`},
	{"a link out", `ln -s /etc/passwd "$f"`},
	{"a link to data", `ln -s "$PWD/data" "$f"`},
	{"a dangling link", `ln -s nowhere "$f"`},
	{"a pipe", `mkfifo "$f"`},
	{"too large", `truncate -s $(($max + 1)) "$f"`},
	{"noise", `head -c 3000 /dev/urandom > "$f"`},
	{"zero bytes", `head -c 3000 /dev/zero > "$f"`},
	{"other text", `echo '{"score": 1e9, "accuracy": 1.0}' > "$f"`},
	{"an archive", `echo x > x && tar -czf "$f" x`},
}

// brokenFolders are those of a submission that is a folder.
var brokenFolders = []struct{ name, script string }{
	{"missing", `rm -rf "$f"`},
	{"a file", `: > "$f"`},
	{"a link out", `ln -s /etc "$f"`},
	{"too large", `mkdir -p "$f" && truncate -s $(($max + 1)) "$f/large"`},
	{"too many files", `mkdir -p "$f" && cd "$f" && seq 10001 | xargs touch`},
}

// brokenWorkspace is what of it the workspace itself can be.
var brokenWorkspace = brokenFolders[3:]

// tryBroken hands in what cannot be graded: each has to be refused with a
// message, and none may be a fault of the grader.
func (c *check) tryBroken(ctx context.Context) (f Finding, err error) {
	a, err := c.open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.box.Close()) }()
	want := c.cfg.Task.Submission.Files[0]
	shell, ok := a.box.(sandbox.Shell)
	if !ok {
		return f, errors.New("this sandbox has no shell")
	}
	name, err := syntax.Quote(path.Clean(want.Path), syntax.LangBash)
	if err != nil {
		return f, err
	}
	broken := broken
	switch {
	case want.Path == "./":
		broken = brokenWorkspace
	case want.Folder():
		broken = brokenFolders
		if want.Optional {
			broken = brokenFolders[1:]
		}
	}
	scored := 0
	for _, b := range broken {
		text := fmt.Sprintf("cd %s && f=%s max=%d && mkdir -p \"$(dirname \"$f\")\" && { [ \"$f\" = . ] || rm -rf \"$f\"; } && %s && cd %[1]s",
			sandbox.WorkDir, name, want.MaxBytes, b.script)
		res, err := shell.Run(ctx, sandbox.Script{Text: text})
		if err != nil {
			return f, err
		}
		if res.ExitCode != 0 {
			return Finding{Detail: fmt.Sprintf("%s: could not be made: %s", b.name, res.Output)}, nil
		}
		e, err := a.grade(ctx, gym.Submit)
		switch {
		case err != nil:
			return Finding{Detail: fmt.Sprintf("%s: the grader failed instead of refusing it: %v", b.name, err)}, nil
		case e.Problem == gym.Scored && c.spec.Broken == "scored" && !c.cfg.Task.Primary().Better(c.primary(e), c.baseline):
			scored++
		case e.Problem == gym.Scored:
			return Finding{Detail: fmt.Sprintf("%s: got the score %v", b.name, e.Scores)}, nil
		case e.Problem != gym.Scored && e.Message == "":
			return Finding{Detail: b.name + ": it was refused without a message"}, nil
		}
	}
	detail := fmt.Sprintf("%d kinds of broken submissions are refused with a message", len(broken)-scored)
	if scored > 0 {
		detail += fmt.Sprintf(", %d gain nothing", scored)
	}
	return Finding{OK: true, Detail: detail}, nil
}

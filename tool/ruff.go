package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Ruff is a [Linter] that runs ruff (0.9 or later) on the errors that make a
// program fail: those of the syntax (E999, a parameter named twice among them,
// which flake8 calls F831), undefined names (F821, F822) and wrong indentation
// (E111, E112, E113).
type Ruff struct {
	// Path of the program; "" means ruff in PATH.
	Path string
	// Run starts a command and waits for it, as [exec.Cmd.Run] does, which is
	// what nil means. A process that reaps all children sets it.
	Run func(cmd *exec.Cmd) error
}

const (
	// ruffRules are the classes of error beside syntax errors, which ruff
	// always reports.
	ruffRules = "F821,F822,E111,E112,E113,E902"
	// ruffPython is the version of the language. The newest that every ruff
	// since 0.9 knows accepts the most: an edit is not refused because the
	// Python at hand might be older.
	ruffPython = "py313"
	// ruffTimeout is far beyond what ruff needs for the largest file.
	ruffTimeout = 10 * time.Second
	// ruffMaxOutput bounds its report, some 350 bytes for each error.
	ruffMaxOutput = 64 << 20
)

// Lint implements [Linter].
func (r Ruff) Lint(ctx context.Context, name string, src []byte) ([]Diagnostic, error) {
	path := r.Path
	if path == "" {
		path = "ruff"
	}
	ctx, cancel := context.WithTimeout(ctx, ruffTimeout)
	defer cancel()
	// Only the folder of the file name counts for ruff, and there is none.
	cmd := exec.CommandContext(ctx, path, "check", "--isolated", "--no-cache", "--preview", "--exit-zero", "--quiet",
		"--select", ruffRules, "--target-version", ruffPython, "--output-format", "json", "--stdin-filename", name, "-")
	cmd.Env = []string{"RAYON_NUM_THREADS=1", "LC_ALL=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(src)
	stdout, stderr := limitedBuffer{limit: ruffMaxOutput}, limitedBuffer{limit: 4 << 10}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	run := r.Run
	if run == nil {
		run = (*exec.Cmd).Run
	}
	err := run(cmd)
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return nil, errors.New("ruff is not installed here")
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ruff did not finish: %w", ctx.Err())
	case errors.Is(err, syscall.ECHILD):
		// Somebody else reaped the process; its output says how it went.
	case err != nil:
		message, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(stderr.kept.String(), "ruff failed\n")), "\n")
		if message != "" {
			return nil, fmt.Errorf("ruff: %w: %s", err, strings.TrimSpace(message))
		}
		return nil, fmt.Errorf("ruff: %w", err)
	}
	if stdout.over {
		return nil, errors.New("ruff found too many errors to be compared")
	}
	return parseRuff(stdout.kept.Bytes())
}

// parseRuff reads ruff's JSON report.
func parseRuff(report []byte) ([]Diagnostic, error) {
	var found []struct {
		Code     *string `json:"code"`
		Message  string  `json:"message"`
		Location struct {
			Row int `json:"row"`
		} `json:"location"`
	}
	if err := json.Unmarshal(report, &found); err != nil {
		return nil, fmt.Errorf("ruff's report cannot be read: %w", err)
	}
	list := make([]Diagnostic, 0, len(found))
	for _, f := range found {
		d := Diagnostic{Line: max(1, f.Location.Row), Message: f.Message}
		switch {
		case f.Code == nil || *f.Code == "" || *f.Code == "invalid-syntax":
			d.Code = codeSyntax
			d.Message = "SyntaxError: " + strings.TrimPrefix(f.Message, "SyntaxError: ")
		default:
			d.Code = *f.Code
		}
		list = append(list, d)
	}
	return list, nil
}

// limitedBuffer keeps the beginning of what is written. The buffer is no
// embedded field: its ReadFrom would go past the limit.
type limitedBuffer struct {
	kept  bytes.Buffer
	limit int
	over  bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := b.limit - b.kept.Len(); len(p) > room {
		b.over = true
		b.kept.Write(p[:max(0, room)])
		return len(p), nil
	}
	return b.kept.Write(p)
}

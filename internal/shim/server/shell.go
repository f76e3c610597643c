package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/syntax"
)

// The descriptors by which the shell gets its text and reports its ends. They
// are closed in everything that the text starts.
const (
	fdAction = 62
	fdReport = 63
)

// leaveTerminal turns standard error to where output goes. Bash starts with a
// terminal there, at which nobody sits, and keeps a copy: an interactive bash
// resets its terminal whenever a program dies of a signal, and complains where
// it has none.
const leaveTerminal = `exec 2>&1; `

// prelude makes an interactive bash fit for a machine: no prompts, no history,
// no job control messages. It is interactive since only then an interrupt
// takes it back to reading its next command, with its state intact.
const prelude = `PS1= PS2= PS4='+ '; unset PROMPT_COMMAND HISTFILE MAIL MAILCHECK; set +o history +H; ` +
	`shopt -u checkwinsize; alias ls='ls -F' ll='ls -alF' la='ls -A' l='ls -CF'; ` +
	`__mlgym_status() { builtin return "$1"; }`

// command is what bash executes for one action. The first line takes the text from
// fdAction, by which the shim knows that the action was begun (see [shell.begun]),
// and evaluates it; the second reports status and directory, and is read even when
// an interrupt threw the first one away. No part of it but the text may fail, which would end a shell with set -e.
const command = `IFS= builtin read -r -d '' -u 62 MLGYM_ACTION || builtin :; %[1]sbuiltin eval "$MLGYM_ACTION" </dev/null 62<&- 63>&-` + "\n" +
	reportLine

// reportLine has the shell tell the status of the action and its directory.
const reportLine = `builtin printf '%%s %[2]d %%s\0' "$?" "$PWD" >&63` + "\n"

// Deadlines and sizes of a script that leaves them open.
const (
	defaultWall  = 25 * time.Second
	defaultGrace = 2 * time.Second
	// settle is how long the shell may take to come back once nothing of the
	// action runs any more.
	settle = 2 * time.Second
	// startWait bounds the start of a shell.
	startWait = 20 * time.Second
)

// shell is one bash and its plumbing.
type shell struct {
	reaper *reaper
	env    []string

	proc   *child
	stdin  *os.File
	action *os.File    // memory file behind fdAction
	out    *os.File    // read end of its output
	mirror *os.File    // our write end of its output, for marks
	master *os.File    // other end of its terminal, or nil
	report chan string // what arrives on fdReport
	sink   *sink

	sequence int
	status   int
	dir      string

	began shape // what it had when it first answered
}

// startShell starts bash in dir and waits until it answers.
func startShell(ctx context.Context, r *reaper, env []string, dir string) (sh *shell, err error) {
	sh = &shell{reaper: r, env: env, dir: dir, report: make(chan string, 4)}
	made := sh // a return of an error sets sh to nil
	defer func() {
		if err != nil {
			made.close()
		}
	}()
	memory, err := unix.MemfdCreate("action", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a memory file: %w", err)
	}
	sh.action = os.NewFile(uintptr(memory), "action")
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inRead.Close()
	sh.stdin = inWrite
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	sh.out, sh.mirror = outRead, outWrite
	reportRead, reportWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reportWrite.Close()

	terminal := sh.openTerminal()
	if terminal != nil {
		defer terminal.Close()
	}

	// Descriptors 62 and 63 must be set in the child: pass a table that long,
	// with gaps.
	files := make([]uintptr, fdReport+1)
	for i := range files {
		files[i] = ^uintptr(0)
	}
	files[0], files[1], files[2] = inRead.Fd(), outWrite.Fd(), outWrite.Fd()
	files[fdAction], files[fdReport] = sh.action.Fd(), reportWrite.Fd()
	setup := prelude
	if terminal != nil {
		files[2] = terminal.Fd()
		setup = leaveTerminal + prelude
	}
	attr := &syscall.ProcAttr{Dir: existing(dir), Env: env, Files: files}
	sh.proc, err = r.start([]string{"bash", "--noprofile", "--norc", "--noediting", "-i"}, attr)
	if err != nil {
		return nil, err
	}
	go sh.readReports(reportRead)
	sh.sink = newSink(newCollector(4 << 10))
	go sh.sink.copyFrom(outRead)

	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := sh.send(setup); err != nil {
		return nil, err
	}
	for waiting := true; waiting; {
		select {
		case line, ok := <-sh.report:
			if !ok { // its report's pipe broke: it is ending
				<-sh.proc.done
				continue
			}
			waiting = !sh.parse(line)
		case <-sh.proc.done:
			text, _ := sh.sink.swap(newCollector(0)).text()
			return nil, fmt.Errorf("the shell ended at its start: %s", strings.TrimSpace(text))
		case <-ctx.Done():
			return nil, errors.New("the shell does not answer")
		}
	}
	// What bash says at its start (no terminal, no job control) is not news.
	sh.drain()
	sh.began = sh.shape()
	return sh, nil
}

// openTerminal makes a terminal and returns the end for the shell, or nil where
// there are none to be had.
func (sh *shell) openTerminal() *os.File {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	var terminal *os.File
	if err == nil {
		terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close()
		return nil
	}
	sh.master = master
	return terminal
}

// existing returns dir, or the nearest folder above it that there is.
func existing(dir string) string {
	for dir != "/" && dir != "." && dir != "" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		dir = dir[:strings.LastIndexByte(dir, '/')+1]
		if len(dir) > 1 {
			dir = strings.TrimRight(dir, "/")
		}
	}
	return "/"
}

// readReports passes on what arrives on fdReport, until the shell is gone.
func (sh *shell) readReports(f *os.File) {
	defer f.Close()
	defer close(sh.report)
	var pending []byte
	buf := make([]byte, 8<<10)
	for {
		n, err := f.Read(buf)
		pending = append(pending, buf[:n]...)
		for {
			i := bytes.IndexByte(pending, 0)
			if i < 0 {
				break
			}
			select {
			case sh.report <- string(pending[:i]):
			default: // nobody asked for it: a forged report
			}
			pending = pending[i+1:]
		}
		if err != nil {
			return
		}
		if len(pending) > 64<<10 {
			pending = nil // written by somebody else
		}
	}
}

// parse reads "STATUS SEQUENCE DIRECTORY" and says whether it is the report of
// the action under way.
func (sh *shell) parse(line string) bool {
	status, rest, ok := strings.Cut(line, " ")
	if !ok {
		return false
	}
	sequence, dir, ok := strings.Cut(rest, " ")
	if !ok || sequence != strconv.Itoa(sh.sequence) {
		return false
	}
	code, err := strconv.Atoi(status)
	if err != nil {
		return false
	}
	sh.status, sh.dir = code&0xff, dir
	return true
}

// send gives the shell the text of an action.
func (sh *shell) send(text string) error { return sh.sendAs(command, text) }

// sendAs gives the shell a text and the command that executes it.
func (sh *shell) sendAs(format, text string) error {
	if err := sh.action.Truncate(0); err != nil {
		return err
	}
	if _, err := sh.action.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("hand the action to the shell: %w", err)
	}
	if _, err := sh.action.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sh.sequence++
	// A shell that was stopped, with its pipe filled, would never take it.
	if err := sh.stdin.SetWriteDeadline(time.Now().Add(settle)); err != nil {
		return err
	}
	status := "" // builtin : leaves 0 for the text to see
	if sh.status != 0 {
		status = fmt.Sprintf("__mlgym_status %d || ", sh.status)
	}
	_, err := fmt.Fprintf(sh.stdin, format, status, sh.sequence)
	return err
}

// askAgain has the shell report once more on the action under way.
func (sh *shell) askAgain() error {
	if err := sh.stdin.SetWriteDeadline(time.Now().Add(settle)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(sh.stdin, reportLine, "", sh.sequence)
	return err
}

// begun reports whether the shell took the last action that was sent. Shell and shim
// share the place at which that file is read, which stands at its beginning before.
func (sh *shell) begun() bool {
	at, err := sh.action.Seek(0, io.SeekCurrent)
	return err != nil || at > 0 // what is not known was begun: it is not run again
}

// drain returns when everything that was written to the shell's output before
// now has been collected. A mark that only the shim knows is written behind it.
func (sh *shell) drain() {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	seen := sh.sink.expect(nonce[:])
	if _, err := sh.mirror.Write(nonce[:]); err != nil {
		return
	}
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-seen:
	case <-timer.C: // somebody inside took the mark away; go on without
		sh.sink.expect(nil)
	}
}

// end ends a shell that can report no more, and returns when it is gone.
func (sh *shell) end() {
	_ = syscall.Kill(sh.proc.pid, syscall.SIGKILL)
	<-sh.proc.done
}

// close ends the shell. What it started in the background lives on.
func (sh *shell) close() {
	if sh.stdin != nil {
		_ = sh.stdin.Close()
	}
	if sh.proc != nil {
		sh.end()
	}
	for _, f := range []*os.File{sh.action, sh.mirror, sh.out, sh.master} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// checkSyntax says whether the text can be parsed, and if not, returns bash's
// own message.
//
// A text of one line needs no check: bash parses the whole line before it runs
// any of it. For more lines, ours is asked first, since it costs microseconds;
// what it refuses, and what it cannot vouch for, bash decides.
func checkSyntax(r *reaper, text string, env []string) (message string, bad bool) {
	if !strings.Contains(strings.TrimSpace(text), "\n") {
		return "", false
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	if file, err := parser.Parse(strings.NewReader(text), ""); err == nil && plain(file) {
		return "", false
	}
	return bashSyntax(r, text, env)
}

// bashSyntax asks bash itself.
func bashSyntax(r *reaper, text string, env []string) (message string, bad bool) {
	memory, err := unix.MemfdCreate("syntax", unix.MFD_CLOEXEC)
	if err != nil {
		return "", false
	}
	in := os.NewFile(uintptr(memory), "syntax")
	defer in.Close()
	if _, err := in.WriteAt([]byte(text), 0); err != nil {
		return "", false
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return "", false
	}
	defer outRead.Close()
	attr := &syscall.ProcAttr{Dir: "/", Env: env, Files: []uintptr{in.Fd(), outWrite.Fd(), outWrite.Fd()}}
	c, err := r.start([]string{"bash", "--norc", "--noprofile", "-n"}, attr)
	_ = outWrite.Close()
	if err != nil {
		return "", false // no process to be had; the action will say so itself
	}
	said := newCollector(8 << 10)
	_, _ = io.Copy(said, outRead)
	<-c.done
	code, _ := exitOf(c.status)
	message, _ = said.text()
	return message, code != 0
}

// plain says that a parsed text holds only what both parsers agree on: simple
// commands, pipelines, lists, here-documents.
func plain(file *syntax.File) bool {
	ok := true
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case nil, *syntax.File, *syntax.Stmt, *syntax.CallExpr, *syntax.Word, *syntax.Lit, *syntax.SglQuoted,
			*syntax.DblQuoted, *syntax.Redirect, *syntax.Comment, *syntax.Assign, *syntax.BinaryCmd:
		case *syntax.ParamExp:
			ok = ok && n.Short
		default:
			ok = false
		}
		return ok
	})
	return ok
}

package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mlgym/sandbox"
)

// stateCommand is what bash executes to tell or to take its state, in the shape
// of command. What the agent's options make bash say of it goes nowhere.
const stateCommand = `{ IFS= builtin read -r -d '' -u 62 MLGYM_ACTION || builtin :; builtin eval "$MLGYM_ACTION" </dev/null 63>&-; } 2>/dev/null` + "\n" +
	`{ builtin printf '%%s %[2]d %%s\0' "$?" "$PWD" >&63; } 2>/dev/null` + "\n"

// dumpText writes the state of the shell behind itself into the memory file of
// the action: fields that each end with a zero byte. It works in a copy of the
// shell, which it first frees of what could change the meaning of its words.
var dumpText = `( \builtin shopt -p; \builtin printf '\0'; \builtin set +o; \builtin printf '\0'
\builtin set +efnuvx; \builtin shopt -u expand_aliases nocasematch
\builtin test "$#" = 0 || \builtin printf '%q ' "$@"; \builtin printf '\0'
\builtin umask -p; \builtin printf '\0'
\builtin printf '%q\n' "${DIRSTACK[@]}"; \builtin printf '\0'
\builtin alias -p; \builtin printf '\0'
\builtin trap -p; \builtin printf '\0'
\builtin declare -f; \builtin printf '\0'
\builtin declare -F; \builtin printf '\0'
for MLGYM_ACTION in ` + everyName + `; do
\builtin printf '%s\0' "$MLGYM_ACTION"; \builtin declare -p "$MLGYM_ACTION"; \builtin printf '\0'; done
\builtin printf 'end\0' ) >&62 || \builtin :`

// everyName expands to the names of all variables, by their first letters, whatever
// splits words and without another process.
var everyName = func() string {
	var b strings.Builder
	for _, first := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_" {
		fmt.Fprintf(&b, `"${!%c@}" `, first)
	}
	return b.String()
}()

// shellDump is what dumpText tells.
type shellDump struct {
	// shopt, set, aliases … are commands that bring the same about again.
	shopt, set, positional, umask, dirs, aliases, traps, functions, exported string
	// variables are the declarations by name.
	variables map[string]string
}

// fixedFields come before the variables.
const fixedFields = 9

// variableName is what a variable may be called.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseDump reads what dumpText wrote.
func parseDump(text []byte) (*shellDump, error) {
	text, ok := bytes.CutSuffix(text, []byte("end\x00"))
	fields := strings.Split(string(text), "\x00")
	if !ok || len(fields) < fixedFields+1 || (len(fields)-fixedFields)%2 != 1 || fields[len(fields)-1] != "" {
		return nil, fmt.Errorf("the shell's state has %d fields and no end", len(fields))
	}
	d := &shellDump{variables: map[string]string{}}
	for i, to := range []*string{&d.shopt, &d.set, &d.positional, &d.umask, &d.dirs, &d.aliases, &d.traps, &d.functions, &d.exported} {
		*to = fields[i]
	}
	for pair := range slices.Chunk(fields[fixedFields:len(fields)-1], 2) {
		if !variableName.MatchString(pair[0]) {
			return nil, fmt.Errorf("the shell's state has a variable %.50q", pair[0])
		}
		d.variables[pair[0]] = pair[1]
	}
	return d, nil
}

// living are the variables that bash itself keeps: they cannot be set, or mean
// something else in each shell, or change from look to look.
var living = []string{
	"BASH", "BASHOPTS", "BASHPID", "BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_ARGV0", "BASH_CMDS", "BASH_COMMAND",
	"BASH_EXECUTION_STRING", "BASH_LINENO", "BASH_MONOSECONDS", "BASH_REMATCH", "BASH_SOURCE", "BASH_SUBSHELL", "BASH_TRAPSIG",
	"BASH_VERSINFO", "BASH_VERSION", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD",
	"LINENO", "MLGYM_ACTION", "PIPESTATUS", "PPID", "PWD", "RANDOM", "SHELLOPTS", "SRANDOM", "UID", "_",
}

// kept are variables that are set again, and must not be unset before: bash would
// then take them for ordinary ones.
var kept = []string{"COMP_WORDBREAKS", "SECONDS"}

// script returns the text that takes a shell whose state is now from to this
// state. Each part is evaluated for itself, in an order in which the later ones
// cannot disturb the earlier.
func (d *shellDump) script(from *shellDump) string {
	var b strings.Builder
	part := func(text string) {
		if strings.TrimSpace(text) != "" {
			fmt.Fprintf(&b, "\\builtin eval %s\n", quoted(text))
		}
	}
	// Functions come last but for the options: they may be called as the commands
	// are that bring the other things about. They are kept with their aliases
	// expanded, and may hold patterns that are none without the option.
	b.WriteString("\\builtin shopt -u expand_aliases\n\\builtin unalias -a\n")
	b.WriteString("\\builtin unset -v OLDPWD\n") // set by the way here
	dirs := strings.Split(strings.TrimSuffix(d.dirs, "\n"), "\n")
	for _, dir := range slices.Backward(dirs[1:]) {
		part("\\builtin pushd -n " + dir)
	}
	for _, name := range slices.Sorted(maps.Keys(from.variables)) {
		if !slices.Contains(living, name) && !slices.Contains(kept, name) {
			fmt.Fprintf(&b, "\\builtin unset -v %s\n", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.variables)) {
		if !slices.Contains(living, name) {
			part(d.variables[name])
		}
	}
	part("\\builtin set -- " + d.positional)
	part(d.umask)
	part(d.aliases)
	part(d.traps)
	b.WriteString("\\builtin shopt -s extglob\n")
	part(d.functions)
	part(builtins(d.exported))
	// Not evaluated: a change of the line editor would take the shell's input from
	// it. And only what is to change, for the same reason.
	for _, list := range [][2]string{{d.shopt, from.shopt}, {d.set, from.set}} {
		for line := range strings.Lines(list[0]) {
			changed := strings.Contains(line, "extglob") || strings.Contains(line, "expand_aliases") || !strings.Contains("\n"+list[1], "\n"+line)
			if changed && optionLine.MatchString(line) {
				b.WriteString("\\builtin " + line)
			}
		}
	}
	return b.String()
}

// optionLine is a command that sets one option.
var optionLine = regexp.MustCompile(`^(shopt -[su]|set [-+]o) [a-z0-9_-]+\n$`)

// builtins makes sure that each line runs a builtin, whatever functions there are.
func builtins(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("\\builtin " + line)
	}
	return b.String()
}

// quoted makes one word of a text.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// differs names the first thing in which two states of shells differ, "" where
// none does.
func (d *shellDump) differs(other *shellDump) string {
	for _, part := range []struct{ name, a, b string }{
		{"options (shopt)", d.shopt, other.shopt},
		{"options (set)", d.set, other.set},
		{"positional parameters", d.positional, other.positional},
		{"umask", d.umask, other.umask},
		{"stack of directories", d.dirs, other.dirs},
		{"aliases", d.aliases, other.aliases},
		{"traps", d.traps, other.traps},
		{"functions", d.functions, other.functions},
		{"exported functions", d.exported, other.exported},
	} {
		if part.a != part.b {
			return part.name
		}
	}
	for _, list := range []map[string]string{d.variables, other.variables} {
		for name := range list {
			if !slices.Contains(living, name) && !slices.Contains(kept, name) && d.variables[name] != other.variables[name] {
				return "variable " + name
			}
		}
	}
	return ""
}

// stateWait bounds how long a shell may take to tell or take its state.
const stateWait = 20 * time.Second

// transact has the shell execute a text of ours beside its actions.
func (r *runner) transact(ctx context.Context, text string) error {
	select {
	case <-r.ended: // a late wish of an action that is over
	default:
	}
	m, status := now(), r.sh.status
	var res sandbox.Result
	if err := r.sh.sendAs(stateCommand, text); err != nil {
		return err
	}
	r.await(ctx, sandbox.Script{Wall: stateWait}, m, &res)
	r.sh.status = status
	switch {
	case res.ShellRestarted, res.EndedByCall:
		return fmt.Errorf("the shell ended")
	case res.Deadline != "":
		return fmt.Errorf("the shell does not answer")
	}
	return nil
}

// tell returns the state of the shell as dumpText writes it.
func (r *runner) tell(ctx context.Context) ([]byte, error) {
	if err := r.transact(ctx, dumpText); err != nil {
		return nil, err
	}
	info, err := r.sh.action.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size() - int64(len(dumpText))
	if size > maxShellBytes {
		return nil, fmt.Errorf("the shell's variables and functions have %d bytes, more than %d", size, maxShellBytes)
	}
	text := make([]byte, max(0, size))
	if _, err := io.ReadFull(io.NewSectionReader(r.sh.action, int64(len(dumpText)), size), text); err != nil {
		return nil, err
	}
	return text, nil
}

// dump returns the state of the shell, and notes what it does not hold.
func (r *runner) dump(ctx context.Context, s *state) ([]byte, error) {
	if r.sh == nil || !alive(r.sh.proc) {
		s.ShellEnded = true
		return nil, nil
	}
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return nil, refused("the shell stands in a folder that is gone: %s", s.Dir)
	}
	if why := r.sh.untold(); why != "" {
		return nil, refused("%s", why)
	}
	text, err := r.tell(ctx)
	if err != nil {
		return nil, refused("%w", err)
	}
	if _, err := parseDump(text); err != nil {
		return nil, refused("%w", err)
	}
	s.Status = r.sh.status
	return text, nil
}

// begun is what a shell told of itself before it is changed.
type begun struct {
	dump *shellDump
	err  error
}

// begin asks a fresh shell for its state, while its files are restored.
func (r *runner) begin(ctx context.Context, s state) <-chan begun {
	told := make(chan begun, 1)
	if s.ShellEnded {
		told <- begun{}
		return told
	}
	go func() {
		var b begun
		defer func() { told <- b }()
		if _, b.err = r.ready(ctx); b.err != nil {
			return
		}
		text, err := r.tell(ctx)
		if err != nil {
			b.err = fmt.Errorf("the shell's state: %w", err)
			return
		}
		b.dump, b.err = parseDump(text)
	}()
	return told
}

// undump takes a fresh shell to a state.
func (r *runner) undump(ctx context.Context, s state, text []byte, from begun) error {
	r.dir.Store(s.Dir)
	if s.ShellEnded {
		// The next action starts another shell, and tells so.
		if r.sh != nil {
			r.sh.end()
		}
		return nil
	}
	want, err := parseDump(text)
	if err != nil {
		return err
	}
	if from.err != nil {
		return from.err
	}
	script := fmt.Sprintf("{ \\builtin cd -- %s\n%s} >/dev/null || \\builtin :", quoted(s.Dir), want.script(from.dump))
	if err := r.transact(ctx, script); err != nil {
		return fmt.Errorf("the shell's state: %w", err)
	}
	// A shell that is not what it was would lead the episode astray.
	again, err := r.tell(ctx)
	if err != nil {
		return fmt.Errorf("the shell's state: %w", err)
	}
	got, err := parseDump(again)
	if err != nil {
		return err
	}
	if r.sh.dir != s.Dir {
		return fmt.Errorf("the shell stands in %s, not in %s", r.sh.dir, s.Dir)
	}
	if part := want.differs(got); part != "" {
		return fmt.Errorf("the shell's state could not be brought about: %s", part)
	}
	r.sh.status = s.Status & 0xff
	return nil
}

func alive(c *child) bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// shape is what a shell has of the system beside its own memory: descriptors and
// limits on resources, neither of which it can be asked to set again.
type shape struct {
	files  map[string]string
	limits string
}

func (sh *shell) shape() shape {
	sh.rest()
	dir := "/proc/" + strconv.Itoa(sh.proc.pid)
	s := shape{files: map[string]string{}}
	entries, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return s
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, "fd", e.Name())); err == nil {
			s.files[e.Name()] = target
		}
	}
	limits, err := os.ReadFile(dir + "/limits")
	if err == nil {
		s.limits = string(limits)
	}
	return s
}

// rest returns when the shell waits for its next command: after its report it
// still has descriptors to put back, of which nobody tells.
func (sh *shell) rest() {
	const look = 100 * time.Microsecond
	for deadline := time.Now().Add(settle / 4); time.Now().Before(deadline); time.Sleep(look) {
		if p, ok := readProc(sh.proc.pid); !ok || p.state == 'S' {
			return
		}
	}
}

// untold says what of the shell cannot be saved, "" where there is nothing.
func (sh *shell) untold() string {
	now := sh.shape()
	for fd, target := range now.files {
		if before, ok := sh.began.files[fd]; !ok || before != target {
			return fmt.Sprintf("the shell's descriptor %s is open on %s", fd, target)
		}
	}
	if len(now.files) != len(sh.began.files) {
		return "the shell has closed descriptors"
	}
	if now.limits != sh.began.limits {
		return "the shell has limited its resources (ulimit)"
	}
	return ""
}

package slurm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The script of a task is for any POSIX shell. Nothing of the caller's stands in
// it outside quotes, and the first command ends what sbatch looks at for flags.

// exec makes the program the job's process, which gets Slurm's signals.
const replace = "exec %s\n"

// stay is for sites that do not requeue on [ExitRequeue]. SIGTERM reaches every
// process of a job, so only SIGUSR1 is passed on. After a SIGTERM nothing is
// requeued here: what was cancelled would come back.
//
// wait returns early when a signal was handled, with a code above 128 like that
// of a program killed by a signal; which of them it was is told by whether the
// program is there still. Shells differ in whether a collected program can be
// waited for again (127 is no).
const stay = `ended=
trap 'ended=1' TERM
%s &
program=$!
trap 'kill -s USR1 "$program" 2>/dev/null' USR1
while :; do
	wait "$program"
	code=$?
	[ "$code" -gt 128 ] || break
	kill -s 0 "$program" 2>/dev/null && continue
	wait "$program" 2>/dev/null
	again=$?
	[ "$again" = 127 ] || code=$again
	break
done
if [ "$code" = %d ] && [ -z "$ended" ]; then
	scontrol requeue "${SLURM_JOB_ID:?}" || echo 'this task could not be requeued' >&2
fi
exit "$code"
`

// script is the script of an array's part.
func (a Array) script(offset int, requeues bool) string {
	var text strings.Builder
	text.WriteString("#!/bin/sh\nset -u\ncr=$(printf '\\r')\n")
	if offset > 0 {
		fmt.Fprintf(&text, "SLURM_ARRAY_TASK_ID=$((SLURM_ARRAY_TASK_ID + %d))\nexport SLURM_ARRAY_TASK_ID\n", offset)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		fmt.Fprintf(&text, "%s=%s\nexport %s\n", name, quote(a.Env[name]), name)
	}
	words := make([]string, len(a.Argv))
	for i, word := range a.Argv {
		words[i] = quote(word)
	}
	command := strings.Join(words, " ")
	if a.Requeue && !requeues {
		fmt.Fprintf(&text, stay, command, ExitRequeue)
	} else {
		fmt.Fprintf(&text, replace, command)
	}
	return text.String()
}

// quote writes a word for the shell. A carriage return is written as a variable:
// sbatch refuses scripts that hold one before a line's end.
func quote(word string) string {
	word = strings.ReplaceAll(word, "'", `'\''`)
	return "'" + strings.ReplaceAll(word, "\r", `'"$cr"'`) + "'"
}

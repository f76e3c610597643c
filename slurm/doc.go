// Package slurm submits work to a Slurm cluster that is there already, and tells
// what Slurm thinks of it. It runs Slurm's own commands (sbatch, squeue, sacct,
// scancel, scontrol, sinfo), which every login node has; no daemon, no REST
// service and no rights beyond those of an ordinary user are needed.
//
// # What it promises, and what Slurm does not
//
// [Client.Submit] places an [Array]: one program, run once for each index. What
// it says about a task with [Client.Tasks] is what Slurm believes, and that is
// no proof that the work was done, or done once:
//
//   - A node that loses its network runs its tasks on while Slurm, after
//     SlurmdTimeout, runs them again elsewhere. Both may finish.
//   - A controller that was killed forgets what it had not written yet, some
//     seconds: it may run a running task again without counting a restart, and
//     may not know an array any more that it had just taken.
//   - A submission whose answer was lost may be queued all the same
//     ([ErrMaybeSubmitted]).
//   - A task that ended is forgotten after MinJobAge (300 s by default), for good
//     on a site without accounting; its state is then [Unknown].
//
// So results belong into files that are written once, each execution has to have
// a number or a name of its own, and the state here only says whether it is worth
// waiting.
//
// # How a task ends early
//
// The program replaces the job's script (exec), so it gets Slurm's signals
// itself: SIGUSR1 about [Array].SignalBefore before its time is up, and SIGTERM
// when it is cancelled, preempted or requeued, at most KillWait (30 s by
// default) before SIGKILL. A program that saved its work and wants to go on later
// exits with [ExitRequeue], 75. Sites whose slurm.conf says RequeueExit=75 requeue
// it then. On others Submit writes a script that stays beside the program and does
// that with scontrol, except after a SIGTERM: what was cancelled must not come
// back, and what was preempted is requeued by Slurm.
//
// Set Array.Requeue for any of that.
//
// # Versions
//
// Tested against Slurm 22.05. Output is asked for with format strings, which have
// been stable since 20.11, and not as JSON, whose schema changes between releases.
package slurm

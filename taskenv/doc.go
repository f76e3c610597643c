// Package taskenv makes a [gym.Env] of a task, a sandbox, the tools inside it
// and a grader outside it.
//
// # Actions
//
// An action is shell text or a typed call of a tool. The tools validate and
// submit may stand anywhere in shell text; they are answered from outside, so
// nothing that a program prints is taken for one. The action exit_forfeit gives
// up: the episode ends without a grading.
//
// # Reward
//
// With n(s) the task's normalised score (0 is the baseline, 1 the reference,
// clipped to the task's range):
//
//	improvement  each evaluation pays what it adds to the best n so far; the
//	             first pays its n. The sum over an episode is the best n.
//	terminal     the last evaluation pays its n.
//	none         always 0, as in the published benchmark.
//
// An evaluation without a score pays 0.
package taskenv

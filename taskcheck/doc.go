// Package taskcheck tries a task as its author, its reviewer and a cheat would:
// the starter and the baseline in an agent's sandbox, the same submission graded
// twice, a submission that did no work, a good one, broken ones, everything
// below tests/cheats, and whether anything hidden can be found from where the
// agent sits. docs/format/task-check.md describes the folder tests/.
package taskcheck

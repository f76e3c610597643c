// Package tasks has the pages about tasks: what each asks, how it is scored, how it
// is run, and the best that the runs at hand made of it. Tasks that only runs name,
// since they do not ship, have a page of what these runs say.
//
// What a task hides from agents (its grader, its tests with their solutions, the
// content of data) stands on no page.
package tasks

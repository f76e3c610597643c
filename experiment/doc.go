// Package experiment runs a grid of episodes, tasks × agents × seeds, to its end:
// side by side, within the machine and a budget, each episode exactly once,
// however often the process is killed.
//
// What is known of an experiment lies in its directory, and every command is a
// function of it:
//
//	DIR/
//		experiment.yaml          what was asked for: File
//		plan.json                the episodes of the grid, in order: Plan
//		lock                     held by the process that runs the experiment
//		events.jsonl             what happened: Event
//		stop                     there while the experiment is to stop
//		budget/                  what all episodes together have spent
//		cells/NAME-ID/
//			cell.json            what decides the episode: Cell
//			attempt-N/           the newest attempt; .attempt-N are earlier ones
//				attempt.json     who runs it: Attempt
//				progress.json    where it stands; its time is the heartbeat
//				log.txt          what mlgym has to say of it
//				run/             package runstore
//			outcome.json         how it ended: Outcome, written once
//
// An episode is named by a digest of all that decides it ([ID]); one with an
// outcome is never run again. Whoever runs an episode makes the next attempt's
// directory, which only one can; an attempt that finds a later one stops
// ([ErrFenced]), and works in a folder of its own, so that a process that was
// believed dead and goes on spoils nothing. docs/format/experiment.md describes
// the files, docs/design/016-exactly-once.md says why.
package experiment

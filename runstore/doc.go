// Package runstore is the layout of runs on disk: one directory for each run,
// with its manifest, its trajectory, the submissions that were graded, the
// logs of the grader and the result.
//
//	runs/<task>/<agent[-model]>/<UTC time>-<random id>/
//		manifest.json          what was run: Manifest
//		grader.key             the secret of the run (mode 0600)
//		lock                   held while a process writes the run
//		trajectory.jsonl       package trajectory
//		submission/<n>-<kind>/ the files handed in for evaluation n, from 1
//		logs/<n>-<kind>.log    what the grader printed in evaluation n (or a
//		                       folder of that name without .log)
//		result.json            the Result, once the episode has ended
//
// A run whose process was killed has no result.json; [Summarise] makes the
// same object from its trajectory. The format is described in
// docs/format/run-directory.md.
//
// grader.key is why hidden seeds cannot be guessed from the seed of the run. It
// is needed to resume and to replay a run, never enters an agent's or a
// player's sandbox, and is to be left out when a run is published before the
// task's hidden data may be known.
package runstore

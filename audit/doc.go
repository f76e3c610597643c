// Package audit looks through the record of a run for what makes its score not
// worth believing: writes to files that the grader imports or that hold data,
// hidden labels that were read, patches of the grader's process, scores that
// the task cannot give.
//
// It was made for records of systems in which the grader lives in the agent's
// own folder, as in MLGym's published runs. A record cannot prove innocence, so
// the verdict "clean" means that nothing was found.
//
// # Verdicts
//
// A finding has a weight. [Tampering] is something that changed what the score
// means while a score was made: the run is tampered. [Suspicion] may have, or
// was put back before any score was made: the run is suspicious. A [Remark] is
// worth knowing and says nothing against the score, such as an attempt that was
// refused, or a download: the run stays clean.
//
// False alarms are as bad as misses. docs/guide/reading-a-report.md says how
// the rules fared on the published runs.
package audit

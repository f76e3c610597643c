// Package report turns runs into tables and figures: the ones that MLGym
// publishes, exact to the last digit, and beside them what a statistician would
// have added.
//
// # From runs to pages
//
// A [Catalog] says which tasks and models there are. [Collect] reads run
// folders one at a time into a [Study]: one small row a run, and what was left
// out and why. [Compute] makes a [Report] of a study: every number, in one value
// that is also the schema of report.json. The Write functions render it.
//
// # Two sets of definitions
//
// Every published number exists in the definition of the published evaluation
// ([MLGym]) and in a corrected one ([Corrected]); neither replaces the other, and
// each table says which it uses. docs/guide/reading-a-report.md lists the
// differences.
package report

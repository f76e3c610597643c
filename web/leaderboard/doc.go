// Package leaderboard has the pages that compare runs: the tables and figures of
// package report over the library, with filters, charts that answer the pointer, and
// every table and figure as a file.
//
// # Where the numbers come from
//
// All of them from [report.Compute]: a chart draws the values from which package plot
// draws the picture of the same name, and report.json holds them too. Runs are read and
// numbers computed behind the scenes, one choice of filters at a time; a page that is
// asked for before says how far that is. Numbers that were computed for an earlier
// state of the runs are shown, and said to be so, until newer ones are there.
//
// # Pages
//
// leaderboard/ has the definitions of the published evaluation, leaderboard/corrected/
// the corrected ones. Below them lie report.json, tables/ and figures/ as `mlgym report`
// writes them, with tables as Markdown beside. Filters stand in the query:
// task and model (any number), mode, variant, and flagged=without.
package leaderboard

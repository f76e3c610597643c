// Package experiments are the pages of experiments: which there are, how far each is
// as a matrix of tasks, agents and seeds, what goes on, and, where that is allowed,
// its control.
//
// What is shown is what package experiment's files say, so that pages need not be
// served by the process that runs an experiment. Each experiment that somebody looks
// at has one [experiment.Watcher], whatever the number of browsers: once a second, while
// somebody listens, it reads what changed, the changed parts are rendered once, and
// every browser gets the same bytes. A part is an element with an id, which the
// browser puts in the place of the one that it has.
//
// Pages act through a [Control], and never on folders that were not found as
// experiments below the given roots.
package experiments

// Package budget is a [model.Account] that many processes share: one small file
// says what is spent, what is set aside, and what the limits are.
//
// A request is set aside at its worst case before it is sent, so a limit is
// checked before it is exceeded, whoever asks and wherever. It is refused only
// when what is truly spent leaves no room for it. Where only the reservations of
// others stand in its way, Reserve waits until they are settled, since most
// requests take far less than they may: parallel episodes do not end early
// because all of them are pessimistic at once. Who waits holds nothing for that
// request, and nobody needs a waiting request to settle, so there is no deadlock.
// Requests of one process are served in turn; between processes, small ones may
// overtake a large one until the large one is refused or fits.
//
// # When a holder dies
//
// Its reservations stay set aside, and others may wait for them, until somebody
// who knows that it is dead calls [Ledger.Release]. They are then counted as
// spent at their worst case, since the provider may have charged them. A holder
// that lives after all and settles puts that right.
//
// # Where the file lies
//
// The file is replaced as a whole and synchronised at every change, under the
// lock of a file beside it, and counts its changes; the lock's file holds the
// count too. So a ledger that is lost, or replaced by an older copy, is an error
// and not an empty one. Machines may share the folder if its file system passes
// locks on (see package flock); changes of other processes are looked for twice a
// second. One change takes as long as the file system needs to synchronise two
// files, so some hundred requests a second are the most.
//
// Money is counted in whole billionths of a dollar, so sums do not drift.
package budget

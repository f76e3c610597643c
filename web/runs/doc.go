// Package runs has the pages on many runs: the list of them, the search in their
// texts, and the comparison of a few.
//
// All forms are GETs, and the address of a page holds all of its state, so that
// whoever is sent a link sees the same. Nothing here changes anything.
//
// The list keeps itself up to date through one stream of events ([Pages] asks the
// library once a second, while somebody listens), and is complete without it.
package runs

// Package stats computes everything that mlgym's reports say about scores. Its
// functions are pure: numbers in, numbers out, all randomness from a seed that
// the caller gives. It imports nothing of ours.
//
// Two families live side by side. The functions that begin with MLGym (and
// [LeftSum]) follow the published evaluation of MLGym-Bench to the last digit,
// its questionable choices included, so that its tables can be reproduced. The
// others are what a statistician would use; each says where its formula comes
// from.
//
// A missing score is NaN throughout: it is never a zero, since a zero would
// beat some baselines.
package stats

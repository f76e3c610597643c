// Package plot draws the charts of mlgym's reports: series of numbers in, SVG,
// PNG or PDF out. It is a thin layer over gonum/plot that decides on looks once:
// a palette that colour-blind readers can tell apart, labels beside what they
// name, one layout of title, legend and axes. It imports nothing of ours.
//
// A chart is described by a value ([Lines], [Bars], [Scatter], [Dots],
// [Ranks]); its Figure method lays it out. A [Figure] can be written any number
// of times, also from several goroutines.
package plot

// Package baseline is an agent that submits the starting point as it is. Its
// score is what every other agent has to beat.
package baseline

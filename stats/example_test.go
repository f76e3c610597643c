package stats_test

import (
	"fmt"

	"mlgym/stats"
)

// Four runs of one agent, one of which crashed into a wall: the interquartile
// mean hardly notices, the mean does.
func ExampleIQM() {
	runs := []float64{0.61, 0.58, 0.64, -9}
	fmt.Printf("%.3f %.3f\n", stats.IQM(runs), stats.Mean(runs))
	// Output: 0.595 -1.792
}

// What one run, two, … are expected to reach at best.
func ExampleBestAtK() {
	runs := []float64{0.1, 0.2, 0.4, 0.9}
	for k := 1; k <= len(runs); k++ {
		fmt.Printf("best@%d = %.3f\n", k, stats.BestAtK(runs, k, stats.Maximize))
	}
	// Output:
	// best@1 = 0.400
	// best@2 = 0.617
	// best@3 = 0.775
	// best@4 = 0.900
}

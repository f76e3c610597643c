// Package metrics serves a running experiment's numbers to Prometheus.
//
// What is served is made of a snapshot at each scrape, so it is as fresh as the
// scrape and costs nothing between two. Episodes have series of their own only
// while they run, so that their number stays bounded by how many run at once.
package metrics

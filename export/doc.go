// Package export turns runs into data to train on: conversations for supervised
// fine-tuning, preference pairs, transitions for offline reinforcement learning,
// requests as a provider saw them, with their tokens where those were recorded, and
// ATIF trajectories.
//
// Runs are chosen by a [Filter] from their manifests and results alone, and then
// read one at a time, so that memory is bounded by the largest run, and in Parquet by
// a row group. Each format is JSON Lines or Parquet, and is described in
// docs/format/export.md. Texts and tokens come out as they were recorded, and nothing
// is tokenised.
package export

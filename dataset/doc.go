// Package dataset keeps what tasks are made of beside code: data, in splits of
// which each says who may see it.
//
// A data set is a folder: dataset.yaml describes it, prepare.py turns what was
// fetched (or generates it) into the splits. [Store.Prepare] fetches the first
// source that can be had, runs the script, checks what it wrote and keeps it in
// a content-addressed store, from which sandboxes are shown single splits,
// read-only: an agent sees those marked "always" (and "published", in that
// mode), a grader all of them. docs/format/dataset.md has the format.
//
// Hidden rows are drawn with a secret of the installation, so that neither the
// order of rows nor their ids can be looked up in a public copy; what is the
// same on every machine is the digest of the sources.
package dataset

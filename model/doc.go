// Package model is the contract of a language model: a [Model] answers a
// [Request] with a [Response]. Providers are in the sub-packages; limits,
// retries, prices and recordings are wrappers around any Model.
//
// The package imports none of ours.
package model

// Package hostview says what of the host the sandboxes show: which folders and
// files, where the root file system inside is the host's own, what of those
// stays hidden, what stands in /etc instead of the host's files, and which
// device files a GPU consists of.
//
// Drivers differ in how they show a thing, not in what they show: whatever is a
// list lies here.
package hostview

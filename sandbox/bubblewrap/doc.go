// Package bubblewrap makes sandboxes with bubblewrap (bwrap), the kernel's own
// namespaces without a daemon and without privileges. It is the default driver.
//
// Inside are the host's /usr, read-only and without /usr/local and the data
// sets that packages install (package hostview has the lists), a generated
// /etc, and memory-backed writable places of bounded size; nothing else of the
// host. There is no network but loopback, a process tree of its own, a filter
// of system calls, and no capability. NVIDIA's device files are shown where a
// GPU was asked for; its libraries are the host's.
//
// When root runs it, every sandbox gets a user number of its own outside, so
// that it owns nothing and can signal nobody there; when an ordinary user runs
// it, the sandbox is that user outside, seeing none of their files.
//
// Limits on memory, processes and processor time are kept by control groups
// where they can be made (root; version 1 and 2). Without them processes are
// limited by RLIMIT_NPROC, memory by watching, processor time not at all;
// [Driver.Probe] says which it is. Disk is limited everywhere.
package bubblewrap

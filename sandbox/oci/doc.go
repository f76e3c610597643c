// Package oci is the sandbox driver for OCI runtimes: runc (the default), crun
// and gVisor's runsc. It writes the bundle itself, so that a sandbox has what
// [sandbox] promises and nothing more.
//
// # What it enforces
//
// Each sandbox has user, mount, process, network, IPC, host-name and cgroup
// namespaces of its own; a network with nothing but its own loopback; no
// capabilities, no way to gain any (no_new_privs, and a system-call filter that
// refuses mounts, new user namespaces, tracing, keyrings, BPF and io_uring);
// a root file system that cannot be written to; and a home, /tmp, /var/tmp and
// /dev/shm in memory, each bounded by Limits.DiskBytes. Started by root, the
// user inside is 1000 and an otherwise unused user of a high number outside,
// and memory, processes and processor time are bounded by cgroups (v1 or v2).
//
// With runsc, all of that is done by gVisor's own kernel in user space: a
// program inside never speaks to the kernel of the host. It costs start-up time
// and slower system calls, and a sandbox that runs out of memory is lost as a
// whole (its errors wrap sandbox.ErrLost) instead of losing one process.
//
// # What it does not enforce
//
// Started by an ordinary user, there are no cgroups: the number of processes is
// bounded by an rlimit, memory by the shim's watching, and processor time not
// at all; the user inside then has the number 0 (and is the ordinary user
// outside), because one user can map one number only. [Driver.Probe] says in
// its capabilities what holds on the machine at hand.
//
// GPUs are shown by runc and crun as devices; with runsc, asking for one is an
// error.
//
// # Root file systems
//
// Spec.Root, or Options.Root where that is empty, is one of
//
//	""                  the host's /usr, without /usr/local and the data sets
//	                    that packages install, and what programs need of /etc
//	a folder            used as it lies, read-only
//	a tar file          plain, gzip or zstd; unpacked once into the cache
//	an image name       debian:bookworm-slim, ghcr.io/a/b@sha256:…; pulled
//	                    without a daemon, unpacked once into the cache
//
// Archives are unpacked through an [os.Root], so no entry and no link of an
// archive can reach outside; devices, set-user-id bits and owners are dropped.
package oci

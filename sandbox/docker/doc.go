// Package docker is the sandbox driver for machines with Docker, or with Podman
// and its Docker-compatible socket. It speaks the Engine API; DOCKER_HOST and
// its companions choose the engine, as for the docker command.
//
// # What it enforces
//
// Each sandbox is a container without a network, with a read-only root file
// system, all capabilities dropped, no_new_privs, the system-call filter of
// package syscallfilter (with Podman: its own default), user 1000 inside, a
// process list of its own, and limits on memory (swap included), processes and
// processor time. Home, workspace, /tmp, /var/tmp and /dev/shm are in memory,
// each bounded by Limits.DiskBytes; nothing else can be written to. Nothing
// that passes to or from the sandbox is kept in the engine's logs.
//
// The container's first process is mlgym-shim, bind-mounted read-only, and its
// standard input is the connection: when mlgym ends, however it ends, the
// engine closes that input, the shim exits, and the engine removes the
// container.
//
// # What it does not enforce
//
// Unless the engine remaps users, user 1000 inside is user 1000 of the host:
// not root, but perhaps a person. Isolation is that of the engine, which runs
// as root. The workspace is a file system of its own, so a file that is moved
// there from the home is copied.
//
// GPUs are asked of the engine, which needs NVIDIA's container toolkit for them.
//
// The engine must run on this machine, since folders of this machine are shown
// inside. Images are not pulled: Create says which one is missing and how to
// get it.
package docker

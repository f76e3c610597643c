// Package shim is the outside's half of mlgym-shim, the first process of every
// sandbox: where its binary lies, and the client that speaks to it.
//
// A driver mounts [Dir] read-only at sandbox.ShimDir, starts
// "/run/mlgym/bin/mlgym-shim serve" as the sandbox's first process, and hands
// the process's standard input and output to [Connect]. The returned [Client]
// implements the methods of a sandbox that do not depend on the driver. When
// the stream ends, mlgym-shim exits, and everything in the sandbox with it.
//
// The half inside is in server, the protocol in wire.
package shim

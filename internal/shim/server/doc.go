// Package server is the half of mlgym-shim that runs inside a sandbox, as its
// first process. It keeps a persistent bash, runs programs, serves files and
// tools, reaps orphans, ends whole trees of processes and bounds output.
//
// Control never travels in the output of what it runs: commands reach the
// shell through a file descriptor, their end is reported on another, and the
// commands that the outside answers (validate, submit) come over a socket.
package server

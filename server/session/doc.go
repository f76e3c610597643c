// Package session holds the episodes that a server serves: who may open one, what
// happens to it when its client vanishes, how long a client waits for a command,
// and the states that further episodes start from.
//
// It knows no protocol. The packages beside it translate OpenEnv, NeMo Gym and MCP
// into calls of a [Session].
//
// A session lives in a [Table] and has at most one episode at a time. Its actions
// run on the session's own time: a client that goes away in the middle of one
// finds it, or its result, when it comes back within the grace period.
package session

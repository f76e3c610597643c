// Package openenv speaks the OpenEnv 0.10 protocol (PyPI openenv 0.10.0, package
// openenv.core.env_server): episodes over a WebSocket, the same over HTTP, schemas,
// metadata, the tasks API, and MCP's two methods over JSON-RPC.
//
// What goes beyond the protocol keeps to its shapes, so that its unmodified client
// can use it: the options of a reset, the text that a command still runs, snapshots,
// and sessions that outlive a lost connection.
package openenv

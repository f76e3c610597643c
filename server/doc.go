// Package server is `mlgym serve`: one address at which every protocol is spoken.
// It joins the rooms beside it, keeps out whoever has no business here, and shuts
// down without losing what is under way.
//
//	session      the episodes, whatever the protocol
//	supply       what they are made of
//	openenv      OpenEnv 0.10
//	nemogym      NeMo Gym's resources server
//	mcp          the Model Context Protocol
//	httpsession  how requests name their session
package server

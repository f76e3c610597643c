// Package layer builds the Python environments of tasks. A layer is a virtual
// environment that was made once, from a lock file with hashes, by uv; it lies
// in the cache, and every sandbox that wants it mounts the same folder,
// read-only, at [Target].
//
// A layer is known by the digest of what it was made from: the lock, the Python,
// the platform, and how we build. So nobody has to say that it is out of date,
// and two machines with the same digest have installed the same files.
//
// Building is safe against everything that goes wrong on machines: two
// processes that want the same layer build it once, a build that is interrupted
// leaves nothing that is taken for a layer, and an error says what to do.
package layer

// Package environments holds the lock files of the Python environments that
// ship with mlgym, embedded in the program. Each folder beside this file is one
// environment; package layer builds them.
package environments

import "embed"

// Files has a folder for each environment, with its lock files.
//
//go:embed */requirements*.txt
var Files embed.FS

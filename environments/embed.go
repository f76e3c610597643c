// Package environments holds the lock files of the Python environments that
// ship with mlgym, embedded in the program. Each folder beside this file is one
// environment; package layer builds them.
package environments

import "embed"

// Files has a folder for each environment, with its lock files and the list of
// what is taken away from it.
//
//go:embed */requirements*.txt */remove.txt
var Files embed.FS

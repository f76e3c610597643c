// Package tasks holds the tasks that ship with mlgym, embedded in the program.
// Each folder beside this file is one task; its README.md tells a researcher
// about it.
package tasks

import "embed"

// Files are the task folders, without their tests.
//
//go:embed */task.yaml */*.md all:*/starter all:*/grader
var Files embed.FS

// Package supply makes the environments of a server's sessions: it knows the tasks
// and what each is given, keeps sandboxes ready, bounds how many gradings go on at
// once, and records episodes where that is wanted.
package supply

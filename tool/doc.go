// Package tool is the agent-computer interface: the commands that an agent may
// use beside an ordinary shell.
//
// Each tool is a .go file and the .md prose that the model reads. A tool can be
// called as a shell command (argv and standard input) or as a typed function
// call (a JSON object); both reach the same code. The code runs inside the
// sandbox, within mlgym-shim, with the rights of the agent and no more. The
// tools validate and submit are answered by the outside; this package only
// describes them.
package tool

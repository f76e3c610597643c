// Package tool is the agent-computer interface: the commands that an agent may
// use beside an ordinary shell.
//
// Each tool is a .go file and the .md prose that the model reads. A tool can be
// called as a shell command (argv and standard input) or as a typed function
// call (a JSON object); both reach the same code. The code runs inside the
// sandbox, within mlgym-shim, with the rights of the agent and no more. The
// tools validate and submit are answered by the outside; this package only
// describes them.
//
// # Contract
//
// [All] and [Find] describe the tools. [NewRunner] makes the one that runs
// them: it remembers the open file and where its window stands, so there is one
// per agent. Whatever an agent does wrong is answered in text with a non-zero
// exit code (1 refused, 2 called wrongly); there is no Go error. Every answer is
// bounded, ends with a line end, and is valid UTF-8: other bytes are shown as
// \xNN.
//
// [Rewrite] makes shell text out of an action in which edit and insert carry
// their text on the following lines.
//
// A [Linter] checks an edited Python file before it is written; [Ruff] is one.
// A [Jobs] keeps the background jobs of the tool job; the shim implements it.
package tool

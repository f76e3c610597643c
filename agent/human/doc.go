// Package human is a person at a terminal, or a script at the end of a pipe, in
// the place of an agent.
//
// Each observation is printed, and the next action is read: shell text, over
// several lines where bash or the text of an edit is not complete yet. Lines
// that begin with a colon are for the agent itself (":help" lists them). On a
// terminal there is line editing and a history.
package human

package report

import (
	"bytes"
	"slices"
)

// Group is a kind of action.
type Group uint8

// The groups of the published evaluation, and two that the corrected
// definition sets apart.
const (
	Edit Group = iota
	View
	Validate
	Submit
	Search
	Python
	Bash
	// Memory holds the memory and literature tools, Limit the pseudo-actions
	// that record how the agent loop ended an episode. Both are Bash in the
	// published definition.
	Memory
	Limit
	groupCount
)

var groupNames = [groupCount]string{"Edit", "View", "Validate", "Submit", "Search", "Python", "Bash", "Memory", "Limit"}

func (g Group) String() string { return groupNames[g] }

// groupWords are the commands of each group, in the order in which they are
// tried.
var groupWords = []struct {
	group Group
	words []string
}{
	{Edit, []string{"create", "edit", "insert"}},
	{View, []string{"open", "goto", "scroll_up", "scroll_down"}},
	{Validate, []string{"validate"}},
	{Submit, []string{"submit"}},
	{Search, []string{"search_dir", "search_file", "find_file"}},
	{Python, []string{"torchrun", "python", "python3", "accelerate", "deepspeed"}},
}

// groupOf sorts the name of a program; it reports false for one that belongs
// to no group.
func groupOf(word []byte) (Group, bool) {
	for _, g := range groupWords {
		if slices.Contains(g.words, string(word)) {
			return g.group, true
		}
	}
	switch string(word) {
	case "memory_read", "memory_write", "literature_search", "parse_pdf_url":
		return Memory, true
	case "exit_format", "exit_context", "exit_cost", "exit_api", "exit_error",
		"exit_forfeit", "exit_tokens", "exit_time", "skip":
		return Limit, true
	}
	return Bash, false
}

// GroupMLGym sorts an action as the published evaluation does: by plain prefix
// of the whole text, white space around it removed.
func GroupMLGym(action []byte) Group {
	action = trimSpace(action)
	for _, g := range groupWords {
		for _, w := range g.words {
			if len(action) >= len(w) && string(action[:len(w)]) == w {
				return g.group
			}
		}
	}
	return Bash
}

// GroupCorrected sorts an action by the first word of the first command that
// does something: comments, "cd …", "export …", leading assignments and
// launchers such as nohup are looked through.
func GroupCorrected(action []byte) Group {
	rest := trimSpace(action)
	for len(rest) > 0 {
		var command []byte
		command, rest = firstCommand(rest)
		word := firstWord(command)
		switch string(word) {
		case "", "cd", "export", "set", "source", ".":
			continue
		}
		group, _ := groupOf(word)
		return group
	}
	return Bash
}

// firstCommand cuts a text at the first end of a command outside quotes.
func firstCommand(text []byte) (command, rest []byte) {
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '#' && (i == 0 || isSpace(text[i-1])):
			end := bytes.IndexByte(text[i:], '\n')
			if end < 0 {
				return text[:i], nil
			}
			return text[:i], text[i+end+1:]
		case c == ';' || c == '\n' || c == '&' || c == '|':
			j := i + 1
			for j < len(text) && (text[j] == c || isSpace(text[j])) {
				j++
			}
			return text[:i], text[j:]
		}
	}
	return text, nil
}

// firstWord is the name of the program that a simple command starts.
func firstWord(command []byte) []byte {
	for {
		command = trimSpace(command)
		end := 0
		var quote byte
		for end < len(command) && (quote != 0 || !isSpace(command[end])) {
			switch c := command[end]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '\'' || c == '"':
				quote = c
			}
			end++
		}
		word := command[:end]
		if len(word) == 0 {
			return nil
		}
		if eq := bytes.IndexByte(word, '='); eq > 0 && isName(word[:eq]) {
			command = command[end:]
			continue
		}
		switch string(word) {
		case "nohup", "time", "env", "command", "exec", "nice", "(", "{", "!":
			command = command[end:]
			continue
		}
		// A path names the same program: /usr/bin/python3.
		return word[bytes.LastIndexByte(word, '/')+1:]
	}
}

func isName(word []byte) bool {
	for i, c := range word {
		switch {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return true
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'
}

// trimSpace removes what Python's str.strip removes from a text of these
// records: Unicode white space and the separators U+001C to U+001F.
func trimSpace(text []byte) []byte {
	return bytes.TrimFunc(text, isPythonSpace)
}

package tool

import (
	"context"
	"fmt"
	"path/filepath"
)

// maxMatches bounds the lines, and the files, that a search lists.
const maxMatches = 100

// maxMatchText is how much of a matching line is shown.
const maxMatchText = 400

func searchFileCommand() command {
	return command{
		name:  "search_file",
		usage: "search_file <search_term> [<file>]",
		params: []param{
			{name: "search_term", kind: textParam, required: true, doc: "a basic regular expression, as grep takes it"},
			{name: "path", kind: textParam, doc: "the file to search (default: the open file)"},
		},
		fromArgv: searchFromArgv("<file>"),
		run:      (*Session).searchFile,
	}
}

// searchFromArgv reads a term and a place.
func searchFromArgv(place string) func([]string, []byte) (arguments, string) {
	return func(argv []string, _ []byte) (arguments, string) {
		switch {
		case len(argv) == 0 || argv[0] == "":
			return nil, usageOnly
		case len(argv) > 2:
			return nil, fmt.Sprintf("at most a search term and a %s can be given; a term with a space in it needs quotes", place)
		}
		args := arguments{}
		args.setText("search_term", argv[0])
		if len(argv) == 2 {
			args.setText("path", argv[1])
		}
		return args, ""
	}
}

func (r *Session) searchFile(ctx context.Context, c call) Result {
	term := c.args.text("search_term")
	if term == "" {
		return usageError(c.cmd, usageOnly)
	}
	name := c.args.text("path")
	real := r.file
	if name != "" {
		var err error
		if real, err = filepath.EvalSymlinks(c.path(name)); err != nil {
			return usageError(c.cmd, fmt.Sprintf("File name %s not found. Please give the name of a file that exists.", clip(name)))
		}
	} else if real == "" {
		return refuse(noFile)
	} else {
		name = real
	}
	pattern, problem := compile(term)
	if problem != "" {
		return refuse("Error: %s", problem)
	}
	// A search streams, so its size is no bar.
	file, problem := openRegular(name, real, 1<<62)
	if problem != "" {
		return refuse("%s", problem)
	}
	defer file.Close()

	var list bounded
	matches := 0
	s := scanner{pattern: pattern}
	err := s.scan(ctx, file, func(number int, line []byte, at int) bool {
		if matches++; matches <= maxMatches {
			list.line(fmt.Sprintf("Line %d:%s", number, excerpt(line, at)))
		}
		return true
	})
	switch {
	case s.binary:
		return refuse("Error: %s is a binary file and was not searched.", shownPath(real))
	case err != nil && ctx.Err() != nil:
		return refuse("Error: the search of %s was stopped before its end; %d lines had matched.", shownPath(real), matches)
	case err != nil:
		return refuse("Error: %s could not be read: %s", shownPath(real), reason(err))
	case matches == 0:
		return answer(pattern.note + fmt.Sprintf("No matches found for %s in %s\n", quote(term), shownPath(real)))
	}
	list.omitted += max(0, matches-maxMatches)
	text := pattern.note + fmt.Sprintf("Found %d matches for %s in %s:\n", matches, quote(term), shownPath(real))
	if list.omitted > 0 {
		text += list.close("matching lines") + "Please narrow your search.\n"
	} else {
		text += list.close("")
	}
	return answer(text + fmt.Sprintf("End of matches for %s in %s\n", quote(term), shownPath(real)))
}

// excerpt shows the part of a line around a match.
func excerpt(line []byte, at int) string {
	if len(line) <= maxMatchText || at < maxMatchText/2 {
		return visible(line, maxMatchText)
	}
	from := at - maxMatchText/4
	for from < at && line[from]&0xc0 == 0x80 {
		from++
	}
	return "… " + visible(line[from:], maxMatchText)
}

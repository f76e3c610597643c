package tool

import (
	"context"
	"fmt"
	"io/fs"
	"sort"
)

func searchDirCommand() command {
	return command{
		name:  "search_dir",
		usage: "search_dir <search_term> [<dir>]",
		params: []param{
			{name: "search_term", kind: textParam, required: true, doc: "a basic regular expression, as grep takes it"},
			{name: "path", kind: textParam, doc: "the folder to search, with all below it (default: the working directory)"},
		},
		fromArgv: searchFromArgv("<dir>"),
		run:      (*Session).searchDir,
	}
}

func (r *Session) searchDir(ctx context.Context, c call) Result {
	term := c.args.text("search_term")
	if term == "" {
		return usageError(c.cmd, usageOnly)
	}
	root, problem := c.folder()
	if problem != "" {
		return refuse("%s", problem)
	}
	pattern, problem := compile(term)
	if problem != "" {
		return refuse("Error: %s", problem)
	}

	type match struct {
		path  string
		lines int
	}
	var (
		found []match
		files int
		total int
		s     = scanner{pattern: pattern}
	)
	unreadable, err := walk(ctx, root, false, func(path string, entry fs.DirEntry) {
		if !entry.Type().IsRegular() {
			return
		}
		lines, err := countMatches(ctx, &s, path)
		if err != nil && ctx.Err() == nil {
			files++ // one that could not be read
		}
		if lines > 0 {
			found = append(found, match{path, lines})
			total += lines
		}
	})
	sort.Slice(found, func(i, j int) bool { return found[i].path < found[j].path })
	notes := pattern.note
	if n := unreadable + files; n > 0 {
		notes += fmt.Sprintf("Note: %d files or directories could not be read.\n", n)
	}
	if err != nil {
		notes += "Note: the search was stopped before its end; give a smaller directory.\n"
	}
	place := shownPath(root)
	result := Result{}
	if err != nil {
		result.ExitCode = 1
	}
	switch {
	case len(found) == 0:
		result.Output = notes + fmt.Sprintf("No matches found for %s in %s\n", quote(term), place)
	case len(found) > maxMatches:
		result.Output = notes + fmt.Sprintf("More than %d files matched for %s in %s (%d files). Please narrow your search.\n", maxMatches, quote(term), place, len(found))
		result.ExitCode = 1
	default:
		var list bounded
		for _, m := range found {
			list.line(fmt.Sprintf("%s (%d matches)", shownPath(m.path), m.lines))
		}
		result.Output = notes + fmt.Sprintf("Found %d matches for %s in %s:\n", total, quote(term), place) +
			list.close("files") + fmt.Sprintf("End of matches for %s in %s\n", quote(term), place)
	}
	return result
}

// countMatches counts the matching lines of one file.
func countMatches(ctx context.Context, s *scanner, path string) (int, error) {
	file, problem := openRegular(path, path, 1<<62)
	if problem != "" {
		return 0, fs.ErrPermission
	}
	defer file.Close()
	lines := 0
	err := s.scan(ctx, file, func(int, []byte, int) bool { lines++; return true })
	return lines, err
}

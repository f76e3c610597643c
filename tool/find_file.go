package tool

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

func findFileCommand() command {
	return command{
		name:  "find_file",
		usage: "find_file <file_name> [<dir>]",
		params: []param{
			{name: "file_name", kind: textParam, required: true, doc: "the name to look for; * ? and [ab] stand for other characters, as in the shell"},
			{name: "path", kind: textParam, doc: "the folder to look in, with all below it (default: the working directory)"},
		},
		fromArgv: func(argv []string, _ []byte) (arguments, string) {
			switch {
			case len(argv) == 0 || argv[0] == "":
				return nil, usageOnly
			case len(argv) > 2:
				return nil, `at most a file name and a directory can be given; a name with * in it needs quotes: find_file "*.py"`
			}
			args := arguments{}
			args.setText("file_name", argv[0])
			if len(argv) == 2 {
				args.setText("path", argv[1])
			}
			return args, ""
		},
		run: (*Session).findFile,
	}
}

func (r *Session) findFile(ctx context.Context, c call) Result {
	name := c.args.text("file_name")
	if name == "" {
		return usageError(c.cmd, usageOnly)
	}
	if len(name) > maxPattern {
		return refuse("Error: the name is longer than %d bytes", maxPattern)
	}
	root, problem := c.folder()
	if problem != "" {
		return refuse("%s", problem)
	}
	matches := nameMatcher(name)
	var found []string
	total := 0
	unreadable, err := walk(ctx, root, true, func(file string, entry fs.DirEntry) {
		if !isFile(file, entry) || !matches(strings.TrimPrefix(file, root)) {
			return
		}
		// The walk is in the order of each folder's names; more than enough
		// for the first of all paths are kept.
		if total++; total <= 10*maxMatches {
			found = append(found, file)
		}
	})
	sort.Strings(found)
	notes := ""
	if unreadable > 0 {
		notes += fmt.Sprintf("Note: %d directories could not be read.\n", unreadable)
	}
	result := Result{}
	if err != nil {
		notes += "Note: the search was stopped before its end; give a smaller directory.\n"
		result.ExitCode = 1
	}
	if total == 0 {
		result.Output = notes + fmt.Sprintf("No matches found for %s in %s\n", quote(name), shownPath(root))
		return result
	}
	var list bounded
	for _, file := range found[:min(len(found), maxMatches)] {
		list.line(shownPath(file))
	}
	list.omitted += max(0, total-maxMatches)
	result.Output = notes + fmt.Sprintf("Found %d matches for %s in %s:\n", total, quote(name), shownPath(root)) + list.close("files")
	return result
}

// isFile reports whether an entry is a file, or a link to one.
func isFile(path string, entry fs.DirEntry) bool {
	if entry.Type().IsRegular() {
		return true
	}
	if entry.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// nameMatcher matches paths by a pattern of the shell. A pattern with slashes
// in it is compared with as many of the last parts of the path. A pattern that
// is none, such as "a[", is a plain name.
func nameMatcher(name string) func(file string) bool {
	name = strings.TrimPrefix(filepath.ToSlash(name), "./")
	glob := strings.ReplaceAll(name, "[!", "[^")
	_, err := path.Match(glob, "")
	parts := strings.Count(name, "/") + 1
	return func(file string) bool {
		end := len(file)
		for range parts {
			end = strings.LastIndexByte(file[:max(0, end)], '/')
		}
		last := file[end+1:]
		if err != nil {
			return last == name
		}
		ok, _ := path.Match(glob, last)
		return ok
	}
}

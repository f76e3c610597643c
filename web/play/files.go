package play

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the editor does is done by commands of the episode, which are recorded and
// replayed as those that a person types. These are their texts.

// mostEditBytes bounds a file in the editor: what one observation can hold, with room
// for what stands before it.
const mostEditBytes = 60_000

// mostFiles bounds the list of files.
const mostFiles = 500

// quoted writes a word for the shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// fileName checks the name of a file below the workspace, and makes it plain.
func fileName(name string) (string, error) {
	switch {
	case strings.TrimSpace(name) == "":
		return "", errors.New("name a file of the workspace")
	case len(name) > 400:
		return "", errors.New("the name of the file is too long")
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }):
		return "", errors.New("the editor takes no file whose name has such characters; use commands")
	}
	clean := path.Clean("/" + name)[1:]
	if path.IsAbs(name) || clean == "" || clean != path.Clean(name) {
		return "", errors.New("the editor opens files below the workspace; use commands for others")
	}
	return clean, nil
}

// listCommand lists the files of a workspace, without the data and what is hidden.
func listCommand(workspace string) string {
	w := quoted(workspace)
	return fmt.Sprintf("find %s -path %s -prune -o -type f -not -path '*/.*' -not -path '*/__pycache__/*' -exec wc -c {} + | head -n %d",
		w, quoted(path.Join(workspace, "data")), mostFiles+1)
}

// file is one of the workspace.
type file struct {
	Name  string
	Bytes int64 // −1 where it is not known
}

// readList reads what the command printed. Cut says that there are more.
func readList(workspace, printed string) (files []file, cut bool) {
	lines := 0
	for line := range strings.Lines(printed) {
		lines++
		number, name, ok := strings.Cut(strings.TrimLeft(strings.TrimRight(line, "\n"), " "), " ")
		size, err := strconv.ParseInt(number, 10, 64)
		name, below := strings.CutPrefix(name, strings.TrimSuffix(workspace, "/")+"/")
		if !ok || err != nil || !below || size < 0 {
			continue // a total, or the rest of a name of several lines
		}
		if _, err := fileName(name); err == nil {
			files = append(files, file{name, size})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.Name, b.Name) })
	return files, lines > mostFiles
}

// openCommand prints the digest of a file, and the file: as it is where an observation
// shows it so, else (with control characters, or line ends of two) in base64.
func openCommand(workspace, name string) string {
	at := quoted(path.Join(workspace, name))
	return "sha256sum < " + at + " && if [ \"$(LC_ALL=C tr -d '\\t\\n -~\\200-\\377' < " + at + " | wc -c)\" -eq 0 ]; then cat " + at + "; else base64 " + at + "; fi"
}

var (
	errUnreadable = errors.New("the file could not be read; the terminal says why")
	errNotWhole   = fmt.Errorf("the file is longer than one observation holds (about %d kB), or no text. Use commands, such as open and edit", mostEditBytes/1000)
	errLineEnds   = errors.New("the file mixes kinds of line ends, which an editor in a browser would change. Use commands")
)

// readOpened takes the file out of what the command printed, and makes sure that it is
// byte for byte the file.
func readOpened(printed string) (text string, crlf bool, err error) {
	first, text, ok := strings.Cut(printed, "\n")
	digest, _, _ := strings.Cut(first, " ")
	if !ok || len(digest) != 2*sha256.Size {
		return "", false, errUnreadable
	}
	if digest != digestOf(text) {
		decoded, err := base64.StdEncoding.DecodeString(text) // passes over line ends
		if text = string(decoded); err != nil || digest != digestOf(text) {
			return "", false, errNotWhole
		}
	}
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return "", false, errNotWhole
	}
	if !strings.Contains(text, "\r") {
		return text, false, nil
	}
	plain := strings.ReplaceAll(text, "\r\n", "\n")
	if strings.Contains(plain, "\r") || strings.ReplaceAll(plain, "\n", "\r\n") != text {
		return "", false, errLineEnds
	}
	return plain, true, nil
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// fromForm undoes what browsers do to line ends in forms, and gives the text those of
// its file.
func fromForm(text string, crlf bool) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	if crlf {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// saveCommand writes a file, byte for byte, and prints its digest.
func saveCommand(workspace, name, text string) (string, error) {
	switch {
	case len(text) > mostEditBytes:
		return "", fmt.Errorf("the editor saves at most %d bytes, and these are %d", mostEditBytes, len(text))
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return "", errors.New("the editor saves text only")
	}
	at := quoted(path.Join(workspace, name))
	check := " && sha256sum < " + at + "\n"
	if text == "" {
		return ": >| " + at + check, nil
	}
	// A here-document ends with a line end; where the file does not, its bytes are
	// counted.
	write := "cat >| "
	body := text
	if !strings.HasSuffix(text, "\n") {
		write = fmt.Sprintf("head -c %d >| ", len(text))
		body += "\n"
	}
	end := delimiter(body)
	return write + at + " <<'" + end + "'" + check + body + end + "\n", nil
}

// delimiter is a line that a text does not have.
func delimiter(body string) string {
	lines := map[string]bool{}
	for line := range strings.Lines(body) {
		lines[strings.TrimRight(line, "\r\n")] = true
	}
	end := "END_OF_FILE"
	for n := 2; lines[end]; n++ {
		end = "END_OF_FILE_" + strconv.Itoa(n)
	}
	return end
}

// exactly is a text as the content of a textarea which a browser takes as it is. Pages
// show the characters that turn the direction of writing by their names; here, where
// the text comes back, they stand as references.
func exactly(text string) template.HTML {
	var out strings.Builder
	for _, r := range template.HTMLEscapeString(text) {
		if unicode.Is(unicode.Bidi_Control, r) {
			fmt.Fprintf(&out, "&#x%x;", r)
		} else {
			out.WriteRune(r)
		}
	}
	return template.HTML(out.String()) //nolint:gosec // escaped above
}

// readSaved reports whether the file that was written is the text.
func readSaved(printed, text string) bool {
	digest, _, _ := strings.Cut(printed, " ")
	return digest == digestOf(text)
}

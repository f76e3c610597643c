package taskimport

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mlgym/sandbox"
)

// dockerLine is one instruction of a Dockerfile.
type dockerLine struct {
	number  int // of its first line
	command string
	words   []string // without flags such as --chown
	flags   []string
	rest    string
}

// parseDockerfile splits a Dockerfile into its instructions. Lines that end in a
// backslash go on; comments within them are left out.
func parseDockerfile(text string) []dockerLine {
	var found []dockerLine
	current, start := "", 0
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	end := "" // of a here-document
	for i, line := range lines {
		if end != "" {
			if strings.TrimSpace(line) == end {
				end = ""
			}
			continue
		}
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") || trimmed == "" {
			continue
		}
		if current == "" {
			start = i + 1
		}
		more := strings.HasSuffix(trimmed, `\`)
		current += strings.TrimSuffix(trimmed, `\`) + " "
		if more && i < len(lines)-1 {
			continue
		}
		if m := regexp.MustCompile(`<<-?"?'?([A-Za-z_]+)`).FindStringSubmatch(current); m != nil {
			end = m[1]
		}
		if l, ok := parseDockerLine(start, current); ok {
			found = append(found, l)
		}
		current = ""
	}
	return found
}

func parseDockerLine(number int, text string) (dockerLine, bool) {
	command, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	l := dockerLine{number: number, command: strings.ToUpper(command), rest: strings.TrimSpace(rest)}
	words := strings.Fields(l.rest)
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		l.flags, words = append(l.flags, words[0]), words[1:]
	}
	if list := strings.Join(words, " "); strings.HasPrefix(list, "[") {
		var parsed []string
		if json.Unmarshal([]byte(list), &parsed) == nil {
			words = parsed
		}
	}
	l.words = words
	return l, l.command != ""
}

// docker carries over what of a Dockerfile has a place here: files that are
// copied, the working folder, variables. The rest is told.
func (h *harborImport) docker(lines []dockerLine) error {
	at := "/"
	copied := map[string]bool{}
	for _, l := range lines {
		key := fmt.Sprintf("environment/Dockerfile:%d", l.number)
		switch l.command {
		case "FROM":
			if h.image == "" && len(l.words) > 0 {
				h.report.add(Changed, key, "FROM %s: the system of the sandbox is seen instead; give a run an image with --sandbox oci --root IMAGE", l.words[0])
			}
		case "WORKDIR":
			if len(l.words) == 1 {
				if path.IsAbs(l.words[0]) {
					at = path.Clean(l.words[0])
				} else {
					at = path.Join(at, l.words[0])
				}
			}
		case "ENV":
			h.dockerEnv(key, l)
		case "COPY", "ADD":
			if err := h.dockerCopy(key, at, l, copied); err != nil {
				return err
			}
		case "RUN":
			why := "no image is built"
			if m := regexp.MustCompile(`pip3?\s+install\s+([^&|;]+)`).FindStringSubmatch(l.rest); m != nil {
				why = fmt.Sprintf("install %s into an environment of the task (docs/guide/write-a-task.md), or name one with --environment", strings.TrimSpace(m[1]))
			} else if strings.Contains(l.rest, "apt") {
				why = "packages of the system are those of the sandbox; an image that has them can be given with --sandbox oci --root IMAGE"
			}
			h.report.add(Left, key, "RUN %s: %s", short(l.rest), why)
		default:
			h.report.add(Left, key, "%s %s: no image is built", l.command, short(l.rest))
		}
	}
	if h.dir.has("environment") {
		files, err := h.dir.files("environment")
		if err != nil {
			return err
		}
		var rest []string
		for _, name := range sorted(files) {
			if !copied[name] && name != "Dockerfile" && name != "docker-compose.yaml" {
				rest = append(rest, name)
			}
		}
		if len(rest) > 0 {
			h.report.add(Left, "environment", "%s: no COPY brings it to the agent", strings.Join(rest[:min(len(rest), 8)], ", "))
		}
	}
	return nil
}

func short(text string) string {
	const most = 80
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func (h *harborImport) dockerEnv(key string, l dockerLine) {
	env := map[string]string{}
	if len(l.words) >= 2 && !strings.Contains(l.words[0], "=") {
		env[l.words[0]] = strings.Join(l.words[1:], " ")
	} else {
		for _, m := range regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)=("([^"]*)"|\S*)`).FindAllStringSubmatch(l.rest, -1) {
			env[m[1]] = m[2]
			if strings.HasPrefix(m[2], `"`) {
				env[m[1]] = m[3]
			}
		}
	}
	for name, value := range env {
		if strings.Contains(value, "$") {
			h.report.add(Left, key, "ENV %s: its value %s names another variable", name, value)
			delete(env, name)
		}
	}
	for name, value := range h.resolve(key, env) {
		if _, set := h.spec.env[name]; !set {
			h.spec.env[name] = value
		}
	}
}

// dockerCopy makes starter files of what is copied into an image.
func (h *harborImport) dockerCopy(key, at string, l dockerLine, copied map[string]bool) error {
	what := l.command + " " + short(l.rest)
	if len(l.words) < 2 || strings.Contains(l.rest, "<<") || strings.Contains(l.rest, "$") ||
		slices.ContainsFunc(l.flags, func(f string) bool { return strings.HasPrefix(f, "--from") }) {
		h.report.add(Left, key, "%s: only files of environment/ by their names are carried over", what)
		return nil
	}
	sources, to := l.words[:len(l.words)-1], l.words[len(l.words)-1]
	target := to
	if !path.IsAbs(target) {
		target = path.Join(at, target)
	}
	target = path.Clean(target)
	context, err := h.dir.files("environment")
	if err != nil {
		return err
	}
	total, kept := 0, 0
	for _, pattern := range sources {
		n, placed, err := h.copyPattern(key, strings.TrimPrefix(pattern, "/"), target, strings.HasSuffix(to, "/") || len(sources) > 1 || target == path.Clean(at), context, copied)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s: %s: there is no %s in %s/environment", key, what, pattern, h.name)
		}
		total += n
		kept += placed
	}
	if kept > 0 {
		h.report.add(Changed, key, "%s: %d of %d files are in the starter", what, kept, total)
	}
	return nil
}

// copyPattern places what one source of a COPY names, and returns how many files
// it names, and how many of them have a place.
func (h *harborImport) copyPattern(key, pattern, target string, intoFolder bool, context map[string]given, copied map[string]bool) (n, placed int, err error) {
	pattern = path.Clean(pattern)
	if pattern == ".." || strings.HasPrefix(pattern, "../") {
		return 0, 0, fmt.Errorf("%s: %q leads out of environment/", key, pattern)
	}
	for _, name := range sorted(context) {
		var place string
		rel, below := strings.CutPrefix(name, pattern+"/")
		matched, err := path.Match(pattern, name)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %q: %w", key, pattern, err)
		}
		switch {
		case pattern == ".":
			if name == "Dockerfile" || name == "docker-compose.yaml" {
				continue
			}
			place = path.Join(target, name)
		case below:
			place = path.Join(target, rel)
		case matched && (intoFolder || strings.ContainsAny(pattern, "*?[")):
			place = path.Join(target, path.Base(name))
		case matched:
			place = target
		default:
			continue
		}
		n++
		copied[name] = true
		if h.placeStarter(key, place, context[name]) {
			placed++
		}
	}
	return n, placed, nil
}

// placeStarter puts a file of the image into the workspace; a folder beside the
// working folder gets a link. It reports whether the file has a place.
func (h *harborImport) placeStarter(key, place string, g given) bool {
	rel, inside := strings.CutPrefix(place, h.workdir+"/")
	if !inside {
		top, rest, deep := strings.Cut(strings.TrimPrefix(place, "/"), "/")
		if !deep {
			h.report.add(Left, key, "%s lies in the root, which is read-only", place)
			return false
		}
		link := "/" + top
		if sandbox.CheckLink(link, sandbox.WorkDir+"/"+top) != nil || strings.HasPrefix(h.workdir, link+"/") {
			h.report.add(Left, key, "%s belongs to the system, or lies beside the working folder: it is not in the sandbox", place)
			return false
		}
		if h.spec.links[link] == "" {
			h.link(&h.spec.links, link, sandbox.WorkDir+"/"+top)
			h.report.add(Changed, link, "a link to %s in the workspace", top)
		}
		rel = path.Join(top, rest)
	}
	for part := range strings.SplitSeq(rel, "/") {
		if strings.HasPrefix(part, ".") {
			h.report.add(Left, key, "%s is hidden (a name begins with a dot), and the starter has no such files", rel)
			return false
		}
	}
	h.tree.file("starter/"+rel, g)
	return true
}

package demo

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// statement is what the agent understands of the task's text.
type statement struct {
	text string
	// metric is "" where the text does not say which metric counts.
	metric   string
	maximize bool
	// files that have to be handed in, where the text names them.
	files []string
}

var (
	metricLine     = regexp.MustCompile(`(?m)^Metric: (.+) \((maximize|minimize)\)\s*$`)
	submissionLine = regexp.MustCompile(`(?m)^Submission: (.+)$`)
	scoreLine      = regexp.MustCompile(`(?m)^Evaluation Score: (\{.*\})\s*$`)
	headerLine     = regexp.MustCompile(`(?m)^\[File: .* \((\d+) lines total\)\]`)
	functionLine   = regexp.MustCompile(`(?m)^(?:([^:\s]+\.py):)?\d+:def ([A-Za-z_]\w*)\(`)
)

func readStatement(text string) statement {
	s := statement{text: text}
	if m := metricLine.FindStringSubmatch(text); m != nil {
		s.metric, s.maximize = m[1], m[2] == "maximize"
	}
	if m := submissionLine.FindStringSubmatch(text); m != nil {
		for file := range strings.SplitSeq(m[1], ",") {
			s.files = append(s.files, strings.TrimSpace(file))
		}
	}
	return s
}

func (s statement) better(a, b float64) bool {
	if s.maximize {
		return a > b
	}
	return a < b
}

// readScore returns the metric from the answer to validate, nil where it has no
// score.
func readScore(text, metric string) *float64 {
	m := scoreLine.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	var scores map[string]*float64
	if err := json.Unmarshal([]byte(m[1]), &scores); err != nil {
		return nil
	}
	return scores[metric]
}

// place is the function that has to be written, and its file.
type place struct{ file, function string }

// findPlace reads "file:line:def name(" rows. A file that has to be handed in is
// preferred; other files may hold a function of the same name.
func findPlace(text string, submission []string) place {
	var found place
	for _, m := range functionLine.FindAllStringSubmatch(text, -1) {
		p := place{file: m[1], function: m[2]}
		if p.file == "" && len(submission) == 1 {
			// grep names no file where there is only one.
			p.file = submission[0]
		}
		if !knows(p.function) || p.file == "" || strings.ContainsAny(p.file, "'\"$`\\&;|<>()*?") {
			continue
		}
		if slices.Contains(submission, p.file) {
			return p
		}
		if found.function == "" && len(submission) == 0 {
			found = p
		}
	}
	return found
}

// totalLines reads the head of a listing; 0 where there is none.
func totalLines(text string) int {
	m := headerLine.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

var spelled = map[string]int{
	"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}

// count finds the number that stands before one of the nouns, given as a
// regular expression.
func count(text, nouns string) int {
	m := regexp.MustCompile(`(?i)\b(\d{1,6}|` + strings.Join(keys(spelled), "|") + `)\s+(?:` + nouns + `)\b`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	word := strings.ToLower(m[1])
	if n, ok := spelled[word]; ok {
		return n
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0
	}
	return n
}

func keys(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

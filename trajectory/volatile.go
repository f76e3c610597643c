package trajectory

import "regexp"

// volatileRule replaces what varies from one execution to the next without
// meaning anything.
type volatileRule struct {
	pattern *regexp.Regexp
	with    string
}

// volatileRules are applied in order; docs/format/trajectory.md lists them.
// Bare numbers are left alone: they may be scores.
var volatileRules = []volatileRule{
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\b0x[0-9a-fA-F]{6,16}\b`), "<address>"},
	{regexp.MustCompile(`/tmp/[^\s/'"` + "`" + `:;,()<>]+`), "/tmp/<name>"},
	{regexp.MustCompile(`/proc/\d+`), "/proc/<pid>"},
	{regexp.MustCompile(`(?i)\b(pid|process)(\s*[=:#]?\s*)\d+\b`), "$1$2<pid>"},
	{regexp.MustCompile(`(?m)^(\[\d+\][+-]?\s+)\d+\b`), "$1<pid>"},
	{regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?`), "<time>"},
	{regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`), "<time>"},
	{regexp.MustCompile(`\b((Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +(\d{4}\b|\d{1,2}:\d{2}(:\d{2})?)`), "<time>"},
	{regexp.MustCompile(`\b\d{1,2}:\d{2}(:\d{2})?([.,]\d+)?\b`), "<time>"},
	{regexp.MustCompile(`\b\d+(\.\d+)?\s?[A-Za-z]+/s(ec)?\b`), "<rate>"},
	{regexp.MustCompile(`\b\d+(\.\d+)?\s?s/(it|step|batch|epoch|iter)\b`), "<rate>"},
	{regexp.MustCompile(`\b(\d+h ?)?\d+m ?\d+(\.\d+)?s\b`), "<duration>"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(e-\d+)?\s?(ns|us|µs|μs|ms|s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?)\b`), "<duration>"},
}

// MaskVolatile replaces the parts of an output that vary by nature: points in
// time, durations, rates, process numbers, addresses, and names below /tmp.
func MaskVolatile(text string) string {
	for _, rule := range volatileRules {
		text = rule.pattern.ReplaceAllString(text, rule.with)
	}
	return text
}

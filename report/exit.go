package report

import (
	"strings"
	"unicode"
)

func isPythonSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

// Categories of the ends of runs that have a meaning of their own here.
const (
	Success  = "Success"
	MaxSteps = "Max Steps"
	API      = "API"
	Runtime  = "Runtime"
)

// exitCategories maps the recorded ends of runs to one or two categories. An
// end that is not listed is a category of its own.
var exitCategories = map[string][]string{
	"submitted":                                                            {Success},
	"autosubmission (max_steps)":                                           {MaxSteps},
	"autosubmission (exit_context)":                                        {"Context"},
	"autosubmission (exit_cost)":                                           {"Cost"},
	"autosubmission (exit_format)":                                         {"Format"},
	"autosubmission (exit_api)":                                            {API},
	"submission_not_found (exit_format)":                                   {"Evaluation", "Format"},
	"submission_not_found (exit_context)":                                  {"Evaluation", "Context"},
	"submission_not_found (max_steps)":                                     {"Evaluation"},
	"submission_not_found (submit)":                                        {"Evaluation"},
	"evaluation_format_error (exit_format)":                                {"Evaluation", "Format"},
	"evaluation_format_error (exit_cost)":                                  {"Evaluation", "Cost"},
	"evaluation_format_error (exit_context)":                               {"Evaluation", "Context"},
	"evaluation_format_error (submit)":                                     {"Evaluation", "Submit"},
	"evaluation_format_error (max_steps)":                                  {"Evaluation"},
	"unknown_error (validate)":                                             {"Evaluation"},
	"unknown_error (open \"data/train.csv\" 0)":                            {"Permission"},
	"unknown_error (ls -R data/)":                                          {Runtime},
	"unknown_error (ls data/train/)":                                       {Runtime},
	"unknown_error (torchrun --nproc_per_node=2 --standalone baseline.py)": {Runtime},
	"unknown_error (torchrun --nproc_per_node=1 --standalone baseline.py)": {Runtime},
	"unknown_error (python train.py)":                                      {Runtime},
	"unknown_error (python baseline.py)":                                   {Runtime},
	"unknown_error (python evaluate.py)":                                   {Runtime},
	"early_exit":                                                           {Runtime},
}

// correctedCategories adds the ends that the published map forgets.
var correctedCategories = map[string][]string{
	"submission_not_found (exit_cost)":   {"Evaluation", "Cost"},
	"submission_not_found (exit_api)":    {"Evaluation", API},
	"evaluation_format_error (exit_api)": {"Evaluation", API},
	"autosubmission (exit_error)":        {Runtime},
	"autosubmission (exit_tokens)":       {"Cost"},
	"autosubmission (exit_time)":         {"Time"},
	"exit_forfeit":                       {"Forfeit"},
	"skipped":                            {"Skipped"},
}

const unknownError = "unknown_error"

// ExitKey is the recorded end of a run, or, where that is the empty text, what
// the run did last. status is nil where none is recorded.
func ExitKey(status *string, lastAction *string) string {
	switch {
	case status == nil:
		return unknownError
	case *status != "":
		return *status
	case lastAction == nil:
		return unknownError + " (unknown)"
	}
	return unknownError + " (" + strings.TrimFunc(*lastAction, isPythonSpace) + ")"
}

// ExitCategories are the categories of an end, one or two.
func ExitCategories(key string, d Definition) []string {
	if c, ok := exitCategories[key]; ok {
		return c
	}
	if d == Corrected {
		if c, ok := correctedCategories[key]; ok {
			return c
		}
		if key == unknownError || strings.HasPrefix(key, unknownError+" (") {
			return []string{Runtime}
		}
	}
	return []string{key}
}

// hidden are the categories that the figure of terminations leaves out.
func hidden(category string) bool {
	return category == Success || category == MaxSteps || category == API
}

// ranToItsEnd reports whether a run with this key ended in an evaluated
// submission: its last evaluation is then the submission.
func ranToItsEnd(key string) bool {
	return key == "submitted" || strings.HasPrefix(key, "autosubmission")
}

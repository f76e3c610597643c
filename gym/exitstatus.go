package gym

import (
	"fmt"
	"slices"
	"strings"
)

// Outcome is how an episode ended, seen from the task.
type Outcome string

// The outcomes. The words are those of MLGym's records, so that runs of both
// systems can be counted together.
const (
	// Submitted: the agent submitted and the submission has a score.
	Submitted Outcome = "submitted"
	// Autosubmission: something outside the task ended the episode, and what
	// was in the workspace was graded and has a score.
	Autosubmission Outcome = "autosubmission"
	// SubmissionNotFound: at the end there was nothing to grade.
	SubmissionNotFound Outcome = "submission_not_found"
	// EvaluationFormatError: at the end there was something to grade, and it
	// could not be scored.
	EvaluationFormatError Outcome = "evaluation_format_error"
	// Forfeit: the agent gave up; nothing was graded.
	Forfeit Outcome = "exit_forfeit"
	// Skipped: the episode was passed over; nothing was graded.
	Skipped Outcome = "skipped"
	// EarlyExit: the sandbox was lost.
	EarlyExit Outcome = "early_exit"
	// UnknownError: a fault of ours ended the episode.
	UnknownError Outcome = "unknown_error"
)

// Cause is what made an episode end.
type Cause string

// The causes. CauseTokens and CauseTime have no counterpart in MLGym.
const (
	CauseSubmit  Cause = "submit"
	CauseSteps   Cause = "max_steps"
	CauseContext Cause = "exit_context"
	CauseCost    Cause = "exit_cost"
	CauseError   Cause = "exit_error"
	CauseFormat  Cause = "exit_format"
	CauseAPI     Cause = "exit_api"
	CauseTokens  Cause = "exit_tokens"
	CauseTime    Cause = "exit_time"
)

var causes = []Cause{
	CauseSubmit, CauseSteps, CauseContext, CauseCost, CauseError,
	CauseFormat, CauseAPI, CauseTokens, CauseTime,
}

// ExitStatus says how and why an episode ended. The zero value means that it
// has not. It is written as MLGym writes it: "submitted",
// "autosubmission (max_steps)", "submission_not_found (submit)" …
type ExitStatus struct {
	Outcome Outcome
	// Cause is "" for the outcomes that need none: Submitted, Forfeit,
	// Skipped, EarlyExit.
	Cause Cause
}

// EndedBy makes the status of an episode that ended for the given cause with
// the given final evaluation.
func EndedBy(cause Cause, final Evaluation) ExitStatus {
	switch final.Problem {
	case NotFound:
		return ExitStatus{SubmissionNotFound, cause}
	case Invalid:
		return ExitStatus{EvaluationFormatError, cause}
	case Scored:
	}
	if cause == CauseSubmit {
		return ExitStatus{Outcome: Submitted}
	}
	return ExitStatus{Autosubmission, cause}
}

// IsZero reports whether the episode has not ended.
func (s ExitStatus) IsZero() bool { return s == ExitStatus{} }

// Scored reports whether an episode that ended so has a final score.
func (s ExitStatus) Scored() bool {
	return s.Outcome == Submitted || s.Outcome == Autosubmission
}

func (s ExitStatus) String() string {
	if s.Cause == "" {
		return string(s.Outcome)
	}
	return fmt.Sprintf("%s (%s)", s.Outcome, s.Cause)
}

// MarshalText implements [encoding.TextMarshaler].
func (s ExitStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it accepts what String
// returns and nothing else.
func (s *ExitStatus) UnmarshalText(text []byte) error {
	got, err := ParseExitStatus(string(text))
	if err != nil {
		return err
	}
	*s = got
	return nil
}

// ParseExitStatus reads what [ExitStatus.String] wrote.
func ParseExitStatus(text string) (ExitStatus, error) {
	name, rest, hasCause := strings.Cut(text, " (")
	status := ExitStatus{Outcome: Outcome(name)}
	if hasCause {
		cause, ok := strings.CutSuffix(rest, ")")
		if !ok || !known(Cause(cause)) {
			return ExitStatus{}, fmt.Errorf("exit status %q: unknown cause", text)
		}
		status.Cause = Cause(cause)
	}
	switch status.Outcome {
	case Submitted, Forfeit, Skipped, EarlyExit:
		if !hasCause {
			return status, nil
		}
	case Autosubmission, SubmissionNotFound, EvaluationFormatError:
		if hasCause {
			return status, nil
		}
	case UnknownError:
		return status, nil
	case "":
		if text == "" {
			return ExitStatus{}, nil
		}
	}
	return ExitStatus{}, fmt.Errorf("exit status %q is not known", text)
}

func known(c Cause) bool {
	return slices.Contains(causes, c)
}

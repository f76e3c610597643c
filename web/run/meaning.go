package run

import (
	"strings"

	"mlgym/gym"
)

// outcomes says in words what each outcome means, the cause apart.
var outcomes = map[gym.Outcome]string{
	gym.Submitted:             "The agent submitted its work, which was graded.",
	gym.Autosubmission:        "The episode was ended from outside, and what lay in the workspace was graded as if it had been submitted.",
	gym.SubmissionNotFound:    "At the end there was nothing to grade: a declared file was missing.",
	gym.EvaluationFormatError: "At the end there was something to grade, but it could not be scored.",
	gym.Forfeit:               "The agent gave up; nothing was graded.",
	gym.Skipped:               "The episode was passed over; nothing was graded.",
	gym.EarlyExit:             "The sandbox was lost; the run can be resumed.",
	gym.UnknownError:          "A fault outside the agent's work ended the episode.",
}

// causes says in words what made an episode end.
var causes = map[gym.Cause]string{
	gym.CauseSubmit:  "The agent asked for it.",
	gym.CauseSteps:   "The limit of steps was reached.",
	gym.CauseContext: "The conversation did not fit into the model's context any more.",
	gym.CauseCost:    "The limit of cost was reached.",
	gym.CauseError:   "The agent could not go on because of an error.",
	gym.CauseFormat:  "The model kept answering in a format that could not be read.",
	gym.CauseAPI:     "The model's server stopped answering.",
	gym.CauseTokens:  "The limit of tokens was reached.",
	gym.CauseTime:    "The limit of time was reached.",
}

// meaning says what an exit status as it is recorded means, "" where it says nothing.
func meaning(status string) string {
	s, err := gym.ParseExitStatus(status)
	if err != nil {
		return "This exit status is not one that mlgym knows."
	}
	return strings.TrimSpace(outcomes[s.Outcome] + " " + causes[s.Cause])
}

// statusClass is how an exit status is shown.
func statusClass(status string) string {
	s, err := gym.ParseExitStatus(status)
	switch {
	case err != nil:
		return "bad"
	case s.IsZero():
		return ""
	case s.Outcome == gym.Submitted:
		return "good"
	case s.Outcome == gym.Autosubmission:
		return "warn"
	default:
		return "bad"
	}
}

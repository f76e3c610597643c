package taskenv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// maxValidations bounds the validations of one step. No deadline of an action
// counts the time that the outside takes, so that a loop around validate would
// hold up the episode for as long as it liked, and fill the disk with its logs.
const maxValidations = 10

// onCall answers validate and submit, called from inside the sandbox or as
// typed tools.
func (e *Env) onCall(ctx context.Context, call sandbox.Call) sandbox.Reply {
	kind := gym.Kind(call.Name)
	if kind != gym.Validate && kind != gym.Submit {
		return sandbox.Reply{Output: call.Name + " is not available here\n", ExitCode: 127}
	}
	if len(call.Argv) > 0 {
		return sandbox.Reply{Output: fmt.Sprintf("Usage: %s (it takes no arguments)\n", call.Name), ExitCode: 2}
	}
	e.calls.mu.Lock()
	defer e.calls.mu.Unlock()
	if e.calls.submitted {
		return sandbox.Reply{Output: "The episode is over: the submission was made.\n", ExitCode: 1, EndScript: true}
	}
	if e.calls.fault != nil {
		return sandbox.Reply{Output: "Grading is not possible at the moment.\n", ExitCode: 1, EndScript: true}
	}
	if kind == gym.Validate {
		if e.calls.validated == maxValidations {
			return sandbox.Reply{Output: fmt.Sprintf(
				"validate was called %d times in this step already: go on in the next one.\n", maxValidations), ExitCode: 1}
		}
		e.calls.validated++
	}
	evaluation, err := e.evaluate(ctx, kind)
	if err != nil {
		e.calls.fault = fmt.Errorf("%s: %w", kind, err)
		return sandbox.Reply{Output: "Grading failed for a reason that is not yours.\n", ExitCode: 1, EndScript: true}
	}
	e.calls.made = append(e.calls.made, evaluation)
	e.calls.submitted = kind == gym.Submit
	reply := sandbox.Reply{Output: e.report(evaluation), EndScript: e.calls.submitted}
	if evaluation.Problem != gym.Scored {
		reply.ExitCode = 1
	}
	return reply
}

// evaluate grades what is in the workspace now. The caller holds calls.mu.
func (e *Env) evaluate(ctx context.Context, kind gym.Kind) (gym.Evaluation, error) {
	e.mu.Lock()
	box := e.box
	e.mu.Unlock()
	if box == nil {
		return gym.Evaluation{}, errClosed
	}
	e.calls.attempts++
	req := grader.Request{
		Task: e.cfg.Task, Submission: box.Files(), Kind: kind, Mode: e.cfg.Mode, Variant: e.cfg.Variant,
		Key: e.cfg.Key(e.calls.seed), Attempt: e.calls.attempts, Provisions: e.cfg.Provisions,
	}
	if e.cfg.Keep != nil {
		req.LogDir, req.Collected = e.cfg.Keep(kind, e.calls.attempts)
	}
	evaluation, err := e.cfg.Grader.Grade(ctx, req)
	if err != nil {
		return evaluation, err
	}
	evaluation.Step = e.calls.step
	return evaluation, nil
}

// report is what the agent reads of an evaluation. In the hardened mode the
// score of the final one stays unseen.
func (e *Env) report(evaluation gym.Evaluation) string {
	var b strings.Builder
	if evaluation.Problem != gym.Scored {
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(evaluation.Message))
		if evaluation.Kind == gym.Submit {
			b.WriteString("The submission was made; it has no score.\n")
		}
		return b.String()
	}
	var paths []string
	for _, f := range e.cfg.Task.Submission.Files {
		paths = append(paths, f.Path)
	}
	fmt.Fprintf(&b, "Your submission is valid: %s\n", strings.Join(paths, ", "))
	if evaluation.Message != "" {
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(evaluation.Message))
	}
	if evaluation.Kind == gym.Submit && e.cfg.Mode == task.Hardened {
		b.WriteString("The submission was made. Its score is recorded and not shown.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "Baseline Score: %s\n", e.baselineText())
	fmt.Fprintf(&b, "Evaluation Score: %s\n", scoresText(evaluation.Scores))
	return b.String()
}

func (e *Env) baselineText() string {
	if m := e.cfg.Task.Baseline(e.cfg.Variant); m != nil {
		return scoresText(m.Scores)
	}
	return "NA (this task has no baseline)"
}

func scoresText(s gym.Scores) string {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Sprint(s)
	}
	return string(text)
}

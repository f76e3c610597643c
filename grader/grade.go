package grader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"mlgym/gym"
)

// Grade scores a submission. The evaluation has scores, or a problem and a
// message for the agent. A score beyond the alarm of its metric stands, is
// logged, and is marked by a detail "suspicious". The error is a fault of ours:
// of a sandbox, of the grader, of the request. Evaluation.Step is left to the
// caller.
//
// Grade returns when all sandboxes it made are closed, also when ctx ends.
func (g *Grader) Grade(ctx context.Context, req Request) (gym.Evaluation, error) {
	if err := req.check(); err != nil {
		return gym.Evaluation{}, err
	}
	began := time.Now()
	scores, details, notes, err := g.grade(ctx, req)
	eval := gym.Evaluation{Kind: req.Kind, Scores: scores, Details: details, Message: strings.Join(notes, "\n")}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		eval.Problem, eval.Message = refused.problem, refused.message
	case err != nil:
		return gym.Evaluation{}, fmt.Errorf("grade %s: %w", req.Task.ID, err)
	}
	for _, m := range req.Task.Metrics {
		if value, ok := scores[m.Name]; ok && m.Suspicious(value) {
			if eval.Details == nil {
				eval.Details = map[string]float64{}
			}
			eval.Details["suspicious"] = 1
			g.opts.Log.Warn("a score is better than honest work reaches", "task", req.Task.ID, "metric", m.Name, "score", value)
		}
	}
	eval.Seconds = time.Since(began).Seconds()
	eval.At = g.opts.Now()
	return eval, nil
}

// errTooSlow is the cause of a grading's end by the task's own timeout.
var errTooSlow = errors.New("the grader took longer than the task allows")

func (g *Grader) grade(ctx context.Context, req Request) (scores gym.Scores, details map[string]float64, notes []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, req.Task.Grading.Timeout, errTooSlow)
	defer cancel()
	log, err := openLog(req.LogDir, "grader.log")
	if err != nil {
		return nil, nil, nil, err
	}
	spool, err := os.MkdirTemp("", "mlgym-submission-")
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("make a folder for the submission: %w", err), log.Close())
	}
	s := &session{grader: g, req: req, log: log, spool: spool, players: map[string]*player{}}
	defer func() {
		if closeErr := errors.Join(s.close(ctx), os.RemoveAll(spool)); closeErr != nil {
			// The score is known; what could not be closed is for the log.
			g.opts.Log.Warn("a grading left something behind", "task", req.Task.ID, "error", closeErr)
		}
	}()
	if err := s.open(ctx); err != nil {
		return nil, nil, nil, err
	}
	if req.Collected != nil {
		req.Collected(s.submission)
	}
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		s.kill()
	})
	defer func() {
		if !stop() {
			<-killed
		}
	}()
	scores, details, err = s.run(ctx)
	return scores, details, s.notes, err
}

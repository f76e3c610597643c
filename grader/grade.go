package grader

import (
	"context"

	"mlgym/gym"
)

// Grade scores a submission. The evaluation has scores, or a problem and a
// message for the agent. The error is a fault of ours: of a sandbox, of the
// grader, of the request. Evaluation.Step is left to the caller.
func (g *Grader) Grade(ctx context.Context, req Request) (gym.Evaluation, error) {
	panic("not yet")
}

package grader_test

import (
	"context"
	"fmt"
	"time"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// What an agent has in its sandbox is graded with a secret of the run.
func Example() {
	grade := func(ctx context.Context, driver sandbox.Driver, agent sandbox.Sandbox, what *task.Task, secret []byte) error {
		g := grader.New(driver, grader.Options{Now: time.Now})
		got, err := g.Grade(ctx, grader.Request{
			Task: what, Submission: agent.Files(), Kind: gym.Validate, Variant: task.Small, Key: secret,
		})
		if err != nil {
			return err // a fault of ours
		}
		if got.Problem != gym.Scored {
			fmt.Println("no score:", got.Message)
			return nil
		}
		fmt.Println(got.Scores)
		return nil
	}
	_ = grade
}

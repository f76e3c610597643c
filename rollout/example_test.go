package rollout_test

import (
	"context"
	"fmt"

	"mlgym/rollout"
	"mlgym/trajectory"
)

// An agent adds up numbers until the limit on steps ends the episode.
func Example() {
	out, err := rollout.Run(context.Background(), rollout.Episode{
		Env:      &sum{},
		Agent:    &script{actions: []string{"1", "2", "3"}},
		Recorder: discard{},
		Seed:     7,
		Limits:   rollout.Limits{MaxSteps: 2},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out.ExitStatus, out.Totals.Steps, out.Final.Scores["total"])
	// Output: autosubmission (max_steps) 2 10
}

// discard is a recorder for those who need no record.
type discard struct{}

func (discard) Write(trajectory.Event) error { return nil }

package runstore_test

import (
	"fmt"
	"os"
	"path/filepath"

	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// A run is created, its episode recorded, and its result written.
func Example() {
	root, err := os.MkdirTemp("", "runs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(root)

	m := runstore.Manifest{Task: "blotto", Agent: "demo", Seed: 1, PrimaryMetric: "score", Direction: runstore.Maximize}
	run, err := runstore.Create(filepath.Join(root, "run"), m)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer run.Close()

	record, err := run.Trajectory(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer record.Close()
	final := gym.Evaluation{Kind: gym.Submit, Scores: gym.Scores{"score": 0.5}}
	for _, e := range []trajectory.Event{
		{Reset: &trajectory.Reset{Seed: 1}},
		{End: &trajectory.End{ExitStatus: gym.EndedBy(gym.CauseTime, final), Final: &final}},
	} {
		if err := record.Write(e); err != nil {
			fmt.Println(err)
			return
		}
	}

	result, err := run.Seal()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.ExitStatus, result.Submission["score"])
	// Output: autosubmission (exit_time) 0.5
}

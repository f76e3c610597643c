package experiment

import (
	"time"

	"mlgym/slurm"
)

// State is where an episode of an experiment stands.
type State string

// The states. An episode whose agent failed is Done: that is its result.
const (
	Waiting State = "waiting" // not begun, or cut and to go on
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"  // given up after faults that are not the agent's
	Skipped State = "skipped" // cannot run on this machine
)

// Counts are numbers of episodes. Total is the sum of the others.
type Counts struct {
	Total   int `json:"total"`
	Done    int `json:"done"`
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
}

// Add counts an episode.
func (c *Counts) Add(s State) {
	c.Total++
	switch s {
	case Done:
		c.Done++
	case Running:
		c.Running++
	case Waiting:
		c.Waiting++
	case Failed:
		c.Failed++
	case Skipped:
		c.Skipped++
	}
}

// Progress is where a running episode stands. It is written beside the run at
// most once a second and at least every few seconds.
type Progress struct {
	// Phase is one of rollout's.
	Phase    string `json:"phase,omitempty"`
	Step     int    `json:"step"`
	MaxSteps int    `json:"max_steps,omitempty"`
	// Score is the primary metric of the last evaluation, null before one has a
	// score.
	Score *float64 `json:"score"`
	// CostUSD is null where the price is not known.
	CostUSD   *float64 `json:"cost_usd"`
	TokensIn  int64    `json:"tokens_in,omitempty"`
	TokensOut int64    `json:"tokens_out,omitempty"`
	// Seconds that the episode has taken, earlier attempts that it goes on from
	// included.
	Seconds float64   `json:"seconds"`
	At      time.Time `json:"at"`
}

// EpisodeStatus is one episode of an experiment as a person asks for it.
type EpisodeStatus struct {
	ID      ID     `json:"id"`
	Name    string `json:"name"`
	Task    string `json:"task"`
	Variant string `json:"variant"`
	// Agent is its name in the experiment.
	Agent string `json:"agent"`
	Model string `json:"model,omitempty"`
	Seed  uint64 `json:"seed"`
	State State  `json:"state"`
	// Attempt is the number of the last one, from 1; 0 before the first.
	Attempt int `json:"attempt"`
	Progress
	// Metric is the primary one, Best its best value, Submission that of the
	// final evaluation; null where there is none.
	Metric     string   `json:"metric"`
	Best       *float64 `json:"best"`
	Submission *float64 `json:"submission"`
	ExitStatus string   `json:"exit_status,omitempty"`
	// Message says why an episode waits, failed or is skipped.
	Message string `json:"message,omitempty"`
	// RunDir is the directory of the last attempt's run, below the
	// experiment's; "" before the first.
	RunDir string `json:"run_dir,omitempty"`
	// Host and Node say where it runs.
	Host string `json:"host,omitempty"`
	// Job is what a cluster says of it.
	Job *JobStatus `json:"job,omitempty"`

	// ending is how the last attempt of a waiting one ended, "" where nobody says.
	ending Class
}

// JobStatus is an episode as a cluster sees it.
type JobStatus struct {
	Job    string `json:"job"`
	Index  int    `json:"index"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Node   string `json:"node,omitempty"`

	task slurm.Task
}

// Spent is what all episodes together have used, the running ones included.
type Spent struct {
	// USD is the sum of the known costs; Unpriced counts the episodes whose cost
	// is not known.
	USD      float64 `json:"usd"`
	Unpriced int     `json:"unpriced"`
	Tokens   int64   `json:"tokens"`
	// Hours in which the experiment was run, all its parts together.
	Hours float64 `json:"hours"`
}

// Limits bound an experiment as a whole; 0 means no limit.
type Limits struct {
	USD    float64 `json:"usd" yaml:"usd,optional"`
	Tokens int64   `json:"tokens" yaml:"tokens,optional"`
	Hours  float64 `json:"hours" yaml:"hours,optional"`
}

// Status is where an experiment stands.
type Status struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`
	// Active says that a process runs the experiment now.
	Active bool `json:"active"`
	// Stopping says that running steps are being finished, and why.
	Stopping string `json:"stopping,omitempty"`
	// Parallel is how many episodes may run side by side, 0 where that is not
	// known.
	Parallel int `json:"parallel,omitempty"`
	Counts
	CostUSD float64 `json:"cost_usd"`
	Spent   Spent   `json:"spent"`
	Budget  Limits  `json:"budget"`
	// PerHour is how many episodes ended in an hour of this part, 0 where it is
	// too early to say; Remaining is how many seconds the rest may take at that
	// pace, and RemainingUSD what it may cost, null where it is too early.
	PerHour      float64  `json:"per_hour"`
	Remaining    *float64 `json:"remaining_seconds"`
	RemainingUSD *float64 `json:"remaining_usd"`
	// Episodes in the order of the plan.
	Episodes []EpisodeStatus `json:"episodes"`
}

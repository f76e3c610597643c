package runstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mlgym/gym"
	"mlgym/trajectory"
)

// Result sums up a run. It is what result.json holds and what the command line
// prints.
type Result struct {
	FormatVersion int    `json:"format_version"`
	RunID         string `json:"run_id"`
	Task          string `json:"task"`
	TaskVersion   string `json:"task_version"`
	Mode          string `json:"mode"`
	Variant       string `json:"variant"`
	Agent         string `json:"agent"`
	Model         string `json:"model"`
	Seed          uint64 `json:"seed"`
	// ExitStatus is "unknown_error" for a run that was cut.
	ExitStatus gym.ExitStatus `json:"exit_status"`
	// Interrupted says that the episode has no end: it is still running, was
	// interrupted, or was killed. It can be resumed.
	Interrupted bool `json:"interrupted"`
	// Fault of the infrastructure that cut the run, "" where there was none.
	// Such runs are to be left out of comparisons.
	Fault string `json:"fault,omitempty"`
	// Steps is how many actions ran.
	Steps int `json:"steps"`
	// Scores are all evaluations, in order.
	Scores        []gym.Evaluation `json:"scores"`
	PrimaryMetric string           `json:"primary_metric"`
	Direction     Direction        `json:"direction"`
	// Baseline are the scores of the task's starter, null where unknown.
	Baseline gym.Scores `json:"baseline"`
	// Best are the scores of the best evaluation of any kind by the primary
	// metric, null where nothing has a score.
	Best gym.Scores `json:"best"`
	// BestKind and BestStep say which evaluation that was.
	BestKind gym.Kind `json:"best_kind,omitempty"`
	BestStep int      `json:"best_step,omitempty"`
	// Submission are the scores of the final evaluation, null where it has
	// none.
	Submission gym.Scores `json:"submission"`
	Reward     float64    `json:"reward"`
	// CostUSD is null where the price of a model is unknown.
	CostUSD   *float64 `json:"cost_usd"`
	Requests  int      `json:"requests"`
	TokensIn  int64    `json:"tokens_in"`
	TokensOut int64    `json:"tokens_out"`
	Seconds   float64  `json:"seconds"`
	// Resumes counts how often the run was resumed.
	Resumes int    `json:"resumes,omitempty"`
	RunDir  string `json:"run_dir,omitempty"`
}

// Summarise returns the result of a run: from result.json where it is there,
// else from the trajectory, which may be cut anywhere.
func Summarise(dir string) (Result, error) {
	result, err := readResult(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return result, err
	}
	return compute(dir)
}

func readResult(dir string) (Result, error) {
	path := filepath.Join(dir, ResultName)
	text, err := os.ReadFile(path)
	if err != nil {
		return Result{}, fmt.Errorf("read the result: %w", err)
	}
	result, err := DecodeResult(text)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", path, err)
	}
	result.RunDir = dir
	return result, nil
}

// DecodeResult reads the text of a result.
func DecodeResult(text []byte) (Result, error) {
	var result Result
	if err := json.Unmarshal(text, &result); err != nil {
		return Result{}, fmt.Errorf("not a result: %w", err)
	}
	if v := result.FormatVersion; v < 1 || v > Version {
		return Result{}, fmt.Errorf("the result has version %d, and this mlgym knows versions 1 to %d", v, Version)
	}
	return result, nil
}

// compute makes the result from the manifest and the trajectory.
func compute(dir string) (_ Result, err error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return Result{}, err
	}
	r, err := trajectory.Open(filepath.Join(dir, TrajectoryName))
	if errors.Is(err, fs.ErrNotExist) {
		return NewResult(dir, m, trajectory.Summary{Totals: trajectory.NewTotals()}), nil
	}
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	summary, err := trajectory.Summarise(r)
	if err != nil {
		return Result{}, err
	}
	return NewResult(dir, m, summary), nil
}

// NewResult makes the result of a run from its manifest and the summary of its
// trajectory.
func NewResult(dir string, m Manifest, s trajectory.Summary) Result {
	result := Result{
		FormatVersion: Version,
		RunID:         m.RunID, Task: m.Task, TaskVersion: m.TaskVersion, Mode: m.Mode, Variant: m.Variant,
		Agent: m.Agent, Model: m.Model, Seed: m.Seed,
		ExitStatus: s.ExitStatus(), Interrupted: s.Interrupted(),
		Steps: s.Totals.Steps, Scores: s.Evaluations,
		PrimaryMetric: m.PrimaryMetric, Direction: m.Direction, Baseline: m.Baseline,
		Reward: s.Totals.Reward, CostUSD: s.Totals.CostUSD, Requests: s.Totals.Requests,
		TokensIn: s.Totals.TokensIn, TokensOut: s.Totals.TokensOut,
		Seconds: s.Totals.Seconds, Resumes: s.Resumes, RunDir: dir,
	}
	if result.Scores == nil {
		result.Scores = []gym.Evaluation{}
	}
	if s.Fault != nil {
		result.Fault = s.Fault.Message
	}
	if s.End != nil && s.End.Final != nil {
		result.Submission = s.End.Final.Scores
	}
	if best := Best(s.Evaluations, m.PrimaryMetric, m.Direction); best != nil {
		result.Best, result.BestKind, result.BestStep = best.Scores, best.Kind, best.Step
	}
	return result
}

// Best returns the best evaluation by a metric, the first of equals; nil where
// none has a score.
func Best(evaluations []gym.Evaluation, metric string, d Direction) *gym.Evaluation {
	var best *gym.Evaluation
	for i := range evaluations {
		score, ok := evaluations[i].Scores[metric]
		if !ok || evaluations[i].Problem != gym.Scored {
			continue
		}
		if best == nil || d.Better(score, best.Scores[metric]) {
			best = &evaluations[i]
		}
	}
	return best
}

package rollout_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/rollout"
	"mlgym/trajectory"
)

// sum is an environment in which the agent adds up numbers. It is as
// deterministic as its seed, or less where drift is set.
type sum struct {
	seed    uint64
	total   uint64
	steps   int
	drift   uint64
	failAt  int  // the sandbox is lost in this step
	nan     bool // the reward is no number
	hang    bool // steps wait for their context
	started chan struct{}
	log     []string
}

func (s *sum) Reset(_ context.Context, opts gym.ResetOptions) (gym.Observation, error) {
	s.seed, s.total, s.steps = opts.Seed, opts.Seed+s.drift, 0
	s.log = append(s.log, "reset")
	return s.observe("add up"), nil
}

func (s *sum) observe(text string) gym.Observation {
	return gym.Observation{Text: fmt.Sprintf("%s: total %d", text, s.total), Step: s.steps, StepsLeft: -1}
}

func (s *sum) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	s.log = append(s.log, a.Command)
	if s.hang {
		close(s.started)
		<-ctx.Done()
		return gym.Transition{}, ctx.Err()
	}
	s.steps++
	if s.steps == s.failAt {
		return gym.Transition{}, errors.New("the sandbox is gone")
	}
	tr := gym.Transition{Reward: 0.5}
	if s.nan {
		tr.Reward = math.NaN()
	}
	switch a.Command {
	case "submit":
		tr.Terminated = true
		s.grade(&tr, gym.Submit, gym.CauseSubmit)
	case "validate":
		s.grade(&tr, gym.Validate, "")
	default:
		var n uint64
		_, _ = fmt.Sscan(a.Command, &n)
		s.total += n
	}
	tr.Observation = s.observe("ok")
	return tr, nil
}

func (s *sum) grade(tr *gym.Transition, kind gym.Kind, cause gym.Cause) {
	e := gym.Evaluation{Kind: kind, Step: s.steps, Scores: gym.Scores{"total": float64(s.total)}}
	tr.Info.Evaluations = append(tr.Info.Evaluations, e)
	if cause != "" {
		tr.Info.ExitStatus = gym.EndedBy(cause, e)
	}
}

func (s *sum) Finish(_ context.Context, cause gym.Cause) (gym.Transition, error) {
	s.log = append(s.log, "finish "+string(cause))
	tr := gym.Transition{Truncated: true, Reward: 2, Observation: s.observe("over")}
	s.grade(&tr, gym.Submit, cause)
	return tr, nil
}

func (s *sum) Close() error { return nil }

// script is an agent that follows a list; it can be resumed.
type script struct {
	actions []string
	next    int
	asked   int
	failAt  int // the model server is gone at this turn, from 1
	wait    bool
	seen    []string
	price   *float64
}

func (a *script) Act(ctx context.Context, obs gym.Observation) (agent.Turn, error) {
	a.asked++
	a.seen = append(a.seen, obs.Text)
	x := agent.Exchange{Response: &model.Response{Usage: model.Usage{InputTokens: 10, OutputTokens: 1}, CostUSD: a.price}}
	if a.wait {
		<-ctx.Done()
		return agent.Turn{}, ctx.Err()
	}
	if a.next+1 == a.failAt {
		x.Response, x.Error = nil, "connection refused"
		return agent.Turn{Exchanges: []agent.Exchange{x}}, errors.New("connection refused")
	}
	if a.next >= len(a.actions) {
		return agent.Turn{Stop: gym.CauseCost, StopReason: "no money left", Exchanges: []agent.Exchange{x}}, nil
	}
	a.next++
	return agent.Turn{Action: gym.Action{Command: a.actions[a.next-1]}, Exchanges: []agent.Exchange{x}}, nil
}

func (a *script) Resume(_ context.Context, first gym.Observation, turns []agent.Turn, observations []gym.Observation) error {
	a.next = len(turns)
	a.seen = []string{first.Text}
	for _, obs := range observations[:len(observations)-1] {
		a.seen = append(a.seen, obs.Text)
	}
	if len(turns) != len(observations) {
		return fmt.Errorf("%d turns and %d observations", len(turns), len(observations))
	}
	return nil
}

// begin makes a record in a new file.
func begin(t *testing.T) (*trajectory.Writer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.jsonl")
	w, err := trajectory.Create(path, trajectory.Header{RunID: "r"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w, path
}

func load(t *testing.T, path string) *trajectory.Recorded {
	t.Helper()
	rec, err := trajectory.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// kinds are the types of the events of a record.
func kinds(t *testing.T, path string) string {
	t.Helper()
	r, err := trajectory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var found []string
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, string(e.Type))
	}
	return strings.Join(found, " ")
}

func TestHowEpisodesEnd(t *testing.T) {
	price := 0.5
	for _, test := range []struct {
		name   string
		env    *sum
		agent  *script
		limits rollout.Limits
		// want
		status, events, log string
		final               float64
		fault               trajectory.Source
	}{
		{
			name: "submitted", env: &sum{}, agent: &script{actions: []string{"1", "validate", "submit", "never"}, price: &price},
			status: "submitted", events: "header reset turn step turn step turn step end", log: "reset 1 validate submit", final: 8,
		},
		{
			name: "the agent stops", env: &sum{}, agent: &script{actions: []string{"1"}},
			status: "autosubmission (exit_cost)", events: "header reset turn step turn end", log: "reset 1 finish exit_cost", final: 8,
		},
		{
			name: "step limit", env: &sum{}, agent: &script{actions: []string{"1", "2", "3"}}, limits: rollout.Limits{MaxSteps: 2},
			status: "autosubmission (max_steps)", events: "header reset turn step turn step end", log: "reset 1 2 finish max_steps", final: 10,
		},
		{
			name: "submitted in the last step", env: &sum{}, agent: &script{actions: []string{"1", "submit"}}, limits: rollout.Limits{MaxSteps: 2},
			status: "submitted", events: "header reset turn step turn step end", log: "reset 1 submit", final: 8,
		},
		{
			name: "the model server is gone", env: &sum{}, agent: &script{actions: []string{"1", "2"}, failAt: 2},
			status: "unknown_error", events: "header reset turn step fault", log: "reset 1", fault: trajectory.FromAgent,
		},
		{
			name: "the sandbox is lost", env: &sum{failAt: 2}, agent: &script{actions: []string{"1", "2", "3"}},
			status: "early_exit", events: "header reset turn step turn fault end", log: "reset 1 2", fault: trajectory.FromEnv,
		},
		{
			name: "the reward is no number", env: &sum{nan: true}, agent: &script{actions: []string{"1"}},
			status: "early_exit", events: "header reset turn fault end", log: "reset 1", fault: trajectory.FromEnv,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, path := begin(t)
			out, err := rollout.Run(t.Context(), rollout.Episode{Env: test.env, Agent: test.agent, Recorder: w, Seed: 7, Limits: test.limits})
			if got := out.ExitStatus.String(); got != test.status {
				t.Errorf("exit status = %q, want %q", got, test.status)
			}
			if got := kinds(t, path); got != test.events {
				t.Errorf("events = %q, want %q", got, test.events)
			}
			if got := strings.Join(test.env.log, " "); got != test.log {
				t.Errorf("calls = %q, want %q", got, test.log)
			}
			var fault *rollout.FaultError
			if errors.As(err, &fault) != (test.fault != "") || (err == nil) != (test.fault == "") {
				t.Errorf("error = %v, want a fault from %q", err, test.fault)
			}
			if test.fault != "" {
				if out.Fault == nil || out.Fault.Source != test.fault || !out.Fault.Resumable {
					t.Errorf("fault = %+v, want a resumable one from %q", out.Fault, test.fault)
				}
			} else if out.Final == nil || out.Final.Scores["total"] != test.final {
				t.Errorf("final = %+v, want %v", out.Final, test.final)
			}
			rec := load(t, path)
			if got := rec.Summary.ExitStatus(); got != out.ExitStatus {
				t.Errorf("the record says %q, the outcome %q", got, out.ExitStatus)
			}
			if diff := cmp.Diff(out.Evaluations, rec.Summary.Evaluations); diff != "" {
				t.Errorf("evaluations differ (-outcome +record):\n%s", diff)
			}
			got, want := rec.Summary.Totals, out.Totals
			got.Seconds, want.Seconds = 0, 0
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("totals differ (-outcome +record):\n%s", diff)
			}
			if test.name == "the sandbox is lost" && rec.Summary.End.Transition.Info.Fault == "" {
				t.Error("the end carries no mask for trainers")
			}
			if test.name == "submitted" && (out.Totals.CostUSD == nil || *out.Totals.CostUSD != 1.5 || out.Totals.TokensIn != 30 || out.Totals.Reward != 1.5) {
				t.Errorf("totals = %+v", out.Totals)
			}
			if test.name == "the agent stops" && (out.Totals.CostUSD != nil || out.Reason != "no money left" || out.Totals.Reward != 2.5) {
				t.Errorf("outcome = %+v; want an unknown cost and a reason", out)
			}
		})
	}
}

func TestStepsLeftIsTold(t *testing.T) {
	w, path := begin(t)
	_, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: []string{"1", "2", "3"}}, Recorder: w, Limits: rollout.Limits{MaxSteps: 3}})
	if err != nil {
		t.Fatal(err)
	}
	rec := load(t, path)
	got := []int{rec.Reset.Observation.StepsLeft}
	for _, s := range rec.Steps {
		got = append(got, s.Transition.Observation.StepsLeft)
	}
	if diff := cmp.Diff([]int{3, 2, 1, 0}, got); diff != "" {
		t.Errorf("steps left differ (-want +got):\n%s", diff)
	}
}

// memory is a recorder for tests in a bubble of time, where no file is needed.
type memory struct{ events []trajectory.Event }

func (m *memory) Write(e trajectory.Event) error {
	m.events = append(m.events, e)
	return nil
}

func TestWallLimitCutsOffTheModelAndGrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env, rec := &sum{}, &memory{}
		out, err := rollout.Run(t.Context(), rollout.Episode{Env: env, Agent: &script{wait: true}, Recorder: rec, Limits: rollout.Limits{Wall: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := out.ExitStatus.String(), "autosubmission (exit_time)"; got != want {
			t.Errorf("exit status = %q, want %q", got, want)
		}
		if out.Totals.Seconds != 3600 {
			t.Errorf("the episode took %v s, want 3600", out.Totals.Seconds)
		}
	})
}

func TestWallLimitHoldsOverResumptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		totals := trajectory.NewTotals()
		totals.Seconds = 3000
		past := &trajectory.Recorded{
			Reset:   &trajectory.Reset{Seed: 7, Observation: gym.Observation{Text: "add up: total 7"}},
			Summary: trajectory.Summary{Totals: totals},
		}
		began := time.Now()
		out, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{wait: true}, Recorder: &memory{}, Resume: past, Limits: rollout.Limits{Wall: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(began), 10*time.Minute; got != want || out.Totals.Seconds != 3600 {
			t.Errorf("the second part took %v and both %v s, want %v and 3600", got, out.Totals.Seconds, want)
		}
	})
}

func TestInterruptionIsRecordedAndNotGraded(t *testing.T) {
	for _, during := range []string{"act", "step"} {
		t.Run(during, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				env := &sum{hang: during == "step", started: make(chan struct{})}
				rec := &memory{}
				go func() {
					synctest.Wait()
					cancel(errors.New("interrupted by a person"))
				}()
				out, err := rollout.Run(ctx, rollout.Episode{Env: env, Agent: &script{actions: []string{"1"}, wait: during == "act"}, Recorder: rec})
				if err == nil || out.Fault == nil || out.Fault.Source != trajectory.FromOutside || out.Fault.Message != "interrupted by a person" {
					t.Errorf("outcome %+v, error %v; want an interruption", out, err)
				}
				last := rec.events[len(rec.events)-1]
				if last.Fault == nil || !last.Fault.Resumable {
					t.Errorf("the last event is %+v, want a resumable fault", last)
				}
				if got := strings.Join(env.log, " "); strings.Contains(got, "finish") {
					t.Errorf("calls = %q; nothing may be graded", got)
				}
			})
		})
	}
}

// failing is a recorder whose disk is full after some events.
type failing struct{ left int }

func (f *failing) Write(trajectory.Event) error {
	if f.left--; f.left < 0 {
		return &fs.PathError{Op: "write", Path: "/runs/x", Err: syscall.ENOSPC}
	}
	return nil
}

func TestNothingRunsThatCannotBeRecorded(t *testing.T) {
	for events, want := range []string{"reset", "reset", "reset 1", "reset 1"} {
		env := &sum{}
		out, err := rollout.Run(t.Context(), rollout.Episode{Env: env, Agent: &script{actions: []string{"1", "2"}}, Recorder: &failing{left: events}})
		if !errors.Is(err, syscall.ENOSPC) || out.Fault == nil || out.Fault.Source != trajectory.FromRecord {
			t.Errorf("after %d events: outcome %+v, error %v; want a fault of the record", events, out, err)
		}
		if got := strings.Join(env.log, " "); got != want {
			t.Errorf("after %d events: calls = %q, want %q", events, got, want)
		}
	}
}

// resumed continues a record with a fresh environment and agent.
func resumed(t *testing.T, path string, env gym.Env, a agent.Agent, limits rollout.Limits) (rollout.Outcome, error) {
	t.Helper()
	rec := load(t, path)
	w, err := trajectory.Append(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	return rollout.Run(t.Context(), rollout.Episode{Env: env, Agent: a, Recorder: w, Resume: rec, Limits: limits})
}

func TestResume(t *testing.T) {
	actions := []string{"1", "validate", "2", "submit"}
	w, path := begin(t)
	straight := &script{actions: actions}
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: straight, Recorder: w, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	want := load(t, path)

	w, path = begin(t)
	_, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: actions, failAt: 3}, Recorder: w, Seed: 7})
	if err == nil {
		t.Fatal("the dead model server went unnoticed")
	}
	again := &script{actions: actions}
	out, err := resumed(t, path, &sum{}, again, rollout.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.ExitStatus.String(); got != "submitted" {
		t.Errorf("exit status = %q, want submitted", got)
	}
	if diff := cmp.Diff(straight.seen, again.seen); diff != "" {
		t.Errorf("the agent saw other things than without the cut (-want +got):\n%s", diff)
	}
	got := load(t, path)
	if diff := cmp.Diff(want.Steps, got.Steps); diff != "" {
		t.Errorf("steps differ from those without the cut (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Summary.Evaluations, got.Summary.Evaluations); diff != "" {
		t.Errorf("evaluations differ (-want +got):\n%s", diff)
	}
	if got.Summary.Resumes != 1 || got.Summary.Totals.Requests != want.Summary.Totals.Requests+1 {
		t.Errorf("summary = %+v; want 1 resumption and the failed request counted", got.Summary)
	}
	if _, err := resumed(t, path, &sum{}, &script{}, rollout.Limits{}); err == nil || !strings.Contains(err.Error(), "has ended: submitted") {
		t.Errorf("resuming an ended episode: %v, want a refusal that says how it ended", err)
	}
}

func TestResumeAfterTheSandboxWasLost(t *testing.T) {
	actions := []string{"1", "2", "submit"}
	w, path := begin(t)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{failAt: 2}, Agent: &script{actions: actions}, Recorder: w, Seed: 7}); err == nil {
		t.Fatal("the lost sandbox went unnoticed")
	}
	// A first attempt fails too, and leaves the record as resumable as it was.
	if _, err := resumed(t, path, &sum{failAt: 1}, &script{actions: actions}, rollout.Limits{}); err == nil {
		t.Fatal("the second lost sandbox went unnoticed")
	}
	if s := load(t, path).Summary; s.ExitStatus().Outcome != gym.EarlyExit || s.Resumable() != nil {
		t.Errorf("after a failed resumption: %s, %v; want early_exit, resumable", s.ExitStatus(), s.Resumable())
	}
	// The turn that was under way is executed without asking for it again.
	env, a := &sum{drift: 100}, &script{actions: actions}
	out, err := resumed(t, path, env, a, rollout.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(env.log, " "), "reset 1 2 submit"; got != want {
		t.Errorf("calls = %q, want %q", got, want)
	}
	if a.asked != 1 || out.ExitStatus.Outcome != gym.Submitted {
		t.Errorf("the agent was asked %d times, exit status %s; want once, submitted", a.asked, out.ExitStatus)
	}
	if got := kinds(t, path); got != "header reset turn step turn fault end fault resume step turn step end" {
		t.Errorf("events = %q", got)
	}
	r, err := trajectory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Resume != nil && len(e.Resume.Differences) != 2 {
			t.Errorf("differences = %+v, want that of the reset and that of step 1", e.Resume.Differences)
		}
	}
}

func TestResumeNeedsAResumer(t *testing.T) {
	w, path := begin(t)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: []string{"1"}, failAt: 2}, Recorder: w}); err == nil {
		t.Fatal("want a fault")
	}
	env := &sum{}
	_, err := resumed(t, path, env, struct{ agent.Agent }{&script{}}, rollout.Limits{})
	if err == nil || !strings.Contains(err.Error(), "start a new run") {
		t.Errorf("error = %v, want one that says what to do", err)
	}
	if len(env.log) > 0 {
		t.Errorf("calls = %q before the refusal, want none", env.log)
	}
}

func TestStepLimitHoldsOverResumptions(t *testing.T) {
	actions := []string{"1", "2", "3", "4", "5"}
	w, path := begin(t)
	limits := rollout.Limits{MaxSteps: 3}
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: actions, failAt: 3}, Recorder: w, Limits: limits}); err == nil {
		t.Fatal("want a fault")
	}
	out, err := resumed(t, path, &sum{}, &script{actions: actions}, limits)
	if err != nil || out.Totals.Steps != 3 || out.ExitStatus.Cause != gym.CauseSteps {
		t.Errorf("outcome %+v, %v; want 3 steps in all", out, err)
	}
}

func TestReplay(t *testing.T) {
	for _, test := range []struct {
		name    string
		actions []string
		env     *sum
		steps   []int // of the differences
	}{
		{"the same", []string{"1", "validate", "submit"}, &sum{}, nil},
		{"the same, finished from outside", []string{"1"}, &sum{}, nil},
		{"another total", []string{"1", "validate"}, &sum{drift: 1}, []int{0, 1, 2, 2, 3, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, path := begin(t)
			if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: test.actions}, Recorder: w, Seed: 9}); err != nil {
				t.Fatal(err)
			}
			diffs, err := rollout.Replay(t.Context(), test.env, load(t, path))
			if err != nil {
				t.Fatal(err)
			}
			var steps []int
			for _, d := range diffs {
				steps = append(steps, d.Step)
			}
			if diff := cmp.Diff(test.steps, steps); diff != "" {
				t.Errorf("steps of the differences (-want +got):\n%s\n%v", diff, diffs)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	w, _ := begin(t)
	var got []string
	_, err := rollout.Run(t.Context(), rollout.Episode{
		Env: &sum{}, Agent: &script{actions: []string{"validate"}}, Recorder: w, Limits: rollout.Limits{MaxSteps: 1},
		Progress: func(e rollout.Event) {
			got = append(got, fmt.Sprintf("%s %d/%d %s %v", e.Phase, e.Step, e.MaxSteps, e.Action.Command, e.Last != nil))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"resetting 0/1  false", "thinking 1/1  false", "acting 1/1 validate false", "stepped 1/1 validate true",
		"finishing 1/1 validate true", "ended 1/1 validate true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("progress differs (-want +got):\n%s", diff)
	}
}

// runVariable makes the test binary run, or resume, an episode of this record.
const runVariable = "ROLLOUT_TEST_RUN"

// longScript is what the killed episodes do.
func longScript() []string {
	actions := make([]string, 0, 101)
	for n := range 100 {
		if n%10 == 9 {
			actions = append(actions, "validate")
			continue
		}
		actions = append(actions, fmt.Sprint(n))
	}
	return append(actions, "submit")
}

func TestMain(m *testing.M) {
	if path := os.Getenv(runVariable); path != "" {
		if err := runOrResume(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(checkpointVariable); dir != "" {
		if err := runWithCheckpoints(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runOrResume(path string) error {
	ep := rollout.Episode{Env: &sum{}, Agent: &script{actions: longScript()}, Seed: 3}
	ep.Progress = func(e rollout.Event) { fmt.Println(e.Phase, e.Step) }
	w, err := trajectory.Append(path, nil)
	switch {
	case err == nil:
		if ep.Resume, err = trajectory.Load(path); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, trajectory.ErrEmpty):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if w, err = trajectory.Create(path, trajectory.Header{RunID: "r"}, nil); err != nil {
			return err
		}
	default:
		return err
	}
	ep.Recorder = w
	_, err = rollout.Run(context.Background(), ep)
	return errors.Join(err, w.Close())
}

// TestEpisodeSurvivesKills kills an episode again and again and resumes it
// until it ends; what is on record must be what happens without any kill.
func TestEpisodeSurvivesKills(t *testing.T) {
	w, straightPath := begin(t)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: longScript()}, Recorder: w, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.jsonl")
	random := rand.New(rand.NewPCG(3, 4))
	kills := 0
	for round := 0; ; round++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), runVariable+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		// From the second round on the recorded steps come first.
		killAfter := random.IntN(60) + kills*25
		for n := 0; n <= killAfter && lines.Scan(); {
			n++
		}
		if round < 8 {
			_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		}
		for lines.Scan() {
		}
		if err := cmd.Wait(); err == nil {
			break
		} else if round >= 8 {
			t.Fatal(err)
		}
		kills++
		if _, err := os.Stat(path); err != nil {
			continue // it was killed before it began
		}
		if rec := load(t, path); rec.Resumable() != nil {
			t.Fatalf("after %d kills: %v", kills, rec.Resumable())
		}
	}
	t.Logf("%d kills", kills)
	if kills == 0 {
		t.Error("nothing was killed; the test shows nothing")
	}
	want, got := load(t, straightPath), load(t, path)
	if diff := cmp.Diff(want.Steps, got.Steps); diff != "" {
		t.Errorf("steps differ from those without kills (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Summary.Evaluations, got.Summary.Evaluations); diff != "" {
		t.Errorf("evaluations differ (-want +got):\n%s", diff)
	}
	if got.Summary.ExitStatus().Outcome != gym.Submitted {
		t.Errorf("exit status = %s, want submitted", got.Summary.ExitStatus())
	}
}

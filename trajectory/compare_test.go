package trajectory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
	"mlgym/trajectory"
)

func TestMaskVolatile(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"nothing volatile", "accuracy 0.9731 after 12 epochs", "accuracy 0.9731 after 12 epochs"},
		{"scores stay", "loss: 0.25, 3 of 4, 1e-3", "loss: 0.25, 3 of 4, 1e-3"},
		{"seconds", "took 12.3 s, 4ms and 1.5 seconds", "took <duration>, <duration> and <duration>"},
		{"time of bash", "real\t0m0.003s", "real\t<duration>"},
		{"hours", "1h 2m 3.5s", "<duration>"},
		{"date and time", "2026-01-02T03:04:05.678Z start", "<time> start"},
		{"log line", "2026-01-02 03:04:05,678 INFO", "<time> INFO"},
		{"listing", "-rw-r--r-- 1 agent agent 12 Jan  2 03:04 a.py", "-rw-r--r-- 1 agent agent 12 <time> a.py"},
		{"old listing", "12 Jan  2  2025 a.py", "12 <time> a.py"},
		{"progress", "10/10 [00:03<00:00, 3.21it/s]", "10/10 [<time><<time>, <rate>]"},
		{"job", "[1] 4242\n[1]+  4242 Done", "[1] <pid>\n[1]+  <pid> Done"},
		{"pid", "pid=4242, PID 17, process 3", "pid=<pid>, PID <pid>, process <pid>"},
		{"address", "<object at 0x7f3a1c2d4e50>", "<object at <address>>"},
		{"temporary names", "open '/tmp/tmpab12cd34/x.py': /tmp/a.b", "open '/tmp/<name>/x.py': /tmp/<name>"},
		{"proc", "/proc/4242/status", "/proc/<pid>/status"},
		{"uuid", "id 123e4567-e89b-12d3-a456-426614174000", "id <uuid>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := trajectory.MaskVolatile(test.text); got != test.want {
				t.Errorf("MaskVolatile(%q)\n got %q\nwant %q", test.text, got, test.want)
			}
		})
	}
}

func TestCompareTransitions(t *testing.T) {
	base := func() gym.Transition {
		return gym.Transition{
			Observation: gym.Observation{Text: "ok in 3 s\nmore", WorkingDir: "/w"},
			Reward:      0.5,
			Info:        gym.Info{Seconds: 3, Evaluations: []gym.Evaluation{{Kind: gym.Validate, Scores: gym.Scores{"acc": 0.25}, Seconds: 1}}},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*gym.Transition)
		want   []string // fields
	}{
		{"equal", func(*gym.Transition) {}, nil},
		{"times only", func(tr *gym.Transition) {
			tr.Observation.Text = "ok in 4.25 s\nmore"
			tr.Info.Seconds = 99
			tr.Info.Evaluations[0].Seconds = 99
		}, nil},
		{"rounding only", func(tr *gym.Transition) {
			tr.Reward += 1e-12
			tr.Info.Evaluations[0].Scores["acc"] += 1e-12
		}, nil},
		{"text", func(tr *gym.Transition) { tr.Observation.Text = "ok in 3 s\nless" }, []string{"observation"}},
		{"folder", func(tr *gym.Transition) { tr.Observation.WorkingDir = "/" }, []string{"working_dir"}},
		{"exit code", func(tr *gym.Transition) { tr.Info.ExitCode = 1 }, []string{"exit_code"}},
		{"deadline", func(tr *gym.Transition) { tr.Info.Deadline, tr.Info.ShellRestarted = "wall", true }, []string{"deadline", "shell_restarted"}},
		{"reward", func(tr *gym.Transition) { tr.Reward = 0.25 }, []string{"reward"}},
		{"score", func(tr *gym.Transition) { tr.Info.Evaluations[0].Scores["acc"] = 0.5 }, []string{"scores"}},
		{"no score", func(tr *gym.Transition) {
			tr.Info.Evaluations[0].Scores = nil
			tr.Info.Evaluations[0].Problem = gym.Invalid
		}, []string{"problem", "scores"}},
		{"no evaluation", func(tr *gym.Transition) { tr.Info.Evaluations = nil }, []string{"scores"}},
		{"end", func(tr *gym.Transition) {
			tr.Terminated = true
			tr.Info.ExitStatus = gym.ExitStatus{Outcome: gym.Submitted}
		}, []string{"terminated", "exit_status"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := base()
			test.change(&got)
			var fields []string
			for _, d := range trajectory.CompareTransitions(4, base(), got) {
				fields = append(fields, d.Field)
				if d.Step != 4 || d.Recorded == d.Got {
					t.Errorf("difference %+v; want step 4 and two texts that differ", d)
				}
			}
			if diff := cmp.Diff(test.want, fields); diff != "" {
				t.Errorf("fields that differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDifferencesShowTheirPlace(t *testing.T) {
	long := strings.Repeat("é", 300)
	got := trajectory.CompareObservations(1,
		gym.Observation{Text: "a\n" + long + "1\nz"}, gym.Observation{Text: "a\n" + long + "2\nz"})
	if len(got) != 1 || !strings.HasPrefix(got[0].Recorded, "line 2: ") || !strings.HasSuffix(got[0].Recorded, `é1"`) || !strings.HasSuffix(got[0].Got, `é2"`) || len(got[0].Got) > 300 {
		t.Errorf("differences = %+v, want the end of line 2", got)
	}
	got = trajectory.CompareObservations(1, gym.Observation{Text: "a"}, gym.Observation{Text: "a\nb"})
	if len(got) != 1 || got[0].Recorded == got[0].Got {
		t.Errorf("differences = %+v, want the further line to be told", got)
	}
}

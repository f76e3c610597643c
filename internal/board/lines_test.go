package board

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/experiment"
)

func TestLines(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	// The zone of the machine does not show.
	zone := time.FixedZone("elsewhere", 3600)
	events := []experiment.Event{
		{At: at(0).In(zone), Type: experiment.Planned, Counts: &experiment.Counts{Total: 3, Waiting: 3}, Spent: &experiment.Spent{}},
		{At: at(1), Type: experiment.Started, Episode: "blotto-demo-1", Attempt: 1, Message: "new"},
		{At: at(2), Type: experiment.Stepped, Episode: "blotto-demo-1", Step: 1, MaxSteps: 50},
		{At: at(3), Type: experiment.Evaluated, Episode: "blotto-demo-1", Step: 2, MaxSteps: 50, Metric: "BLEU Score", Score: new(0.25)},
		{At: at(4), Type: experiment.Evaluated, Episode: "blotto-demo-1", Step: 3, MaxSteps: 50, Metric: "Score", Message: "no file\nnamed \x1b[31mx"},
		{At: at(30), Type: experiment.Stepped, Episode: "blotto-demo-1", Step: 3, MaxSteps: 50},
		{At: at(31), Type: experiment.Stepped, Episode: "blotto demo 2", Step: 9},
		{At: at(40), Type: experiment.Stepped, Episode: "blotto-demo-1", Step: 4, MaxSteps: 50},
		{At: at(41), Type: experiment.Retrying, Episode: "blotto-demo-1", Attempt: 1, Wait: 40, Message: `the server says "overloaded"`},
		{At: at(42), Type: experiment.Cut, Episode: "blotto-demo-1", Attempt: 2, Step: 4, Message: "interrupted"},
		{
			At: at(43), Type: experiment.Ended, Episode: "blotto-demo-1", State: experiment.Done, Step: 5, Metric: "Score", Score: new(0.5), CostUSD: new(0.42),
			Seconds: 252, ExitStatus: "autosubmission (max_steps)", Counts: &experiment.Counts{Total: 3, Done: 1, Running: 1, Failed: 1}, Spent: &experiment.Spent{USD: 1.5},
		},
		{At: at(44), Type: experiment.Noted, Message: "a=b"},
		{At: at(45), Type: experiment.Stopping, Message: "interrupted"},
		{At: at(46), Type: experiment.Stopped, Message: "1 episode is left", Counts: &experiment.Counts{Total: 3, Done: 2, Waiting: 1}},
	}
	want := `2026-03-04T12:00:00Z planned done=0/3 waiting=3 spent=$0.00
2026-03-04T12:00:01Z started blotto-demo-1 attempt=1 message=new
2026-03-04T12:00:03Z evaluated blotto-demo-1 step=2/50 metric="BLEU Score" score=0.25
2026-03-04T12:00:04Z evaluated blotto-demo-1 step=3/50 metric=Score score=none message="no file named x"
2026-03-04T12:00:31Z stepped steps=3 in=30s episodes=2 last="blotto demo 2" step=9
2026-03-04T12:00:41Z retrying blotto-demo-1 attempt=1 wait=40s message="the server says \"overloaded\""
2026-03-04T12:00:42Z cut blotto-demo-1 attempt=2 step=4 message=interrupted
2026-03-04T12:00:43Z ended blotto-demo-1 state=done exit="autosubmission (max_steps)" step=5 metric=Score score=0.5 cost=$0.420 time=4m12s done=1/3 running=1 failed=1 spent=$1.50
2026-03-04T12:00:44Z noted message="a=b"
2026-03-04T12:00:45Z stopping message=interrupted
2026-03-04T12:00:46Z stopped message="1 episode is left" done=2/3 waiting=1
`
	var out bytes.Buffer
	lines := NewLines(&out)
	for _, e := range events {
		if err := lines.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestLinesSumUp: 600 steps in ten minutes are 19 or 20 lines.
func TestLinesSumUp(t *testing.T) {
	var out bytes.Buffer
	lines := NewLines(&out)
	for i := range 600 {
		if err := lines.Event(experiment.Event{At: noon.Add(time.Duration(i) * time.Second), Type: experiment.Stepped, Episode: "e", Step: i}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 19 {
		t.Errorf("%d lines, want 19:\n%s", n, out.String())
	}
}

func TestWriteJSON(t *testing.T) {
	e := experiment.Event{At: noon, Type: experiment.Ended, Episode: "a<b>", Message: "two\nlines", Score: new(0.5), Counts: &experiment.Counts{Total: 1, Done: 1}}
	var out bytes.Buffer
	if err := WriteJSON(&out, e); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.HasSuffix(out.String(), "}\n") {
		t.Errorf("not one line: %q", out.String())
	}
	if !strings.Contains(out.String(), "a<b>") {
		t.Errorf("letters of HTML are escaped: %q", out.String())
	}
	var back experiment.Event
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := WriteJSON(&out, experiment.Event{Type: experiment.Ended, Score: new(math.NaN())}); err == nil || out.Len() > 0 {
		t.Errorf("what is not a number was written: %q, %v", out.String(), err)
	}
}

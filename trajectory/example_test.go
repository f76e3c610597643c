package trajectory_test

import (
	"fmt"
	"os"
	"strings"

	"mlgym/trajectory"
)

// A record that was cut in the middle of a line is read as far as it goes.
func ExampleRender() {
	record := `{"seq":0,"type":"header","at":"2026-01-02T03:04:05Z","header":{"format":"mlgym-trajectory","version":1,"run_id":"r1","created":"2026-01-02T03:04:05Z"}}
{"seq":1,"type":"note","at":"2026-01-02T03:04:06Z","note":{"text":"half a line follows"}}
{"seq":2,"type":"no`
	r := trajectory.NewReader(strings.NewReader(record))
	if err := trajectory.Render(os.Stdout, r, trajectory.RenderOptions{Width: 20}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Run r1, begun 2026-01-02T03:04:05Z
	// note: half a line follows
	// The last line is torn (19 bytes): the process was killed while writing it, or is still writing.
	// The record has no end: the run goes on, or was cut and can be resumed.
	// ────────────────────
	// 0 steps, 0s, 0 requests, 0 tokens in, 0 out, cost $0.0000, reward 0
}

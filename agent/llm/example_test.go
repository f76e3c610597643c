package llm_test

import (
	"context"
	"fmt"

	"mlgym/agent/llm"
	"mlgym/gym"
	"mlgym/scaffold"
	"mlgym/scaffolds"
	"mlgym/tool"
)

func Example() {
	s, err := scaffold.Open(scaffolds.Files(), "default")
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := llm.New(llm.Config{
		Scaffold: s,
		Model:    &scripted{answers: []any{"I look first.", "I look first.\n```\nls\n```"}},
		Tools:    tool.All(),
		Limits:   llm.Limits{Tokens: 100_000},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	turn, err := a.Act(context.Background(), gym.Observation{Text: "Improve strategy.py.", StepsLeft: 50})
	fmt.Printf("%q after %d exchanges, %v\n", turn.Action.Command, len(turn.Exchanges), err)
	fmt.Println(turn.Exchanges[0].Problem)
	// Output:
	// "ls" after 2 exchanges, <nil>
	// The answer holds no fenced block, so there is no command to run.
}

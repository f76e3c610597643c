package scaffold_test

import (
	"fmt"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/scaffold"
	"mlgym/scaffolds"
)

func Example() {
	s, err := scaffold.Open(scaffolds.Files(), "default")
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := s.Parse(model.Message{Text: "Look first.\n\n```\nls -la\n```"}, nil)
	fmt.Printf("%q %q %v\n", reply.Thought, reply.Action.Command, err)

	_, err = s.Parse(model.Message{Text: "I would list the files."}, nil)
	fmt.Println(err)

	answer := model.Message{Role: model.Assistant, Text: "…"}
	messages, _ := s.Answer(answer, gym.Observation{Text: "strategy.py", Step: 1, StepsLeft: 49, WorkingDir: "/workspace"})
	fmt.Println(messages[0].Text)
	// Output:
	// "Look first." "ls -la" <nil>
	// The answer holds no fenced block, so there is no command to run.
	// strategy.py
	// (Current step: 1, remaining steps: 49)
	// (Open file: none)
	// (Current directory: /workspace)
	// bash-$
}

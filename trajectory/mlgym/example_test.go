package mlgym_test

import (
	"fmt"
	"strings"

	"mlgym/trajectory/mlgym"
)

func ExampleReadTraj() {
	record := `{"trajectory": [{"action": "ls\n", "observation": "a.py"}, {"action": "submit\n"}], "info": {"exit_status": "submitted"}}`
	trailer, err := mlgym.ReadTraj(strings.NewReader(record), mlgym.FieldObservation, func(st *mlgym.Step) error {
		fmt.Printf("%d %q %q\n", st.Number, st.Action, st.Observation)
		return nil
	})
	fmt.Println(trailer.ExitStatus, trailer.Steps, err)
	// Output:
	// 1 "ls\n" "a.py"
	// 2 "submit\n" ""
	// submitted 2 <nil>
}

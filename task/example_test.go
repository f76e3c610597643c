package task_test

import (
	"fmt"

	"mlgym/task"
	"mlgym/tasks"
)

func Example() {
	catalog, err := task.NewCatalog(tasks.Files) // or os.DirFS("my-tasks")
	if err != nil {
		fmt.Println(err)
		return
	}
	game, err := catalog.Find("battleOfSexes")
	if err != nil {
		fmt.Println(err)
		return
	}
	n, _ := game.Normalise(task.Full, 1.44)
	fmt.Printf("%s: %s %s, the best play is worth %.0f\n", game.Name, game.Primary().Direction, game.Primary().Name, n)
	_, err = catalog.Find("battleOfSex")
	fmt.Println(err)
	// Output:
	// Battle of the Sexes: maximize Score, the best play is worth 1
	// unknown task "battleOfSex"; did you mean "battleOfSexes"?
}

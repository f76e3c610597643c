package tool_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mlgym/tool"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "greet.txt"), []byte("hello\nworld\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	runner := tool.NewRunner(tool.Options{})
	for _, call := range []tool.Invocation{
		{Name: "open", Argv: []string{"greet.txt"}, Dir: dir},
		{Name: "edit", Args: []byte(`{"start_line":2,"end_line":2,"text":"reader"}`), Dir: dir},
		{Name: "goto", Argv: []string{"7"}, Dir: dir},
	} {
		result := runner.Run(context.Background(), call)
		_, text, _ := strings.Cut(result.Output, "greet.txt ")
		fmt.Printf("%s: code %d %s", call.Name, result.ExitCode, text)
		if text == "" {
			fmt.Print(result.Output)
		}
	}
	// Output:
	// open: code 0 (2 lines total)]
	// 1:hello
	// 2:world
	// edit: code 0 (2 lines total)]
	// 1:hello
	// 2:reader
	// File updated. Look at the lines above: is the indentation right, is no line doubled or missing? If something is wrong, edit again.
	// goto: code 1 Error: <line> must be less than or equal to 2
}

func ExampleRewrite() {
	text, err := tool.Rewrite("cd src && edit 3:4\nprint(\"$HOME\")\nend_of_edit\nls")
	fmt.Println(text, err)
	_, err = tool.Rewrite("edit 3:4\nprint()")
	fmt.Println(err)
	// Output:
	// cd src && edit 3:4 <<'end_of_edit'
	// print("$HOME")
	// end_of_edit
	// ls <nil>
	// Malformed edit command (line 1 of the action). End its text with a line that holds only `end_of_edit`, not indented. Nothing of the action was run.
}

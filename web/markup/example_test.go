package markup_test

import (
	"fmt"
	"html/template"
	"os"

	"mlgym/web/markup"
)

func Example() {
	page := template.Must(template.New("").Funcs(template.FuncMap{"terminal": markup.Terminal}).
		Parse("<pre class=\"code\"><code>{{terminal .}}</code></pre>\n"))
	if err := page.Execute(os.Stdout, "10%\r100%\n\x1b[31mloss <NaN>\x1b[0m"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <pre class="code"><code>100%
	// <span class="ansi-fg-1">loss &lt;NaN&gt;</span></code></pre>
}

func ExampleFold() {
	folded := markup.Fold("1\n2\n3\n4\n5\n6\n", 4, 1000)
	fmt.Printf("%q … %d lines, %d bytes … %q\n", folded.Head, folded.HiddenLines, folded.HiddenBytes, folded.Tail)
	// Output: "1\n2\n" … 2 lines, 4 bytes … "5\n6\n"
}

func ExampleEditBody() {
	kind, first, last, body, _ := markup.EditBody("edit 12:13\n    step(batch)\nend_of_edit")
	fmt.Printf("%s of lines %d to %d: %q\n", kind, first, last, body)
	// Output: edit of lines 12 to 13: "    step(batch)\n"
}

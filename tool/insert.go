package tool

import "context"

func insertCommand() command {
	return command{
		name:       "insert",
		usage:      "insert <line_number>\n<text_to_add>\n" + endOfInsert,
		terminator: endOfInsert,
		params: []param{
			{name: "line", kind: numberParam, required: true, doc: "the line after which the text is put; 0 puts it before the first line"},
			{name: "text", kind: textParam, required: true, doc: "the lines to put there, with their indentation"},
		},
		fromArgv: func(argv []string, stdin []byte) (arguments, string) {
			if len(argv) != 1 {
				return nil, usageOnly
			}
			line, problem := parseNumber(argv[0])
			if problem != "" {
				return nil, "line_number " + problem
			}
			args := arguments{}
			args.setNumber("line", line)
			args.setText("text", string(stdin))
			return args, ""
		},
		run: (*Session).insert,
	}
}

func (r *Session) insert(ctx context.Context, c call) Result {
	if r.file == "" {
		return refuse(noFile)
	}
	line := c.args.number("line")
	if line < 0 {
		return refuse("Error: line_number (%d) is less than 0. Nothing was changed.", line)
	}
	if c.args.text("text") == "" {
		return refuse("Error: there is no text to insert. Nothing was changed.")
	}
	return r.change(ctx, change{start: line + 1, text: []byte(c.args.text("text")), verb: "insert"})
}

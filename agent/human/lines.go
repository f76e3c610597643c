package human

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/muesli/cancelreader"
	"golang.org/x/term"
)

// errInterrupted is Ctrl-C at a terminal.
var errInterrupted = errors.New("interrupted at the prompt")

// maxLineBytes bounds one line.
const maxLineBytes = 1 << 20

func newLineReader(in io.Reader, out io.Writer) (lineReader, error) {
	input, err := newInput(in)
	if err != nil {
		return nil, err
	}
	file, ok := in.(*os.File)
	outFile, outOK := out.(*os.File)
	if ok && outOK && term.IsTerminal(int(file.Fd())) && term.IsTerminal(int(outFile.Fd())) {
		return newTerminal(file, outFile, input), nil
	}
	scanner := bufio.NewScanner(input)
	scanner.Buffer(nil, maxLineBytes)
	return &plainLines{input: input, scanner: scanner}, nil
}

// input is a reader whose Read can be ended from outside.
type input struct {
	cancelreader.CancelReader
	closed bool
}

func newInput(in io.Reader) (*input, error) {
	reader, err := cancelreader.NewReader(in)
	if err != nil {
		// A regular file cannot be waited for, and need not be: hide that it is
		// a file.
		if reader, err = cancelreader.NewReader(struct{ io.Reader }{in}); err != nil {
			return nil, err
		}
	}
	return &input{CancelReader: reader}, nil
}

// Close frees the reader; what it reads from stays open.
func (i *input) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	return i.CancelReader.Close()
}

// during runs read until it returns or the context ends. It waits for read also
// in the second case, unless the input is of a kind whose Read cannot be ended
// (it is neither a pipe nor a terminal); that read ends with the input.
func (i *input) during(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		line string
		err  error
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	done := make(chan result, 1)
	go func() {
		line, err := read()
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		if i.Cancel() {
			<-done
		}
		return "", ctx.Err()
	}
}

// plainLines reads from a pipe or a file. It shows no prompt.
type plainLines struct {
	input   *input
	scanner *bufio.Scanner
}

func (p *plainLines) readLine(ctx context.Context, _ string) (string, error) {
	line, err := p.input.during(ctx, func() (string, error) {
		if p.scanner.Scan() {
			return strings.TrimSuffix(p.scanner.Text(), "\r"), nil
		}
		if err := p.scanner.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	})
	if errors.Is(err, bufio.ErrTooLong) {
		return "", fmt.Errorf("a line has more than %d bytes: %w", maxLineBytes, err)
	}
	return line, err
}

func (p *plainLines) Close() error { return p.input.Close() }

// terminal edits lines. The terminal is in raw mode only while a line is read.
type terminal struct {
	input *input
	in    *os.File
	out   *os.File
	keys  *keys
	line  *term.Terminal
}

func newTerminal(in, out *os.File, input *input) *terminal {
	t := &terminal{input: input, in: in, out: out, keys: &keys{from: input, to: out}}
	t.line = term.NewTerminal(t.keys, "")
	return t
}

func (t *terminal) readLine(ctx context.Context, prompt string) (line string, err error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", err
	}
	defer func() {
		if restoreErr := term.Restore(int(t.in.Fd()), before); err == nil {
			err = restoreErr
		}
	}()
	if width, height, sizeErr := term.GetSize(int(t.out.Fd())); sizeErr == nil && width > 0 {
		if err := t.line.SetSize(width, height); err != nil {
			return "", err
		}
	}
	t.line.SetPrompt(prompt)
	line, err = t.input.during(ctx, t.line.ReadLine)
	switch {
	case errors.Is(err, term.ErrPasteIndicator):
		err = nil
	case errors.Is(err, errInterrupted):
		// What was typed is given up, the history is kept.
		old := t.line
		t.line = term.NewTerminal(t.keys, "")
		t.line.History = old.History
		_, _ = io.WriteString(t.out, "^C\r\n")
	case errors.Is(err, io.EOF):
		_, _ = io.WriteString(t.out, "\r\n")
	}
	return line, err
}

func (t *terminal) Close() error { return t.input.Close() }

// keys turns Ctrl-C, which a terminal in raw mode hands over as a byte, into an
// error.
type keys struct {
	from io.Reader
	to   io.Writer
	// held is what was typed after a Ctrl-C.
	held []byte
}

func (k *keys) Read(p []byte) (int, error) {
	const ctrlC = 3
	n := copy(p, k.held)
	k.held = k.held[n:]
	if n == 0 {
		var err error
		if n, err = k.from.Read(p); err != nil {
			return n, err
		}
	}
	if i := bytes.IndexByte(p[:n], ctrlC); i >= 0 {
		k.held = append(append([]byte(nil), p[i+1:n]...), k.held...)
		return 0, errInterrupted
	}
	return n, nil
}

func (k *keys) Write(p []byte) (int, error) { return k.to.Write(p) }

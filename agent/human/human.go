package human

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/tool"
)

// Config makes an [Agent].
type Config struct {
	// In is where actions come from. Line editing needs an *os.File that is a
	// terminal.
	In io.Reader
	// Out is where observations go.
	Out io.Writer
	// Tools are listed by ":tools".
	Tools []tool.Spec
}

// Agent asks a person. It implements [agent.Agent] and [agent.Resumer].
type Agent struct {
	cfg   Config
	lines lineReader
	// broken is why nothing can be read any more.
	broken error
}

// lineReader reads lines with a prompt. A cancelled read returns the context's
// error, after which the reader must not be used again.
type lineReader interface {
	readLine(ctx context.Context, prompt string) (string, error)
	Close() error
}

const (
	prompt       = "$ "
	continuation = "> "
)

// New returns an agent for one episode. Close frees what it holds; In and Out
// stay open.
func New(cfg Config) (*Agent, error) {
	if cfg.In == nil || cfg.Out == nil {
		return nil, errors.New("a human agent needs an input and an output")
	}
	lines, err := newLineReader(cfg.In, cfg.Out)
	if err != nil {
		return nil, fmt.Errorf("reading from the terminal: %w", err)
	}
	return &Agent{cfg: cfg, lines: lines}, nil
}

// Close implements [io.Closer]. It is idempotent.
func (a *Agent) Close() error {
	a.broken = cmp.Or(a.broken, errors.New("the human agent is closed"))
	return a.lines.Close()
}

// Act implements [agent.Agent]. At the end of the input the episode stops for
// [gym.CauseError]; an interrupt at the prompt is an error, so that the run can
// be resumed.
func (a *Agent) Act(ctx context.Context, obs gym.Observation) (agent.Turn, error) {
	if a.broken != nil {
		return agent.Turn{}, a.broken
	}
	if err := a.show(obs); err != nil {
		return agent.Turn{}, err
	}
	interrupts := 0
	for {
		text, err := a.read(ctx)
		switch {
		case errors.Is(err, errInterrupted) && interrupts == 0:
			interrupts++
			if err := a.say("Press Ctrl-C again to leave the run (it can be resumed). :submit hands in, :quit gives up."); err != nil {
				return agent.Turn{}, err
			}
			continue
		case errors.Is(err, io.EOF):
			return agent.Turn{Stop: gym.CauseError, StopReason: "the input has ended"}, nil
		case err != nil:
			a.broken = err
			return agent.Turn{}, fmt.Errorf("reading an action: %w", err)
		}
		interrupts = 0
		turn, done, err := a.obey(text)
		if done || err != nil {
			return turn, err
		}
	}
}

// Resume implements [agent.Resumer]. A person remembers by himself.
func (a *Agent) Resume(context.Context, gym.Observation, []agent.Turn, []gym.Observation) error {
	return nil
}

// read reads one action, which may take several lines.
func (a *Agent) read(ctx context.Context) (string, error) {
	text, err := a.lines.readLine(ctx, prompt)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(text, ":") {
		return text, nil
	}
	for incomplete(text) {
		line, err := a.lines.readLine(ctx, continuation)
		if errors.Is(err, io.EOF) {
			// The shell says what is missing.
			return text, nil
		}
		if err != nil {
			return "", err
		}
		text += "\n" + line
	}
	return text, nil
}

// obey does what a line asks for. Not done means that nothing was decided yet.
func (a *Agent) obey(text string) (turn agent.Turn, done bool, err error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if !strings.HasPrefix(word, ":") {
		if word == "" {
			return agent.Turn{}, false, nil
		}
		return command(text), true, nil
	}
	switch word {
	case ":submit", ":validate":
		return command(word[1:]), true, nil
	case ":quit":
		return command("exit_forfeit"), true, nil
	case ":stop":
		reason := cmp.Or(strings.TrimSpace(rest), "the person at the terminal stopped the episode")
		return agent.Turn{Stop: gym.CauseError, StopReason: reason}, true, nil
	case ":help":
		return agent.Turn{}, false, a.say(help)
	case ":tools":
		return agent.Turn{}, false, a.say(a.tools(rest))
	default:
		return agent.Turn{}, false, a.say(fmt.Sprintf("There is no %s here; :help lists what there is.", word))
	}
}

func command(text string) agent.Turn { return agent.Turn{Action: gym.Action{Command: text}} }

const help = `Type shell text; it is run in the sandbox, and its output is the next observation.
A here-document, an open quote, a loop, an edit or an insert goes on until it is complete.

  :validate   measure what is in the workspace (the same as validate)
  :submit     hand in what is in the workspace and end the episode
  :quit       give up: nothing is graded
  :stop       end the episode; what is in the workspace is graded
  :tools      the tools beside the shell; ":tools edit" explains one
  :help       this text

On a terminal, Ctrl-D is the end of the input (as :stop), and Ctrl-C clears the line;
pressed twice it leaves the run, which can be resumed.`

func (a *Agent) tools(name string) string {
	name = strings.TrimSpace(name)
	var b strings.Builder
	for _, t := range a.cfg.Tools {
		switch name {
		case "":
			fmt.Fprintf(&b, "  %s\n", t.Usage)
		case t.Name:
			return t.Usage + "\n\n" + t.Doc
		}
	}
	switch {
	case b.Len() > 0:
		return b.String()
	case name != "":
		return fmt.Sprintf("There is no tool %q; :tools lists them.", name)
	}
	return "There are no tools beside the shell."
}

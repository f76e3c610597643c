package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"mlgym/episode"
	"mlgym/internal/nearest"
	"mlgym/sandbox"
	"mlgym/slurm"
	"mlgym/task"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError marks an error that the user can mend at the command line or in a
// file of theirs.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// errReported ends a command whose result was printed and is a failure.
var errReported = errors.New("failed")

// app is what the commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	log      *slog.Logger
	verbose  bool
	signals  *interrupts
}

// Main runs the command line and returns the exit code.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, log: slog.New(slog.DiscardHandler)}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	ctx, stop := a.signalContext()
	defer stop()
	err := root.ExecuteContext(ctx)
	return a.exitCode(err)
}

func (a *app) exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errReported) {
		return exitFailed
	}
	if errors.Is(err, errRequeue) {
		return slurm.ExitRequeue
	}
	fmt.Fprintf(a.err, "mlgym: %v\n", err)
	var wrong *usageError
	var wrongEpisode *episode.UserError
	var unknownTask *task.UnknownError
	if errors.As(err, &wrong) || errors.As(err, &wrongEpisode) || errors.As(err, &unknownTask) {
		return exitUsage
	}
	return exitFailed
}

// errInterrupted is why a command was cancelled.
var errInterrupted = errors.New("interrupted")

// interrupts is how a command takes the signals that ask it to end.
type interrupts struct {
	mu     sync.Mutex
	gentle chan struct{} // closed by the first one, where a command asked for it
}

// gently returns a channel that the first interrupt closes. From then on the
// second one cancels the command's context, and the third ends the program.
func (a *app) gently() <-chan struct{} {
	a.signals.mu.Lock()
	defer a.signals.mu.Unlock()
	if a.signals.gentle == nil {
		a.signals.gentle = make(chan struct{})
	}
	return a.signals.gentle
}

// first takes the first interrupt, and reports whether a command did.
func (s *interrupts) first() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gentle == nil {
		return false
	}
	close(s.gentle)
	return true
}

// signalContext ends with the first interrupt, or with the second where a
// command takes the first one gently; the next one ends the program at once.
// Everything that runs in sandboxes ends with it.
func (a *app) signalContext() (context.Context, func()) {
	a.signals = &interrupts{}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		steps := []func(){
			func() { cancel(errInterrupted) },
			func() { os.Exit(128 + int(syscall.SIGINT)) },
		}
		gentle := true
		for len(steps) > 0 {
			select {
			case <-signals:
			case <-done:
				return
			}
			if gentle && a.signals.first() {
				gentle = false
				continue
			}
			gentle = false
			steps[0]()
			steps = steps[1:]
		}
	}()
	return ctx, func() { signal.Stop(signals); close(done); cancel(nil) }
}

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mlgym",
		Short: "A gym for AI research agents",
		Long: `mlgym puts an agent before an open-ended machine-learning task, in a sandbox
with a shell, scores what it hands in where it cannot touch the score, and keeps
a record of every step.

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  mlgym run --task prisonersDilemma --agent demo
  mlgym task list
  mlgym doctor`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          a.noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			if a.verbose {
				a.log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
		},
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(a.explainFlag(c, err)) })
	cmd.AddCommand(a.runCommand(), a.replayCommand(), a.showCommand(), a.taskCommand(), a.dataCommand(), a.environmentCommand(), a.doctorCommand(), a.sandboxCommand(), a.benchCommand(),
		a.experimentCommand(), a.importCommand(), a.reportCommand(), a.auditCommand(), a.searchCommand(), a.viewCommand(), a.exportCommand(), a.serveCommand(), a.mcpCommand())
	return cmd
}

// noSuchCommand refuses words that are no command and names the nearest ones.
func (a *app) noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return usagef("unknown command %q for %q%s (see %s --help)", args[0], cmd.CommandPath(), nearest.Hint(args[0], known), cmd.CommandPath())
}

// explainFlag adds the nearest flag to the error of an unknown one.
func (a *app) explainFlag(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	}
	var known []string
	for _, set := range []string{cmd.Flags().FlagUsages(), cmd.InheritedFlags().FlagUsages()} {
		for line := range strings.Lines(set) {
			if _, rest, ok := strings.Cut(line, "--"); ok {
				known = append(known, strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '[' || r == '\n' })[0])
			}
		}
	}
	hint := ""
	if names := nearest.Names(name, known); len(names) > 0 {
		hint = ": did you mean --" + strings.Join(names, ", --") + "?"
	}
	return fmt.Errorf("%w%s (see %s --help)", err, hint, cmd.CommandPath())
}

// printJSON prints one object for machines.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// group is a command that only holds others.
func (a *app) group(use, short, long, example string, sub ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(sub...)
	return cmd
}

// args wraps cobra's check of arguments so that it ends with the code of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usagef("%w: usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// unavailable reports whether an error says that a sandbox cannot be had here.
func unavailable(err error) bool {
	var u *sandbox.UnavailableError
	return errors.As(err, &u)
}

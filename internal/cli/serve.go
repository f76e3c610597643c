package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mlgym"
	"mlgym/episode"
	"mlgym/internal/atomicfile"
	"mlgym/internal/nearest"
	"mlgym/sandbox"
	"mlgym/server"
	"mlgym/server/mcp"
	"mlgym/server/openenv"
	"mlgym/server/session"
	"mlgym/server/supply"
	"mlgym/task"
	"mlgym/taskenv"
)

// serveOptions are the flags of serve and mcp.
type serveOptions struct {
	addr, tokenFile, readyFile string
	task                       string
	extra                      []string
	variant, mode, reward      string
	maxSteps, maxSessions      int
	perClient, gradings        int
	patience, grace, idle      time.Duration
	drain                      time.Duration
	snapshotMB                 int64
	driver, root               string
	memoryMB, diskMB           int64
	cpus                       float64
	warm                       []string
	runs                       string
	asJSON, withParent         bool
}

// common are the flags that say what is served.
func (o *serveOptions) common(f *pflag.FlagSet) {
	f.StringVar(&o.task, "task", "", "the task of an episode that names none: a name, or a folder with a task.yaml")
	f.StringVar(&o.variant, "variant", task.Full, "the variant of an episode that names none")
	f.StringVar(&o.mode, "mode", string(task.Hardened), "the mode of an episode that names none")
	f.StringVar(&o.reward, "reward", string(taskenv.Improvement), "the reward of an episode that names none: improvement, terminal or none")
	f.IntVar(&o.maxSteps, "max-steps", 0, "how many actions an episode may take at most; 0 means no limit")
	f.DurationVar(&o.patience, "patience", 45*time.Second, "how long a command is waited for before its client is told that it still runs")
	f.StringVar(&o.driver, "sandbox", "bubblewrap", "where agents work: "+strings.Join(mlgym.DriverNames(), ", "))
	f.StringVar(&o.root, "root", "", "root file system of the sandboxes, as for run")
	d := sandbox.DefaultLimits
	f.Int64Var(&o.memoryMB, "memory-mb", 0, fmt.Sprintf("memory of a sandbox; 0 means what the task asks for, else %d", d.MemoryBytes>>20))
	f.Int64Var(&o.diskMB, "disk-mb", 0, fmt.Sprintf("size of each writable place in a sandbox; 0 means what the task asks for, else %d", d.DiskBytes>>20))
	f.Float64Var(&o.cpus, "cpus", 0, fmt.Sprintf("processors' worth of time for a sandbox; 0 means what the task asks for, else %g", d.CPUs))
	f.StringVar(&o.runs, "runs", "", "folder in which every episode is recorded as a run; none are without it")
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve environments to trainers and agents: OpenEnv, NeMo Gym, MCP",
		Long: `serve offers every task as an environment at one address, to many clients at once:

  OpenEnv 0.10   ws://HOST:PORT/ws, and the same over HTTP (docs/format/serve.md)
  NeMo Gym       POST /reset, /step, /close
  MCP            http://HOST:PORT/mcp?task=ID (streamable HTTP); for standard input
                 and output see "mlgym mcp"

A reset chooses the task (task=ID, or split and index of the tasks API); it claims a
sandbox that was made ready before. A command that outlasts --patience is answered by
"still running". A client that is lost finds its episode again within --grace.

Only this machine is served, unless there is a token: in the variable MLGYM_TOKEN or
the file of --token-file, and sent as "Authorization: Bearer TOKEN".

With --runs, http://HOST:PORT/view/ shows these runs in a browser, as "mlgym view" does,
and lets people work on the tasks. A browser shows the token once, as ?token=TOKEN.

The first line of standard output is the address. The first interrupt drains: no new
sessions, commands under way may end within --drain; the second ends at once.`,
		Example: `  mlgym serve
  mlgym serve --task battleOfSexes --variant small --warm battleOfSexes=16 --max-sessions 256
  MLGYM_TOKEN=$(openssl rand -hex 16) mlgym serve --addr 0.0.0.0:8000 --runs runs/served`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.addr, "addr", "127.0.0.1:8000", "address to listen at; port 0 takes a free one")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the token that clients have to send (default: the variable MLGYM_TOKEN)")
	o.common(f)
	f.StringSliceVar(&o.extra, "task-folder", nil, "further tasks: folders with a task.yaml")
	f.StringSliceVar(&o.warm, "warm", nil, "sandboxes to keep ready: TASK=N, or TASK:VARIANT=N; other tasks get some once they are asked for")
	f.IntVar(&o.maxSessions, "max-sessions", 64, "how many sessions there may be at a time")
	f.IntVar(&o.perClient, "max-per-client", 0, "how many sessions one client's address may have; 0 means no bound of its own")
	f.IntVar(&o.gradings, "gradings", 0, "how many gradings may go on at once; 0 means one for each processor")
	f.DurationVar(&o.grace, "grace", time.Minute, "how long a session whose connection was lost is kept")
	f.DurationVar(&o.idle, "idle", time.Hour, "how long a session without any request is kept")
	f.DurationVar(&o.drain, "drain", 30*time.Second, "how long commands under way may take when the server is told to end")
	f.Int64Var(&o.snapshotMB, "snapshots-mb", 8192, "how much all saved states may take together")
	f.StringVar(&o.readyFile, "ready-file", "", "file that is written with the address once the server answers")
	f.BoolVar(&o.asJSON, "json", false, "print the address as JSON: {\"url\": …}")
	f.BoolVar(&o.withParent, "with-parent", false, "end when standard input ends")
	_ = f.MarkHidden("with-parent") // the Python package's
	return cmd
}

func (a *app) mcpCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "mcp --task ID",
		Short: "Put an MCP-capable agent on a task, over standard input and output",
		Long: `mcp is an MCP server for one client: its tools are those of an episode (bash, open,
edit, validate, submit …), and its instructions hold the statement of the task. Name
this command in the client's configuration. "mlgym serve" offers the same over HTTP.

The episode ends with submit, or with the client.`,
		Example: `  mlgym mcp --task battleOfSexes --variant small
  claude mcp add mlgym -- mlgym mcp --task prisonersDilemma`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serveStdio(cmd.Context(), &o) },
	}
	cmd.Flags().SortFlags = false
	o.common(cmd.Flags())
	return cmd
}

// house is what serve and mcp share: sessions, and what they are made of.
type house struct {
	table    *session.Table
	supply   *supply.Supply
	fallback string // task of an episode that names none
	tasks    []openenv.Task
}

func (h *house) close() error {
	h.table.Close()
	return h.supply.Close()
}

// build makes the house. What the tasks that were named need is prepared first.
func (a *app) build(ctx context.Context, o *serveOptions) (*house, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	driver, err := mlgym.OpenDriver(o.driver)
	if err != nil {
		return nil, usage(err)
	}
	catalog, err := mlgym.Tasks()
	if err != nil {
		return nil, err
	}
	secret, err := mlgym.InstallationSecret()
	if err != nil {
		return nil, err
	}
	out := &house{}
	opts := supply.Options{
		Driver: driver, Secret: secret, Tasks: catalog, Variant: o.variant, Mode: task.Mode(o.mode), Reward: taskenv.Reward(o.reward),
		MaxSteps: o.maxSteps, Root: o.root, Gradings: o.gradings, Runs: o.runs, Version: version(), Log: a.log,
		Limits: sandbox.Limits{MemoryBytes: o.memoryMB << 20, DiskBytes: o.diskMB << 20, CPUs: o.cpus},
	}
	for _, name := range o.extra {
		t, err := episode.FindTask(strings.TrimSuffix(name, "/") + "/")
		if err != nil {
			return nil, usage(err)
		}
		opts.Extra = append(opts.Extra, t)
	}
	if o.task != "" {
		t, err := episode.FindTask(o.task)
		if err != nil {
			return nil, usage(err)
		}
		opts.Extra = append(opts.Extra, t)
		out.fallback = string(t.ID)
	}
	if opts.Warm, err = o.warmth(out.fallback); err != nil {
		return nil, err
	}
	if out.supply, err = supply.New(opts); err != nil {
		return nil, usage(err)
	}
	var variants []string
	for _, t := range out.supply.Tasks() {
		variants = append(variants, t.VariantNames()...)
		out.tasks = append(out.tasks, openenv.Task{
			ID: string(t.ID), Name: t.Name, Summary: t.Summary, Variant: out.supply.Variant(t), Metric: t.Primary().Name,
		})
	}
	if !slices.Contains(variants, o.variant) {
		slices.Sort(variants)
		variants = slices.Compact(variants)
		return nil, usagef("--variant %q: no task has it%s (there are %s)", o.variant, nearest.Hint(o.variant, variants), strings.Join(variants, ", "))
	}
	for _, t := range opts.Extra {
		if _, err := a.provide(ctx, t, out.supply.Variant(t), false); err != nil {
			return nil, err
		}
	}
	if err := out.supply.Start(ctx); err != nil {
		return nil, errors.Join(usage(err), out.supply.Close())
	}
	patience := o.patience
	if patience == 0 {
		patience = -1 // for ever
	}
	out.table = session.NewTable(session.Options{
		Make: out.supply.Make, Max: o.maxSessions, MaxPerClient: o.perClient, Patience: patience, Grace: o.grace, Idle: o.idle,
		Snapshots: session.SnapshotLimits{Bytes: o.snapshotMB << 20}, Log: a.log,
	})
	return out, nil
}

// check refuses numbers and words that no task is needed to refuse.
func (o *serveOptions) check() error {
	for name, n := range map[string]int64{
		"max-sessions": int64(o.maxSessions) - 1, "max-per-client": int64(o.perClient), "gradings": int64(o.gradings), "max-steps": int64(o.maxSteps),
		"snapshots-mb": o.snapshotMB - 1, "memory-mb": o.memoryMB, "disk-mb": o.diskMB, "patience": int64(o.patience), "drain": int64(o.drain),
		"grace": int64(o.grace) - 1, "idle": int64(o.idle) - 1,
	} {
		if n < 0 {
			return usagef("--%s is too small", name)
		}
	}
	if o.cpus < 0 {
		return usagef("--cpus is too small")
	}
	for _, one := range []struct {
		name, value string
		known       []string
	}{
		{"mode", o.mode, []string{string(task.Hardened), string(task.Published)}},
		{"reward", o.reward, []string{string(taskenv.Improvement), string(taskenv.Terminal), string(taskenv.None)}},
	} {
		if !slices.Contains(one.known, one.value) {
			return usagef("--%s %q is not known%s (there are %s)", one.name, one.value, nearest.Hint(one.value, one.known), strings.Join(one.known, ", "))
		}
	}
	return nil
}

// warmth reads --warm. The task of an episode that names none is warm by itself.
func (o *serveOptions) warmth(fallback string) (map[string]int, error) {
	out := map[string]int{}
	for _, text := range o.warm {
		name, n, err := supply.ParseWarm(text)
		if err != nil {
			return nil, usagef("--warm %w", err)
		}
		out[name] = n
	}
	if _, ok := out[fallback]; !ok && fallback != "" {
		out[fallback] = min(4, o.maxSessions)
	}
	return out, nil
}

// token reads the token that clients have to send.
func (o *serveOptions) token() (string, error) {
	token := os.Getenv("MLGYM_TOKEN")
	if o.tokenFile != "" {
		text, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return "", usage(fmt.Errorf("--token-file: %w", err))
		}
		token = strings.TrimSpace(string(text))
		if token == "" {
			return "", usagef("--token-file %s is empty", o.tokenFile)
		}
	}
	const least = 16
	if token != "" && len(token) < least {
		return "", usagef("the token has %d characters: at least %d are wanted, such as those of: openssl rand -hex 16", len(token), least)
	}
	return token, nil
}

func (a *app) serve(ctx context.Context, o *serveOptions) (err error) {
	token, err := o.token()
	if err != nil {
		return err
	}
	if err := server.CheckAddr(o.addr, token); err != nil {
		return usage(err)
	}
	// First the address: what is wrong with it should not cost anything.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return usagef("--addr: %w (port 0 takes a free one)", err)
	}
	house, err := a.build(ctx, o)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, house.close()) }()
	stop := a.gently() // until here an interrupt ends it at once
	pages, closePages, err := a.servedPages(ctx, o, house, token)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, closePages()) }()
	srv := server.New(server.Options{
		Pages: pages, Sessions: house.table, Tasks: house.tasks, Default: house.fallback, Warm: house.supply.Warm, Token: token, Version: version(), Log: a.log,
	})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	url := "http://" + listener.Addr().String()
	if err := a.announce(o, url); err != nil {
		return errors.Join(err, listener.Close())
	}
	orphaned := make(chan struct{})
	if o.withParent {
		go func() {
			_, _ = io.Copy(io.Discard, a.in)
			close(orphaned)
		}()
	}
	limit := o.drain
	select {
	case err := <-served:
		return err
	case <-orphaned:
		limit = 0 // nobody is there to want the results
	case <-stop:
		fmt.Fprintf(a.err, "draining: commands under way have %s; interrupt again to end at once\n", o.drain)
	case <-ctx.Done():
		limit = 0
	}
	ending, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cut, err := srv.Shutdown(ending)
	if cut > 0 {
		fmt.Fprintf(a.err, "%d commands were cut off\n", cut)
	}
	return err
}

// announce tells where the server is.
func (a *app) announce(o *serveOptions, url string) error {
	if o.readyFile != "" {
		if err := atomicfile.WriteFile(o.readyFile, []byte(url+"\n"), 0o644); err != nil {
			return fmt.Errorf("--ready-file: %w", err)
		}
	}
	if o.asJSON {
		return json.NewEncoder(a.out).Encode(map[string]string{"url": url})
	}
	_, err := fmt.Fprintln(a.out, url)
	return err
}

func (a *app) serveStdio(ctx context.Context, o *serveOptions) (err error) {
	if o.task == "" {
		return usagef("--task is wanted: a name from \"mlgym task list\", or a folder with a task.yaml")
	}
	o.maxSessions, o.idle, o.grace, o.snapshotMB = 1, 24*time.Hour, time.Minute, 1
	house, err := a.build(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, house.close()) }()
	err = mcp.ServeStdio(ctx, mcp.Options{Sessions: house.table, Default: session.Request{Task: house.fallback}, Version: version(), Log: a.log})
	if ctx.Err() != nil {
		return nil // the client, or a person, ended it
	}
	return err
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/server"
	"mlgym/server/session"
	"mlgym/web"
	"mlgym/web/experiments"
	"mlgym/web/play"
	"mlgym/web/record"
)

// viewOptions are the flags of view.
type viewOptions struct {
	serve                 serveOptions // address and token; with --play what is played
	export                string
	control, play         bool
	open, noLogs          bool
	withLogs              bool
	tasks, models, agents []string
	exits, variants       []string
}

const viewAddr = "127.0.0.1:8080"

func (a *app) viewCommand() *cobra.Command {
	var o viewOptions
	cmd := &cobra.Command{
		Use:   "view [RUNS...]",
		Short: "Look at runs and experiments in a browser, live and finished",
		Long: `view serves pages about the runs and experiments at and below the given folders
("runs" where none is given): progress, leaderboard, every step of a run, comparison,
full-text search. Runs of mlgym are read while they are written; run folders as MLGym
publishes them are read in place. Nothing is written into the folders.

The pages are for this machine only and change nothing. --control lets them stop,
resume and retry experiments; --play lets people work on tasks in the browser, in
sandboxes, recorded below the first folder as any run. To let others look, give an
address and a token: in the variable MLGYM_TOKEN or the file of --token-file. A browser
shows it once, as ?token=TOKEN.

--export writes the pages of the chosen runs into a folder that can be opened from a
file share, without any server. What graders printed, which may tell of hidden data,
is left out there unless --with-logs is given.`,
		Example: `  mlgym view runs/
  mlgym view trajectories/mlgym_bench_v0 runs/ --open
  mlgym view runs/grid --control
  mlgym view runs/ --task battleOfSexes --export site/
  MLGYM_TOKEN=$(openssl rand -hex 16) mlgym view runs/ --addr 0.0.0.0:8080`,
		RunE: func(cmd *cobra.Command, given []string) error { return o.run(cmd.Context(), a, cmd.Flags(), given) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	s := &o.serve
	f.StringVar(&s.addr, "addr", viewAddr, "address to listen at; port 0 takes a free one, and so does the default where it is taken")
	f.StringVar(&s.tokenFile, "token-file", "", "file with the token that browsers have to show (default: the variable MLGYM_TOKEN)")
	f.BoolVar(&o.open, "open", false, "open the page in the browser")
	f.BoolVar(&o.control, "control", false, "let the pages stop, resume and retry experiments")
	f.BoolVar(&o.play, "play", false, "let people work on tasks in the browser")
	f.BoolVar(&o.noLogs, "no-logs", false, "do not show what graders printed")
	f.StringVar(&o.export, "export", "", "write the pages into this folder instead of serving them")
	f.BoolVar(&o.withLogs, "with-logs", false, "with --export: what graders printed as well")
	f.StringSliceVar(&o.tasks, "task", nil, "only runs on these tasks")
	f.StringSliceVar(&o.models, "model", nil, "only runs of these models")
	f.StringSliceVar(&o.agents, "agent", nil, "only runs of these agents, or of those that an experiment calls so")
	f.StringSliceVar(&o.exits, "exit", nil, "only runs that ended so")
	f.StringSliceVar(&o.variants, "variant", nil, "only runs of these variants")
	f.StringVar(&s.readyFile, "ready-file", "", "file that is written with the address once the pages answer")
	f.BoolVar(&s.asJSON, "json", false, `print the address, or what was exported, as JSON`)
	f.StringVar(&s.driver, "sandbox", "bubblewrap", "with --play: where people work, as for serve")
	return cmd
}

func (o *viewOptions) check(f *pflag.FlagSet) error {
	if o.export == "" {
		if o.withLogs {
			return usagef("--with-logs belongs to --export")
		}
		return nil
	}
	for _, name := range []string{"addr", "token-file", "open", "control", "play", "no-logs", "ready-file"} {
		if f.Changed(name) {
			return usagef("--%s has no meaning with --export, which serves nothing", name)
		}
	}
	return nil
}

func (o *viewOptions) run(ctx context.Context, a *app, f *pflag.FlagSet, given []string) (err error) {
	if err := o.check(f); err != nil {
		return err
	}
	if len(given) == 0 {
		given = []string{"runs"}
	}
	roots := make([]string, len(given))
	for i, dir := range given {
		if roots[i], err = filepath.Abs(dir); err != nil {
			return err
		}
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, os.ErrNotExist) && o.play && i == 0:
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
		case errors.Is(err, os.ErrNotExist):
			return usagef("%s is not there: name a folder with runs", dir)
		case err != nil:
			return usage(err)
		case !info.IsDir():
			return usagef("%s is a file: name a folder with runs, or that of one run", dir)
		}
	}
	index, err := openIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	library := record.NewLibrary(record.LibraryOptions{
		Roots: roots, Index: index, Metric: metricOf(),
		Only: search.Filter{Tasks: o.tasks, Models: o.models, Agents: o.agents, ExitStatus: o.exits, Variants: o.variants},
	})
	defer library.Close()
	site := web.Options{
		Library: library, Roots: roots, Name: strings.Join(given, ", "), Logs: !o.noLogs, Version: version(), Log: a.log,
	}
	if o.export != "" {
		return o.write(ctx, a, site, index, roots)
	}
	library.Start(ctx)
	return o.serveSite(ctx, a, f, site, roots)
}

// write exports the site.
func (o *viewOptions) write(ctx context.Context, a *app, site web.Options, index *search.Index, roots []string) error {
	if _, err := a.updateIndex(ctx, index, roots); err != nil {
		return err
	}
	site.Library.Start(ctx)
	if err := site.Library.Wait(ctx); err != nil {
		return err
	}
	site.Static, site.Logs = true, o.withLogs
	progress := newCounter(a.err, "pages and files written")
	viewer := web.New(site) //nolint:contextcheck // what it begins has times of its own
	defer viewer.Close()
	done, err := viewer.Export(ctx, o.export, progress.show)
	progress.end()
	switch {
	case errors.Is(err, web.ErrNotExport):
		return usage(err)
	case err != nil:
		return err
	}
	if o.serve.asJSON {
		return writeJSON(a.out, map[string]any{"dir": o.export, "pages": done.Pages, "files": done.Files, "bytes": done.Bytes})
	}
	_, err = fmt.Fprintf(a.out, "%d pages in %d files, %.1f MB; begin with %s\n", done.Pages, done.Files, float64(done.Bytes)/1e6, filepath.Join(o.export, "index.html"))
	return err
}

// serveSite serves the pages until it is told to end.
func (o *viewOptions) serveSite(ctx context.Context, a *app, f *pflag.FlagSet, site web.Options, roots []string) (err error) {
	token, err := o.serve.token()
	if err != nil {
		return err
	}
	if err := server.CheckAddr(o.serve.addr, token); err != nil {
		return usage(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.serve.addr)
	if err != nil && !f.Changed("addr") {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return usagef("--addr: %w (port 0 takes a free one)", err)
	}
	defer listener.Close() // the server closes it first
	site.Token = token
	if o.control {
		if site.Control, err = newControl(); err != nil {
			return err
		}
	}
	if o.play {
		house, err := a.playHouse(ctx, o.serve.driver, roots[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, house.close()) }()
		site.Play = house.play()
	}
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	viewer := web.New(site) //nolint:contextcheck // what it begins has times of its own
	defer viewer.Close()
	srv := &http.Server{
		Handler:           viewer.Handler(),
		ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return stopping },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	address := "http://" + listener.Addr().String() + "/"
	if err := a.announce(&o.serve, address); err != nil {
		return err
	}
	if o.open {
		a.openBrowser(ctx, address)
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop() // what streams ends
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if srv.Shutdown(ending) != nil {
		_ = srv.Close() // whoever still reads has had its time
	}
	return nil
}

// openBrowser opens the page as the desktop would; where there is none, it says so. A
// token is not handed over: everybody on the machine can read a command's arguments.
func (a *app) openBrowser(ctx context.Context, address string) {
	for _, opener := range []string{"xdg-open", "open"} {
		if path, err := exec.LookPath(opener); err == nil {
			if exec.CommandContext(ctx, path, address).Run() == nil { //nolint:gosec // our own address
				return
			}
		}
	}
	fmt.Fprintln(a.err, "no browser could be opened; open the address above yourself")
}

// newControl lets pages act on experiments, by this program.
func newControl() (experiments.Control, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &experiments.Process{Program: program}, nil
}

// playHouse makes what people play in.
func (a *app) playHouse(ctx context.Context, driver, runs string) (*house, error) {
	o := &serveOptions{
		driver: driver, variant: "full", mode: "hardened", reward: "improvement", runs: runs,
		maxSessions: 8, patience: 5 * time.Second, grace: 24 * time.Hour, idle: 24 * time.Hour, snapshotMB: 1,
	}
	return a.build(ctx, o)
}

// servedPages makes the pages of a server that records its episodes, nil for one that
// does not. What is returned beside them is to be closed after the server.
func (a *app) servedPages(ctx context.Context, o *serveOptions, h *house, token string) (http.Handler, func() error, error) {
	if o.runs == "" {
		return nil, func() error { return nil }, nil
	}
	root, err := filepath.Abs(o.runs)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(root, 0o777); err != nil { //nolint:gosec // the user's umask decides
		return nil, nil, usage(fmt.Errorf("--runs: %w", err))
	}
	index, err := openIndex(ctx)
	if err != nil {
		return nil, nil, err
	}
	library := record.NewLibrary(record.LibraryOptions{Roots: []string{root}, Index: index, Metric: metricOf()})
	library.Start(ctx)
	pages := web.New(web.Options{ //nolint:contextcheck // likewise
		Library: library, Roots: []string{root}, Prefix: server.PagesPrefix, Name: o.runs, Token: token, Logs: true,
		Play: h.play(), Version: version(), Log: a.log,
	})
	return pages.Handler(), func() error {
		pages.Close()
		library.Close()
		return index.Close()
	}, nil
}

// play is what the pages need of a house.
func (h *house) play() *play.Options {
	return &play.Options{Table: h.table, Tasks: h.supply.Tasks(), Default: session.Request{Task: h.fallback}}
}

// metricOf tells by which metric runs of the published benchmark are compared.
func metricOf() func(task string) (string, runstore.Direction) {
	catalog := report.MLGymBench()
	return func(task string) (string, runstore.Direction) {
		t, ok := catalog.Task(task)
		if !ok {
			return "", ""
		}
		return t.Metric, runstore.Direction(t.DirectionName)
	}
}

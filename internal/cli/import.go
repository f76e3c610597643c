package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mlgym/report"
	"mlgym/runstore"
	"mlgym/trajectory/mlgym"
)

// importCommand makes `mlgym import`.
func (a *app) importCommand() *cobra.Command {
	return a.group("import", "Bring in runs of other systems",
		"Import reads runs that another system recorded.", "  mlgym import mlgym trajectories/mlgym_bench_v0 --out runs/",
		a.importMLGymCommand())
}

// imported says what an import did; it is printed with --json.
type imported struct {
	Root        string         `json:"root"`
	Out         string         `json:"out,omitempty"`
	Runs        int            `json:"runs"`
	WithResults int            `json:"with_results"`
	WithRecord  int            `json:"with_record"`
	Evaluations int            `json:"evaluations"`
	Steps       int            `json:"steps"`
	Written     int            `json:"written"`
	Models      map[string]int `json:"models"`
	Tasks       map[string]int `json:"tasks"`
	Unknown     []string       `json:"unknown_models"`
	Undeclared  []string       `json:"undeclared_tasks"`
	Problems    []problem      `json:"problems"`
}

type problem struct {
	Path string `json:"path"`
	Kind string `json:"kind"` // missing, broken, note, exists
	Text string `json:"text"`
}

func (a *app) importMLGymCommand() *cobra.Command {
	var out, catalogPath string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "mlgym ROOT",
		Short: "Read run folders as MLGym publishes them",
		Long: `Reads folders that hold results.json and {task}.traj, one run at a time, whatever
their size. Missing, empty, broken and half-written files are named and counted;
they never stop the rest. With --out every run is also written as a run of ours.
Reports and audits read such a ROOT directly; importing is for everything else.`,
		Example: `  mlgym import mlgym trajectories/mlgym_bench_v0
  mlgym import mlgym trajectories/mlgym_bench_v0 --out runs/ --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, roots []string) error {
			catalog, err := readCatalog(catalogPath)
			if err != nil {
				return err
			}
			done := imported{Root: roots[0], Out: out, Models: map[string]int{}, Tasks: map[string]int{}, Unknown: []string{}, Undeclared: []string{}, Problems: []problem{}}
			if err := a.importMLGym(cmd, catalog, &done); err != nil {
				return explainReport(err)
			}
			if asJSON {
				return a.printJSON(done)
			}
			a.sayImported(&done)
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the runs below this folder")
	cmd.Flags().StringVar(&catalogPath, "catalog", "", "a JSON file with further tasks, models or prices (docs/format/report.md)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) importMLGym(cmd *cobra.Command, catalog *report.Catalog, done *imported) error {
	entries, problems, err := mlgym.Find(done.Root)
	if err != nil {
		return err
	}
	for _, p := range problems {
		done.add(p)
	}
	progress := newCounter(a.err, "runs read")
	defer progress.end()
	seen := make(map[string]bool)
	count := func(run *mlgym.Run, _ struct{}) error {
		done.Runs++
		progress.show(done.Runs, len(entries))
		name := run.Name
		if _, ok := catalog.Model(name.Model); !ok && done.Models[name.Model] == 0 {
			done.Unknown = append(done.Unknown, name.Model)
		}
		if _, ok := catalog.Task(name.Task); !ok && done.Tasks[name.Task] == 0 {
			done.Undeclared = append(done.Undeclared, name.Task)
		}
		done.Models[name.Model]++
		done.Tasks[name.Task]++
		if run.HasResults {
			done.WithResults++
			done.Evaluations += len(run.Results.Attempts)
		}
		if run.HasTraj {
			done.WithRecord++
			done.Steps += run.Trailer.Steps
		}
		for _, p := range run.Problems {
			done.add(p)
		}
		if seen[run.Folder] {
			done.Problems = append(done.Problems, problem{run.Path, "exists", "a run of this name was read before"})
			return nil
		}
		seen[run.Folder] = true
		if done.Out == "" {
			return nil
		}
		return done.write(run, catalog)
	}
	return mlgym.Read(cmd.Context(), entries, mlgym.Options{}, nil, count)
}

func (d *imported) add(p mlgym.Problem) {
	kind := "note"
	switch {
	case p.Missing:
		kind = "missing"
	case p.Broken:
		kind = "broken"
	}
	d.Problems = append(d.Problems, problem{p.Path, kind, p.Note})
}

// importedAt dates imported runs, whose records do not say when they were made:
// the release of the benchmark.
var importedAt = time.Date(2025, 2, 13, 0, 0, 0, 0, time.UTC)

// write makes a run of ours. A run that is there already is left alone.
func (d *imported) write(run *mlgym.Run, catalog *report.Catalog) (err error) {
	if !run.HasResults && !run.HasTraj {
		d.Problems = append(d.Problems, problem{run.Path, "broken", "neither of its files could be read; not written"})
		return nil
	}
	m := report.ImportManifest(run, catalog)
	m.Created = importedAt
	dir := runstore.DefaultDir(d.Out, m)
	if _, err := runstore.ReadManifest(dir); err == nil {
		d.Problems = append(d.Problems, problem{dir, "exists", "is there already; left as it is"})
		return nil
	}
	ours, err := runstore.Create(dir, m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	w, err := ours.Trajectory(nil)
	if err != nil {
		return err
	}
	entry := mlgym.Entry{Path: run.Path, Folder: run.Folder, Name: run.Name}
	_, err = mlgym.Convert(entry, importedAt, w)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("import %s: %w", run.Path, err)
	}
	if _, err := ours.Seal(); err != nil {
		return err
	}
	d.Written++
	return nil
}

func (a *app) sayImported(d *imported) {
	fmt.Fprintf(a.out, "%d runs of %d models on %d tasks: %d with scores (%d evaluations), %d with a record (%d steps)\n",
		d.Runs, len(d.Models), len(d.Tasks), d.WithResults, d.Evaluations, d.WithRecord, d.Steps)
	for _, m := range d.Unknown {
		fmt.Fprintf(a.out, "model %s (%d runs) is not in the catalogue: no display name, no price\n", m, d.Models[m])
	}
	for _, t := range d.Undeclared {
		fmt.Fprintf(a.out, "task %s (%d runs) is not declared: its metric is not known\n", t, d.Tasks[t])
	}
	const shown = 20
	counts := make(map[string]int)
	for i, p := range d.Problems {
		counts[p.Kind]++
		if i < shown {
			fmt.Fprintf(a.out, "%s: %s: %s\n", p.Kind, p.Path, p.Text)
		}
	}
	if n := len(d.Problems); n > shown {
		fmt.Fprintf(a.out, "… and %d more; --json lists all\n", n-shown)
	}
	if len(d.Problems) > 0 {
		fmt.Fprintf(a.out, "problems: %d missing files, %d broken, %d notes, %d there before\n", counts["missing"], counts["broken"], counts["note"], counts["exists"])
	}
	if d.Out != "" {
		fmt.Fprintf(a.out, "%d runs written below %s\n", d.Written, filepath.Clean(d.Out))
	}
}

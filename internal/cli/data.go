package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/dataset"
	"mlgym/internal/nearest"
	"mlgym/task"
)

func (a *app) dataCommand() *cobra.Command {
	return a.group("data", "Prepare, list and verify data sets",
		`Data sets are prepared once and kept in the cache (MLGYM_CACHE), read-only: fetched,
checked, split into what an agent sees and what only a grader does. Runs prepare small
ones by themselves.`,
		"  mlgym data list\n  mlgym data prepare fashionMnist --variant small\n  mlgym data verify",
		a.dataListCommand(), a.dataPrepareCommand(), a.dataVerifyCommand(), a.dataRemoveCommand())
}

// dataLine is a variant of a data set as "data list --json" gives it.
type dataLine struct {
	ID       dataset.ID        `json:"id"`
	Version  int               `json:"version"`
	Name     string            `json:"name"`
	Licence  string            `json:"licence"`
	Variant  string            `json:"variant"`
	Summary  string            `json:"summary"`
	Expected int64             `json:"expected_bytes"`
	Sources  []dataset.Kind    `json:"sources"`
	Splits   []dataset.Split   `json:"splits"`
	Prepared *dataset.Prepared `json:"prepared,omitempty"`
	// Stale says that what is prepared was made by another version.
	Stale string `json:"stale,omitempty"`
}

func dataLines(store *dataset.Store) ([]dataLine, error) {
	catalog := mlgym.Datasets()
	var lines []dataLine
	for _, id := range catalog.IDs() {
		d, err := catalog.Find(id)
		if err != nil {
			return nil, err
		}
		for _, name := range d.VariantNames() {
			v := d.Variants[name]
			line := dataLine{
				ID: d.ID, Version: d.Version, Name: d.Name, Licence: d.Licence, Variant: name, Summary: v.Summary, Expected: v.Bytes,
				Sources: []dataset.Kind{}, Splits: d.Splits,
			}
			for _, s := range v.Sources {
				line.Sources = append(line.Sources, s.Kind)
			}
			if v.UserFiles != "" {
				line.Sources = append(line.Sources, dataset.User)
			}
			p, err := store.Lookup(d, name)
			switch {
			case err == nil:
				line.Prepared = &p
			case errors.Is(err, dataset.ErrStale):
				line.Stale = err.Error()
			case !errors.Is(err, dataset.ErrNotPrepared):
				return nil, err
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (a *app) dataListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the data sets, and which are prepared here", Args: args(cobra.NoArgs),
		Example: "  mlgym data list\n  mlgym data list --json",
		RunE: func(*cobra.Command, []string) error {
			provider, err := mlgym.NewProvider(nil)
			if err != nil {
				return err
			}
			lines, err := dataLines(provider.Store())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(lines)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DATA SET\tVARIANT\tPREPARED\tFROM\tWHAT IT IS")
			for _, l := range lines {
				state, from := "no, about "+dataset.Size(l.Expected), kinds(l.Sources)
				switch {
				case l.Prepared != nil:
					state, from = dataset.Size(l.Prepared.Bytes), string(l.Prepared.Source.Kind)
				case l.Stale != "":
					state = "out of date"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s: %s\n", l.ID, l.Variant, state, from, l.Name, l.Summary)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func kinds(list []dataset.Kind) string {
	words := make([]string, len(list))
	for i, k := range list {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}

// findDataset finds a data set that ships, or one of a task's folder, written
// FOLDER/datasets/ID.
func findDataset(name string) (*dataset.Dataset, error) {
	if strings.ContainsRune(name, '/') {
		name = filepath.Clean(name)
		d, err := dataset.Load(os.DirFS(filepath.Dir(name)), filepath.Base(name))
		return d, usage(err)
	}
	d, err := mlgym.Datasets().Find(dataset.ID(name))
	return d, usage(err)
}

func (a *app) dataPrepareCommand() *cobra.Command {
	var asJSON, again, quiet bool
	var variant, from string
	cmd := &cobra.Command{
		Use: "prepare ID|FOLDER", Short: "Fetch a data set, split it and keep it", Args: args(cobra.ExactArgs(1)),
		Long: `prepare fetches the first source of a data set that can be had (a download that was
cut goes on where it stopped), checks every digest, and runs the data set's script, which
writes what an agent sees and what only graders do. Rows that are hidden get an order and
ids of this installation. Without a network, or where a licence asks for it, --from takes
the files from a folder of your own.`,
		Example: "  mlgym data prepare fashionMnist\n  mlgym data prepare fashionMnist --variant small\n  mlgym data prepare ames --from ~/kaggle/house-prices",
		RunE: func(cmd *cobra.Command, given []string) error {
			d, err := findDataset(given[0])
			if err != nil {
				return err
			}
			if _, err := d.Variant(variant); err != nil {
				return usage(err)
			}
			b := a.newPreparing(quiet)
			provider, err := mlgym.NewProvider(b.tell)
			if err != nil {
				return err
			}
			p, err := provider.Store().Prepare(cmd.Context(), dataset.Request{
				Dataset: d, Variant: variant, From: from, Again: again,
				Progress: func(e dataset.Event) { b.tell(e.Text, e.Done, e.Total, e.Bytes) },
			})
			b.end()
			if err != nil {
				return unprepared(err)
			}
			if asJSON {
				return a.printJSON(p)
			}
			a.printPrepared(p)
			return nil
		},
	}
	cmd.Flags().StringVar(&variant, "variant", task.Full, "full or small")
	cmd.Flags().StringVar(&from, "from", "", "folder of your own that holds the files")
	cmd.Flags().BoolVar(&again, "again", false, "prepare also what is prepared")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress on standard error")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printPrepared(p dataset.Prepared) {
	fmt.Fprintf(a.out, "%s, version %d, %s: %d files, %s, from %s, prepared in %.1f s\n", p.ID, p.Version, p.Variant, p.Files, dataset.Size(p.Bytes), p.Source.Kind, p.Seconds)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SPLIT\tAGENT SEES IT\tFILES\tSIZE\tWHAT IT IS")
	for _, s := range p.Splits {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Name, s.Agent, s.Files, dataset.Size(s.Bytes), s.Summary)
	}
	_ = w.Flush() // standard output; nobody can be told
	fmt.Fprintf(a.out, "digest %s\n", p.Digest)
}

func (a *app) dataVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify [ID...]", Short: "Read prepared data again and compare every digest", Args: args(cobra.ArbitraryArgs),
		Example: "  mlgym data verify\n  mlgym data verify fashionMnist",
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.eachPrepared(ids, func(store *dataset.Store, p dataset.Prepared) error {
				b := a.newPreparing(false)
				b.quiet = !b.live
				err := store.Verify(cmd.Context(), p, func(e dataset.Event) { b.tell(e.Text, e.Done, e.Total, e.Bytes) })
				b.end()
				if err == nil {
					fmt.Fprintf(a.out, "%s (%s): %d files, %s, as they were prepared\n", p.ID, p.Variant, p.Files, dataset.Size(p.Bytes))
				}
				return err
			})
		},
	}
	return cmd
}

func (a *app) dataRemoveCommand() *cobra.Command {
	var variant string
	cmd := &cobra.Command{
		Use: "remove ID...", Short: "Remove prepared data; what was fetched for it stays", Args: args(cobra.MinimumNArgs(1)),
		Example: "  mlgym data remove fashionMnist --variant small",
		RunE: func(_ *cobra.Command, ids []string) error {
			return a.eachPrepared(ids, func(store *dataset.Store, p dataset.Prepared) error {
				if variant != "" && p.Variant != variant {
					return nil
				}
				if err := store.Remove(p); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "%s (%s) was removed\n", p.ID, p.Variant)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&variant, "variant", "", "only this variant")
	return cmd
}

// eachPrepared does something with prepared data: of these data sets, or of all
// where none is named. It goes on after a failure.
func (a *app) eachPrepared(ids []string, do func(*dataset.Store, dataset.Prepared) error) error {
	provider, err := mlgym.NewProvider(nil)
	if err != nil {
		return err
	}
	all, err := provider.Store().List()
	problems := []error{err}
	found := map[string]bool{}
	var known []string
	for _, p := range all {
		known = append(known, string(p.ID))
		if len(ids) > 0 && !slices.Contains(ids, string(p.ID)) {
			continue
		}
		found[string(p.ID)] = true
		problems = append(problems, do(provider.Store(), p))
	}
	for _, id := range ids {
		if !found[id] {
			problems = append(problems, usagef("no data set %q is prepared here%s", id, nearest.Hint(id, known)))
		}
	}
	return errors.Join(problems...)
}

package cli

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/dataset"
	"mlgym/environments"
	"mlgym/internal/nearest"
	"mlgym/layer"
)

func (a *app) environmentCommand() *cobra.Command {
	return a.group("environment", "List and remove the Python environments of tasks",
		`A task's Python environment is built once, by "task prepare" or by the first run, and kept in
the cache (MLGYM_CACHE). One whose lock file has changed is built anew; the old one stays
until it is removed.`,
		"  mlgym environment list\n  mlgym environment remove --old",
		a.environmentListCommand(), a.environmentRemoveCommand())
}

// builtEnvironment is a layer as "environment list --json" gives it.
type builtEnvironment struct {
	layer.Layer
	// Current says that it is that of a lock file that ships, as that is now.
	Current bool `json:"current"`
}

// builtEnvironments lists the layers of this machine.
func builtEnvironments() ([]builtEnvironment, error) {
	layers, err := layer.List()
	if err != nil {
		return nil, err
	}
	locks, err := shippedLocks()
	if err != nil {
		return nil, err
	}
	builder := layer.NewBuilder(layer.Options{})
	current := map[string]bool{}
	for _, lock := range locks {
		if l, ok := builder.Lookup(lock); ok {
			current[l.Digest] = true
		}
	}
	built := []builtEnvironment{}
	for _, l := range layers {
		built = append(built, builtEnvironment{l, current[l.Digest]})
	}
	return built, nil
}

// shippedLocks are the environments of the tasks, and those that the data sets
// are prepared in.
func shippedLocks() ([]layer.Lock, error) {
	names, err := layer.Environments(environments.Files)
	if err != nil {
		return nil, err
	}
	var locks []layer.Lock
	for _, name := range names {
		lock, err := layer.Find(environments.Files, name)
		if err != nil {
			return nil, err
		}
		locks = append(locks, lock)
	}
	catalog := mlgym.Datasets()
	for _, id := range catalog.IDs() {
		d, err := catalog.Find(id)
		if err != nil {
			return nil, err
		}
		lock, err := mlgym.PreparationLock(d)
		if err != nil {
			return nil, err
		}
		locks = append(locks, lock)
	}
	return locks, nil
}

func (a *app) environmentListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the environments that are built here", Args: args(cobra.NoArgs),
		Example: "  mlgym environment list\n  mlgym environment list --json",
		RunE: func(*cobra.Command, []string) error {
			built, err := builtEnvironments()
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(built)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ENVIRONMENT\tPACKAGES\tSIZE\tBUILT\tDIGEST\tOF A LOCK FILE THAT SHIPS")
			for _, l := range built {
				shipped := "no"
				if l.Current {
					shipped = "yes"
				}
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", l.Name, l.Packages, dataset.Size(l.Bytes), l.Built.Format("2006-01-02 15:04"), l.Digest, shipped)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) environmentRemoveCommand() *cobra.Command {
	var old, downloads bool
	cmd := &cobra.Command{
		Use: "remove [NAME|DIGEST...]", Short: "Remove environments; the next run builds what it needs", Args: args(cobra.ArbitraryArgs),
		Long: `remove takes environments by name or digest. With --old it takes those that belong to no
lock file that ships: of older versions, and of tasks of your own. Most of
their bytes are those of downloads that are kept beside them: --downloads frees these.`,
		Example: "  mlgym environment remove torch\n  mlgym environment remove --old",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) == 0 && !old && !downloads {
				return usagef("name an environment of \"mlgym environment list\", or give --old or --downloads")
			}
			if err := a.removeEnvironments(cmd.Context(), given, old); err != nil || !downloads {
				return err
			}
			return layer.NewBuilder(layer.Options{}).RemoveDownloads(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&old, "old", false, "all that belong to no lock file that ships")
	cmd.Flags().BoolVar(&downloads, "downloads", false, "also the downloads that are kept for the next build")
	return cmd
}

func (a *app) removeEnvironments(ctx context.Context, given []string, old bool) error {
	built, err := builtEnvironments() //nolint:contextcheck // looking for a layer takes no time
	if err != nil {
		return err
	}
	var names []string
	for _, l := range built {
		names = append(names, l.Name, l.Digest)
	}
	for _, name := range given {
		if !slices.Contains(names, name) {
			return usagef("no environment %q is built here%s", name, nearest.Hint(name, names))
		}
	}
	for _, l := range built {
		named := slices.Contains(given, l.Name) || slices.Contains(given, l.Digest)
		if !named && (!old || l.Current) {
			continue
		}
		if err := layer.Remove(ctx, l.Digest); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s (%s) was removed\n", l.Name, l.Digest)
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/sandbox"
)

func (a *app) sandboxCommand() *cobra.Command {
	return a.group("sandbox", "List sandboxes and clear what a crash left",
		"Sandboxes end with the mlgym process that made them, also when it is killed. What can\nremain after a crash of the machine is small: notes, control groups, stopped containers.",
		"  mlgym sandbox list\n  mlgym sandbox prune", a.sandboxListCommand(), a.sandboxPruneCommand())
}

// leftovers asks every driver that can tell. A driver that is not installed
// has left nothing.
func leftovers(ctx context.Context) (map[string]sandbox.Pruner, []sandbox.Leftover, error) {
	pruners := map[string]sandbox.Pruner{}
	var all []sandbox.Leftover
	var errs error
	for _, name := range mlgym.DriverNames() {
		d, err := mlgym.OpenDriver(name)
		if err != nil {
			return nil, nil, err
		}
		p, ok := d.(sandbox.Pruner)
		if !ok {
			continue
		}
		found, err := p.Leftovers(ctx)
		if unavailable(err) {
			continue
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		for _, l := range found {
			if pruners[l.Driver] == nil {
				pruners[l.Driver] = p
			}
		}
		all = append(all, found...)
	}
	return pruners, unique(all), errs
}

// unique drops what two drivers of one family both found.
func unique(list []sandbox.Leftover) []sandbox.Leftover {
	seen := map[string]bool{}
	out := []sandbox.Leftover{}
	for _, l := range list {
		if key := l.Driver + "\x00" + l.What + "\x00" + l.Path; !seen[key] {
			seen[key] = true
			out = append(out, l)
		}
	}
	return out
}

func (a *app) sandboxListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List sandboxes on this machine, live and left over", Args: args(cobra.NoArgs),
		Example: "  mlgym sandbox list\n  mlgym sandbox list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, all, err := leftovers(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(all)
			}
			if len(all) == 0 {
				fmt.Fprintln(a.out, "There are no sandboxes.")
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tDRIVER\tSTATE\tOWNER\tCREATED\tWHAT")
			for _, l := range all {
				state, created := "left over", "-"
				if l.Live {
					state = "live"
				}
				if !l.Created.IsZero() {
					created = l.Created.Local().Format(time.DateTime)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s %s\n", l.ID, l.Driver, state, l.OwnerPID, created, l.What, l.Path)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) sandboxPruneCommand() *cobra.Command {
	var asJSON, dryRun bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove what crashed runs left; live sandboxes stay", Args: args(cobra.NoArgs),
		Example: "  mlgym sandbox prune --dry-run\n  mlgym sandbox prune",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pruners, all, errs := leftovers(cmd.Context())
			removed := []sandbox.Leftover{}
			for _, l := range all {
				if l.Live {
					continue
				}
				if !dryRun {
					if err := pruners[l.Driver].Remove(cmd.Context(), l); err != nil {
						errs = errors.Join(errs, err)
						continue
					}
				}
				removed = append(removed, l)
			}
			if asJSON {
				return errors.Join(a.printJSON(removed), errs)
			}
			did := "Removed"
			if dryRun {
				did = "Would remove"
			}
			for _, l := range removed {
				fmt.Fprintf(a.out, "%s %s %s (%s)\n", did, l.What, strings.TrimSpace(l.Path), l.Driver)
			}
			fmt.Fprintf(a.out, "%s %d.\n", did, len(removed))
			return errs
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be removed")
	return cmd
}

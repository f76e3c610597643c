package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/internal/cachedir"
	"mlgym/internal/shim"
	"mlgym/machine"
	"mlgym/sandbox"
)

// finding is one line of the doctor's report.
type finding struct {
	What   string            `json:"what"`
	Works  bool              `json:"works"`
	Needed bool              `json:"needed"`
	Detail string            `json:"detail,omitempty"`
	Limits map[string]string `json:"limits,omitempty"`
	Notes  []string          `json:"notes,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what works on this machine, and how to mend what does not", Args: args(cobra.NoArgs),
		Long:    "doctor really makes a sandbox with every driver and tries it. It exits with 1 when\nsomething that every run needs does not work.",
		Example: "  mlgym doctor\n  mlgym doctor --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := examine(cmd.Context())
			if asJSON {
				if err := a.printJSON(findings); err != nil {
					return err
				}
			} else {
				a.printFindings(findings)
			}
			for _, f := range findings {
				if f.Needed && !f.Works {
					return errReported
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// probeWait bounds the trial of one driver; gVisor takes the longest.
const probeWait = 30 * time.Second

func examine(ctx context.Context) []finding {
	host, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	findings := []finding{{
		What: "machine", Works: true,
		Detail: fmt.Sprintf("%s/%s, kernel %s, %d processors, user number %d", runtime.GOOS, runtime.GOARCH,
			string(trimSpace(host)), runtime.NumCPU(), os.Geteuid()),
	}}
	dir, err := shim.Dir()
	findings = append(findings, said("mlgym-shim", true, dir, err))
	ruff, err := shim.Ruff()
	if err != nil {
		err = errors.New("edits of Python files are not checked: " + err.Error() + "; pip install ruff")
	}
	findings = append(findings, said("ruff", false, ruff, err))
	cache, err := cachedir.Dir()
	findings = append(findings, said("cache folder", true, cache, err))
	_, err = mlgym.InstallationSecret()
	findings = append(findings, said("installation secret", true, "readable", err))
	findings = append(findings, lent(ctx))
	for i, name := range mlgym.DriverNames() {
		findings = append(findings, probe(ctx, name, i == 0))
	}
	for _, key := range providerKeys() {
		f := finding{What: "key " + key.env, Works: key.value != ""}
		if !f.Works {
			f.Detail = "not set; needed for " + key.provider + "'s own servers only"
		}
		findings = append(findings, f)
	}
	return findings
}

// lent says what episodes may take of the machine, and who holds some of it.
func lent(ctx context.Context) finding {
	m, err := machine.Open(ctx, machine.Options{})
	if err != nil {
		return said("room for episodes", true, "", err)
	}
	f := finding{What: "room for episodes", Works: true, Detail: m.Has().String()}
	for _, g := range m.GPUs() {
		f.Notes = append(f.Notes, fmt.Sprintf("GPU %d: %s", g.Index, g.Name))
	}
	holders, err := m.Holders() //nolint:contextcheck // it does not wait
	if err != nil {
		f.Notes = append(f.Notes, err.Error())
	}
	for _, h := range holders {
		f.Notes = append(f.Notes, h.String())
	}
	return f
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

func said(what string, needed bool, detail string, err error) finding {
	f := finding{What: what, Works: err == nil, Needed: needed, Detail: detail}
	if err != nil {
		f.Detail = err.Error()
	}
	return f
}

func probe(ctx context.Context, name string, needed bool) finding {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	what := "sandbox " + name
	d, err := mlgym.OpenDriver(name)
	if err != nil {
		return said(what, needed, "", err)
	}
	p, ok := d.(sandbox.Prober)
	if !ok {
		return said(what, needed, "cannot be tried", nil)
	}
	began := time.Now()
	c, err := p.Probe(ctx)
	if u, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		f := finding{What: what, Needed: needed, Detail: u.Reason}
		if u.Fix != "" {
			f.Notes = []string{"to mend it: " + u.Fix}
		}
		return f
	}
	f := said(what, needed, fmt.Sprintf("made, tried and ended in %d ms", time.Since(began).Milliseconds()), err)
	f.Limits, f.Notes = c.Limits, c.Notes
	return f
}

func (a *app) printFindings(findings []finding) {
	for _, f := range findings {
		mark := "ok     "
		switch {
		case f.Works:
		case f.Needed:
			mark = "MISSING"
		default:
			mark = "absent "
		}
		fmt.Fprintf(a.out, "%s  %-20s  %s\n", mark, f.What, f.Detail)
		for _, limit := range slices.Sorted(maps.Keys(f.Limits)) {
			fmt.Fprintf(a.out, "%31s%s: %s\n", "", limit, f.Limits[limit])
		}
		for _, note := range f.Notes {
			fmt.Fprintf(a.out, "%31s%s\n", "", note)
		}
	}
}

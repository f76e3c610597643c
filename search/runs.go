package search

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"mlgym/runstore"
)

// Source says who wrote a run.
type Source string

// The sources of runs.
const (
	Ours  Source = "mlgym"
	MLGym Source = "published" // a folder as MLGym publishes it
)

// State says where a run stands.
type State string

// The states of runs. A run of ours without an end is Running while a process
// holds its lock, and Cut otherwise; that is looked at by [Index.Update].
const (
	Running  State = "running"
	Cut      State = "cut"
	Finished State = "finished"
	Broken   State = "broken"
)

// States returns all states.
func States() []State { return []State{Running, Cut, Finished, Broken} }

// Run is what the index knows of a run beside its texts. Of a run that goes on
// it is what stood in its files at the last update.
type Run struct {
	// ID as the manifest has it; of a published run the name of its folder.
	ID string `json:"id"`
	// Path of the run's folder, absolute.
	Path   string `json:"path"`
	Source Source `json:"source"`

	Task string `json:"task"`
	// Agent is the kind of agent, AgentName what an experiment calls it.
	Agent     string `json:"agent"`
	AgentName string `json:"agent_name,omitempty"`
	Model     string `json:"model,omitempty"`
	Scaffold  string `json:"scaffold,omitempty"`
	// Seed of the episode; of a published run its number.
	Seed    uint64 `json:"seed"`
	Mode    string `json:"mode,omitempty"`
	Variant string `json:"variant,omitempty"`

	State State `json:"state"`
	// Reason why the run is broken, or what else its files lack.
	Reason string `json:"reason,omitempty"`
	// Fault of the infrastructure that cut the run.
	Fault string `json:"fault,omitempty"`
	// ExitStatus as it is recorded, "" while there is none.
	ExitStatus string `json:"exit_status,omitempty"`

	// Metric decides on the scores. Score is that of the final evaluation, Best
	// the best of all, Baseline that of the task's starter; nil where there is none.
	Metric    string             `json:"metric,omitempty"`
	Direction runstore.Direction `json:"direction,omitempty"`
	Score     *float64           `json:"score"`
	Best      *float64           `json:"best"`
	Baseline  *float64           `json:"baseline"`

	// CostUSD is nil where it is not known.
	CostUSD   *float64 `json:"cost_usd"`
	TokensIn  int64    `json:"tokens_in"`
	TokensOut int64    `json:"tokens_out"`
	// Steps that were executed, and the seconds that the episode took (of a
	// published run: its commands).
	Steps   int     `json:"steps"`
	Seconds float64 `json:"seconds"`

	// Started and Ended are zero where the files do not say; Modified is when
	// the youngest of them changed.
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Modified time.Time `json:"modified,omitzero"`
}

// runColumns are the columns of a Run beside its path.
const runColumns = `run_id, source, task, agent, agent_name, model, scaffold, seed, mode, variant, state, reason, fault,
	exit_status, metric, direction, score, best, baseline, cost_usd, tokens_in, tokens_out, steps, seconds, started, ended, modified`

// values are the values of these columns.
func (r *Run) values() []any {
	return []any{
		r.ID, r.Source, r.Task, r.Agent, r.AgentName, r.Model, r.Scaffold, int64(r.Seed), r.Mode, r.Variant, r.State, r.Reason, r.Fault, //nolint:gosec // all bits are kept
		r.ExitStatus, r.Metric, string(r.Direction), r.Score, r.Best, r.Baseline, r.CostUSD, r.TokensIn, r.TokensOut, r.Steps, r.Seconds,
		nanos(r.Started), nanos(r.Ended), nanos(r.Modified),
	}
}

// scan reads a path and these columns.
func (r *Run) scan(rows interface{ Scan(...any) error }) error {
	var seed, started, ended, modified int64
	err := rows.Scan(&r.Path,
		&r.ID, &r.Source, &r.Task, &r.Agent, &r.AgentName, &r.Model, &r.Scaffold, &seed, &r.Mode, &r.Variant, &r.State, &r.Reason, &r.Fault,
		&r.ExitStatus, &r.Metric, &r.Direction, &r.Score, &r.Best, &r.Baseline, &r.CostUSD, &r.TokensIn, &r.TokensOut, &r.Steps, &r.Seconds,
		&started, &ended, &modified)
	r.Seed = uint64(seed) //nolint:gosec // all bits are kept
	r.Started, r.Ended, r.Modified = instant(started), instant(ended), instant(modified)
	return err
}

// nanos is a time as the index holds it, 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// Filter chooses runs. Of each list one has to be met; an empty one is met by
// every run.
type Filter struct {
	// Roots are folders at or below which the runs lie.
	Roots  []string
	Tasks  []string
	Models []string
	// Agents are kinds of agent, or what experiments call them.
	Agents []string
	// ExitStatus are whole ones, or outcomes: "autosubmission" also finds
	// "autosubmission (max_steps)".
	ExitStatus      []string
	States          []State
	Modes, Variants []string
	// MinScore and MaxScore bound the score of the final evaluation, or the best
	// one where there is no final one. Runs without a score are left out then.
	MinScore, MaxScore *float64
	// Contains is a part of the id or the path.
	Contains string
}

// where makes the condition of a filter, for the table runs.
func (f *Filter) where() (string, []any, error) {
	conditions := []string{"1"}
	var args []any
	oneOf := func(condition string, values []string) {
		if len(values) == 0 {
			return
		}
		var parts []string
		for _, v := range values {
			parts = append(parts, condition)
			for range strings.Count(condition, "?") {
				args = append(args, v)
			}
		}
		conditions = append(conditions, "("+strings.Join(parts, " OR ")+")")
	}
	if len(f.Roots) > 0 {
		roots, err := absolute(f.Roots)
		if err != nil {
			return "", nil, err
		}
		condition, values := inRoots(roots)
		conditions, args = append(conditions, "("+condition+")"), append(args, values...)
	}
	oneOf("task = ?", f.Tasks)
	oneOf("model = ?", f.Models)
	oneOf("agent = ? OR agent_name = ?", f.Agents)
	oneOf("exit_status = ? OR substr(exit_status, 1, length(?) + 2) = ? || ' ('", f.ExitStatus)
	var states []string
	for _, s := range f.States {
		states = append(states, string(s))
	}
	oneOf("state = ?", states)
	oneOf("mode = ?", f.Modes)
	oneOf("variant = ?", f.Variants)
	if f.MinScore != nil {
		conditions, args = append(conditions, "coalesce(score, best) >= ?"), append(args, *f.MinScore)
	}
	if f.MaxScore != nil {
		conditions, args = append(conditions, "coalesce(score, best) <= ?"), append(args, *f.MaxScore)
	}
	if f.Contains != "" {
		conditions = append(conditions, "(instr(lower(run_id), lower(?)) > 0 OR instr(lower(path), lower(?)) > 0)")
		args = append(args, f.Contains, f.Contains)
	}
	return strings.Join(conditions, " AND "), args, nil
}

// Sort is what runs are sorted by.
type Sort string

// What runs can be sorted by. Runs that lack it come last either way; equals
// are sorted by their start, the youngest first.
const (
	ByStart    Sort = "started" // or when the files changed last, where they do not say
	ByTask     Sort = "task"
	ByModel    Sort = "model"
	ByAgent    Sort = "agent"
	ByState    Sort = "state"
	ByScore    Sort = "score" // the final one, else the best
	ByCost     Sort = "cost"
	ByTokens   Sort = "tokens"
	BySteps    Sort = "steps"
	BySeconds  Sort = "seconds"
	ByModified Sort = "modified"
)

// sortColumns say what the database sorts by.
var sortColumns = map[Sort]string{ //nolint:gosec // tokens are those of models
	ByStart: "at", ByTask: "task", ByModel: "nullif(model, '')", ByAgent: "coalesce(nullif(agent_name, ''), agent)", ByState: "state",
	ByScore: "coalesce(score, best)", ByCost: "cost_usd", ByTokens: "tokens_in + tokens_out",
	BySteps: "steps", BySeconds: "seconds", ByModified: "modified",
}

// Sorts returns what runs can be sorted by.
func Sorts() []Sort {
	var all []Sort
	for s := range sortColumns {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// RunQuery asks for a list of runs.
type RunQuery struct {
	Filter
	// Sort is [ByStart] where it is empty.
	Sort Sort
	// Ascending puts the smallest first; without it the largest, or the youngest.
	Ascending bool
	// Limit is how many runs are wanted at most, 0 for all; Offset how many are
	// left out before.
	Limit, Offset int
}

// RunPage is a part of a list of runs.
type RunPage struct {
	Runs []Run `json:"runs"`
	// Total is how many runs the filter lets pass.
	Total int `json:"total"`
}

// Runs lists runs as the last update found them. An unknown Sort is an error.
func (x *Index) Runs(ctx context.Context, q RunQuery) (_ RunPage, err error) {
	if q.Sort == "" {
		q.Sort = ByStart
	}
	column, ok := sortColumns[q.Sort]
	if !ok {
		return RunPage{}, fmt.Errorf("runs cannot be sorted by %q; they can by %v", q.Sort, Sorts())
	}
	where, args, err := q.where()
	if err != nil {
		return RunPage{}, err
	}
	tx, err := x.begin(ctx)
	if err != nil {
		return RunPage{}, x.spoil(err)
	}
	defer func() { err = x.spoil(endRead(tx, err)) }()
	page := RunPage{Runs: []Run{}}
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM runs WHERE "+where, args...).Scan(&page.Total); err != nil {
		return page, err
	}
	order := "DESC"
	if q.Ascending {
		order = "ASC"
	}
	limit := -1
	if q.Limit > 0 {
		limit = q.Limit
	}
	rows, err := tx.QueryContext(ctx, "SELECT path, "+runColumns+" FROM runs WHERE "+where+ //nolint:gosec // only columns and question marks
		" ORDER BY "+column+" "+order+" NULLS LAST, at DESC, id DESC LIMIT ? OFFSET ?", append(args, limit, max(0, q.Offset))...)
	if err != nil {
		return page, err
	}
	defer rows.Close()
	for rows.Next() {
		var r Run
		if err := r.scan(rows); err != nil {
			return page, err
		}
		page.Runs = append(page.Runs, r)
	}
	return page, rows.Err()
}

// Count is a value, and how many runs have it.
type Count struct {
	Value string `json:"value"`
	Runs  int    `json:"runs"`
}

// Values are the values by which runs can be filtered, each list in the order of
// its values; the empty value is left out.
type Values struct {
	Tasks      []Count `json:"tasks"`
	Models     []Count `json:"models"`
	Agents     []Count `json:"agents"`
	ExitStatus []Count `json:"exit_status"`
	States     []Count `json:"states"`
	Modes      []Count `json:"modes"`
	Variants   []Count `json:"variants"`
}

// Values returns the values that the runs have which a filter lets pass.
func (x *Index) Values(ctx context.Context, f Filter) (_ Values, err error) {
	where, args, err := f.where()
	if err != nil {
		return Values{}, err
	}
	tx, err := x.begin(ctx)
	if err != nil {
		return Values{}, x.spoil(err)
	}
	defer func() { err = x.spoil(endRead(tx, err)) }()
	var v Values
	for _, list := range []struct {
		column string
		to     *[]Count
	}{
		{"task", &v.Tasks},
		{"model", &v.Models},
		{"coalesce(nullif(agent_name, ''), agent)", &v.Agents},
		{"exit_status", &v.ExitStatus},
		{"state", &v.States},
		{"mode", &v.Modes},
		{"variant", &v.Variants},
	} {
		if *list.to, err = counts(ctx, tx, list.column, where, args); err != nil {
			return v, err
		}
	}
	return v, nil
}

func counts(ctx context.Context, tx *sql.Tx, column, where string, args []any) ([]Count, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+column+" AS value, count(*) FROM runs WHERE ("+where+") AND "+column+" <> '' GROUP BY value ORDER BY value", args...) //nolint:gosec // only columns and question marks
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []Count{}
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Value, &c.Runs); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

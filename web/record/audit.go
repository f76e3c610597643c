package record

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"mlgym/audit"
	"mlgym/report"
)

// auditName is the file beside a run in which `mlgym audit` left its verdict.
const auditName = "audit.json"

// Audit gives the verdict on the run that `mlgym audit` gives: the one that it left
// beside the run where that is not older than the record, else one made now. What
// is made now knows this run only, so that a score far out of line with those of
// other runs is not told. It is made once for each state of the record.
func (r *Run) Audit(ctx context.Context) (audit.Result, error) {
	r.auditing.Lock()
	defer r.auditing.Unlock()
	s := r.state.Load()
	s.mu.RLock()
	key := fileState{size: s.size, mtime: nanos(s.modified)}
	s.mu.RUnlock()
	beside, _ := look(filepath.Join(r.dir, auditName))
	key.inode = uint64(beside.mtime) //nolint:gosec // told apart only
	if r.audited == s && r.auditKey == key {
		return r.verdict, r.auditErr
	}
	verdict, ok := r.left(beside, key.mtime)
	var err error
	if !ok {
		verdict, err = r.judge(ctx)
	}
	if ctx.Err() != nil {
		return audit.Result{}, ctx.Err()
	}
	r.audited, r.auditKey, r.verdict, r.auditErr = s, key, verdict, err
	return verdict, err
}

// left reads the verdict beside the run, if it counts.
func (r *Run) left(file fileState, recorded int64) (audit.Result, bool) {
	var verdict audit.Result
	if file.size == 0 || file.size > maxManifestBytes || file.mtime < recorded {
		return verdict, false
	}
	text, err := os.ReadFile(filepath.Join(r.dir, auditName))
	if err != nil || json.Unmarshal(text, &verdict) != nil {
		return verdict, false
	}
	known := verdict.Verdict == audit.Clean || verdict.Verdict == audit.Suspicious || verdict.Verdict == audit.Tampered
	return verdict, known && verdict.FormatVersion == 1 && verdict.Rules == audit.Version
}

// judge looks through the record.
func (r *Run) judge(ctx context.Context) (audit.Result, error) {
	study, err := report.Collect(ctx, []string{r.dir}, report.Options{Audit: true, EveryModel: true})
	if err != nil {
		return audit.Result{}, fmt.Errorf("audit the run: %w", err)
	}
	if len(study.Rows) == 0 {
		if len(study.Excluded) > 0 {
			return audit.Result{}, fmt.Errorf("the run cannot be audited: %s", study.Excluded[0].Reason)
		}
		return audit.Result{}, fmt.Errorf("the run cannot be audited: nothing is known of its task")
	}
	row := study.Rows[0]
	if row.Verdict == "" {
		return audit.Result{}, fmt.Errorf("the run cannot be audited: its record cannot be read")
	}
	for _, found := range study.Findings {
		if found.Run == row.ID {
			return *found, nil
		}
	}
	return audit.Result{FormatVersion: 1, Rules: audit.Version, Run: row.ID, Task: row.Task, Verdict: audit.Verdict(row.Verdict), Findings: []audit.Finding{}}, nil
}

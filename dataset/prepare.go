package dataset

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mlgym/internal/atomicfile"
	"mlgym/python"
)

// Request is what is to be prepared.
type Request struct {
	Dataset *Dataset
	Variant string
	// From is a folder of the user's own that has the source's files; "" means
	// one of the sources of dataset.yaml.
	From string
	// Again prepares also what is prepared already.
	Again bool
	// Progress is called often, from one goroutine; nil is nobody.
	Progress func(Event)
}

// RefusedError says that a source's files are not what they have to be.
type RefusedError struct {
	Dataset ID
	Message string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("data set %s: %s", e.Dataset, e.Message) }

// MissingError says that no source of a variant can be had here, why, and what
// helps.
type MissingError struct {
	Dataset *Dataset
	Variant string
	Causes  []error
}

func (e *MissingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the data set %s (%s) cannot be had on this machine:", e.Dataset.ID, e.Variant)
	for _, cause := range e.Causes {
		fmt.Fprintf(&b, "\n  - %s", strings.ReplaceAll(cause.Error(), "\n", "\n    "))
	}
	v := e.Dataset.Variants[e.Variant]
	if v.UserFiles != "" {
		fmt.Fprintf(&b, "\nGive a folder of your own: mlgym data prepare %s --variant %s --from DIR. It has to hold %s",
			e.Dataset.ID, e.Variant, strings.TrimSpace(v.UserFiles))
	}
	const small = "small"
	if _, ok := e.Dataset.Variants[small]; ok && e.Variant != small {
		fmt.Fprintf(&b, "\nOr take the variant %s, which needs none of it: --variant %s.", small, small)
	}
	return b.String()
}

func (e *MissingError) Unwrap() []error { return e.Causes }

// Prepare brings a variant of a data set into the store, unless it is there. Of
// two processes that ask at once one works and the other one waits. Nothing
// unfinished is ever found by Lookup; what was fetched is kept for a next try.
func (s *Store) Prepare(ctx context.Context, r Request) (_ Prepared, err error) {
	variant, err := r.Dataset.Variant(r.Variant)
	if err != nil {
		return Prepared{}, err
	}
	tell := func(e Event) {
		if r.Progress != nil {
			r.Progress(e)
		}
	}
	d := r.Dataset
	if !r.Again && r.From == "" {
		if p, err := s.Lookup(d, r.Variant); err == nil {
			return p, nil
		}
	}
	if r.From != "" && variant.UserFiles == "" {
		return Prepared{}, &RefusedError{d.ID, fmt.Sprintf("the variant %s takes no files of your own", r.Variant)}
	}
	began := time.Now()
	free, err := s.lock(ctx, string(d.ID)+"-"+r.Variant, func() {
		tell(Event{Text: "another mlgym prepares it; waiting"})
	})
	if err != nil {
		return Prepared{}, err
	}
	defer free()
	if !r.Again && r.From == "" { // by the one that was waited for
		if p, err := s.Lookup(d, r.Variant); err == nil {
			return p, nil
		}
	}
	s.sweep(d, r.Variant)
	work, err := os.MkdirTemp(s.dir, ".work-"+string(d.ID)+"-"+r.Variant+"-")
	if err != nil {
		return Prepared{}, explainDisk(err)
	}
	defer func() { err = errors.Join(err, removeTree(work)) }()
	if err := s.needSpace(variant.Bytes); err != nil {
		return Prepared{}, err
	}
	provenance, source, err := s.source(ctx, r, variant, work, tell)
	if err != nil {
		return Prepared{}, err
	}
	secret, err := s.secret(d, r.Variant)
	if err != nil {
		return Prepared{}, err
	}
	output := filepath.Join(work, "output")
	if err := s.runScript(ctx, r, provenance.Kind, source, output, secret, tell); err != nil {
		return Prepared{}, err
	}
	p := Prepared{
		Format: recordFormat, ID: d.ID, Version: d.Version, Variant: r.Variant, Definition: d.Digest,
		Secret: hexDigest(secret)[:16], Source: provenance,
	}
	if err := s.keep(ctx, d, &p, output, tell); err != nil {
		return Prepared{}, err
	}
	p.PreparedAt, p.Seconds = time.Now().UTC().Truncate(time.Second), time.Since(began).Seconds()
	text, err := json.MarshalIndent(p, "", "  ") //nolint:gosec // Secret is a digest that tells secrets apart
	if err != nil {
		return Prepared{}, err
	}
	record := s.record(d.ID, r.Variant)
	if err := os.MkdirAll(filepath.Dir(record), 0o755); err != nil { //nolint:gosec // as all of the store
		return Prepared{}, explainDisk(err)
	}
	if err := atomicfile.WriteFile(record, append(text, '\n'), 0o644); err != nil {
		return Prepared{}, explainDisk(err)
	}
	return p, nil
}

// sweep removes what a killed preparation of the same data left behind. The
// caller holds its lock.
func (s *Store) sweep(d *Dataset, variant string) {
	left, err := filepath.Glob(filepath.Join(s.dir, ".work-"+string(d.ID)+"-"+variant+"-*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		_ = removeTree(dir) // the next one tries again
	}
}

// secret is the secret of one variant of one data set.
func (s *Store) secret(d *Dataset, variant string) ([]byte, error) {
	if s.opts.Secret == nil {
		return nil, errors.New("preparing data needs the secret of the installation")
	}
	root, err := s.opts.Secret()
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, root)
	fmt.Fprintf(mac, "mlgym data 1\n%s\n%d\n%s\n", d.ID, d.Version, variant)
	return mac.Sum(nil), nil
}

// source fetches the first source that can be had and returns its folder.
func (s *Store) source(ctx context.Context, r Request, variant Variant, work string, tell func(Event)) (Provenance, string, error) {
	if r.From != "" {
		from, err := filepath.Abs(r.From)
		if err != nil {
			return Provenance{}, "", err
		}
		if info, err := os.Stat(from); err != nil || !info.IsDir() {
			return Provenance{}, "", &RefusedError{r.Dataset.ID, fmt.Sprintf("--from %s is no folder", r.From)}
		}
		return Provenance{Kind: User}, from, nil
	}
	missing := &MissingError{Dataset: r.Dataset, Variant: r.Variant}
	for i, source := range variant.Sources {
		dir := filepath.Join(work, fmt.Sprintf("source-%d", i))
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as all of the store
			return Provenance{}, "", explainDisk(err)
		}
		files, err := s.fetch(ctx, source, dir, tell)
		if ctx.Err() != nil {
			return Provenance{}, "", context.Cause(ctx)
		}
		if errors.Is(err, syscall.ENOSPC) {
			return Provenance{}, "", err // the next source would need space as well
		}
		if err != nil {
			missing.Causes = append(missing.Causes, fmt.Errorf("%s: %w", source.Kind, err))
			continue
		}
		return Provenance{source.Kind, files}, dir, nil
	}
	if len(variant.Sources) == 0 {
		missing.Causes = append(missing.Causes, errors.New("its licence does not let it be fetched by a program"))
	}
	return Provenance{}, "", missing
}

// message is one line of a script's standard output.
type message struct {
	Progress string `json:"progress"`
	Done     any    `json:"done"`
	Total    int64  `json:"total"`
	Refused  string `json:"refused"`
}

// runScript runs prepare.py.
func (s *Store) runScript(ctx context.Context, r Request, kind Kind, source, output string, secret []byte, tell func(Event)) error {
	work := filepath.Dir(output)
	code := filepath.Join(work, "code")
	for _, dir := range []string{output, filepath.Join(work, "home")} {
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as all of the store
			return explainDisk(err)
		}
	}
	if err := copyTree(code, r.Dataset.folder, "."); err != nil {
		return err
	}
	if err := copyTree(code, python.Files, "mlgym_dataset"); err != nil {
		return err
	}
	interpreter, err := s.opts.Interpreter(ctx, r.Dataset)
	if err != nil {
		return fmt.Errorf("data set %s: the environment of its preparation: %w", r.Dataset.ID, err)
	}
	tell(Event{Text: fmt.Sprintf("preparing %s (%s)", r.Dataset.ID, r.Variant)})
	cmd := exec.CommandContext(ctx, interpreter, "-B", "-s", "-P", filepath.Join(code, ScriptName),
		"--variant", r.Variant, "--kind", string(kind), "--source", source, "--output", output)
	cmd.Dir = work
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "HOME=" + filepath.Join(work, "home"), "TMPDIR=" + filepath.Join(work, "home"), "LANG=C.UTF-8",
		"PYTHONPATH=" + code, "OMP_NUM_THREADS=2", "PYTHONHASHSEED=0", "MLGYM_DATA_SECRET=" + hex.EncodeToString(secret),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var said tailBuffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("data set %s: start %s: %w", r.Dataset.ID, ScriptName, err)
	}
	refused := follow(out, tell)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case refused != "":
		return &RefusedError{r.Dataset.ID, refused}
	case err != nil && bytes.Contains(said.data, []byte("No space left on device")):
		return fmt.Errorf("data set %s: %w", r.Dataset.ID, explainDisk(syscall.ENOSPC))
	case err != nil:
		return fmt.Errorf("data set %s: %s failed (%w)%s", r.Dataset.ID, ScriptName, err, tail(said.data))
	}
	return nil
}

// follow reads what a script tells, to the end, and returns its refusal.
func follow(out io.Reader, tell func(Event)) (refused string) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		if m.Refused != "" {
			refused = m.Refused
		}
		if m.Progress != "" {
			done, _ := m.Done.(float64)
			tell(Event{Text: m.Progress, Done: int64(done), Total: m.Total})
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line that is too long must not stop the script
	return refused
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct{ data []byte }

func (b *tailBuffer) Write(p []byte) (int, error) {
	const most = 64 << 10
	b.data = append(b.data, p...)
	if len(b.data) > most {
		b.data = slices.Clone(b.data[len(b.data)-most:])
	}
	return len(p), nil
}

func copyTree(dst string, fsys fs.FS, dir string) error {
	return fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "tests" || d.Name() == "__pycache__" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		return copyFile(filepath.Join(dst, filepath.FromSlash(name)), file)
	})
}

// entry is one file of prepared data.
type entry struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// manifestName is the file beside the splits that lists all of theirs.
const manifestName = "files.json"

// keep checks what the script wrote and moves it to its place.
func (s *Store) keep(ctx context.Context, d *Dataset, p *Prepared, output string, tell func(Event)) error {
	declared := map[string]bool{}
	for _, split := range d.Splits {
		declared[split.Name] = true
	}
	written, err := os.ReadDir(output)
	if err != nil {
		return err
	}
	for _, e := range written {
		if !declared[e.Name()] || !e.IsDir() {
			return fmt.Errorf("data set %s: %s wrote %s, which is no split of %s", d.ID, ScriptName, e.Name(), FileName)
		}
	}
	entries, err := describe(ctx, output, func(done int64) { tell(Event{Text: "reading what was prepared", Done: done, Bytes: true}) })
	if err != nil {
		return fmt.Errorf("data set %s: %w", d.ID, err)
	}
	for _, split := range d.Splits {
		ps := PreparedSplit{Split: split}
		for _, e := range entries {
			if strings.HasPrefix(e.Path, split.Name+"/") {
				ps.Files++
				ps.Bytes += e.Bytes
			}
		}
		if ps.Files == 0 {
			return fmt.Errorf("data set %s: %s wrote nothing into the split %s", d.ID, ScriptName, split.Name)
		}
		p.Splits = append(p.Splits, ps)
		p.Files += ps.Files
		p.Bytes += ps.Bytes
	}
	p.Digest = digestEntries(entries)
	p.dir = s.content(p.Digest)
	text, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(filepath.Join(output, manifestName), append(text, '\n'), 0o444); err != nil {
		return explainDisk(err)
	}
	if err := os.MkdirAll(filepath.Dir(p.dir), 0o755); err != nil { //nolint:gosec // other users' sandboxes read it
		return explainDisk(err)
	}
	if _, err := os.Stat(p.dir); err == nil {
		// The same content, or what is left of it: the new one takes its place.
		old := filepath.Join(filepath.Dir(output), "old")
		if err := errors.Join(os.Chmod(p.dir, 0o755), os.Rename(p.dir, old)); err != nil { //nolint:gosec // about to be removed
			return err
		}
	}
	if err := os.Rename(output, p.dir); err != nil {
		return err
	}
	return protect(p.dir)
}

// describe lists the files of all splits, sorted by path, with their digests.
// Only regular files may be there.
func describe(ctx context.Context, dir string, progress func(done int64)) ([]entry, error) {
	var entries []entry
	var done int64
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || d.IsDir() || rel == manifestName {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", rel)
		}
		sum, size, err := digestFile(name)
		if err != nil {
			return err
		}
		done += size
		progress(done)
		entries = append(entries, entry{filepath.ToSlash(rel), size, sum})
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
	return entries, err
}

func readManifest(dir string) ([]entry, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	var entries []entry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	return entries, nil
}

// digestEntries covers path, size and content of all files.
func digestEntries(entries []entry) Digest {
	sum := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(sum, "%s\x00%d\x00%s\n", e.Path, e.Bytes, e.SHA256)
	}
	return Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
}

// protect makes a tree read-only, for everyone to read.
func protect(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(name, 0o555) //nolint:gosec // other users' sandboxes read it
		}
		return os.Chmod(name, 0o444) //nolint:gosec // likewise
	})
}

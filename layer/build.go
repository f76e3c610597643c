package layer

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/atomicfile"
	"mlgym/internal/cachedir"
)

// format is counted up when the same lock has to give another layer.
const format = 1

// buildRequirements are what packages without a wheel are built with, locked as
// everything else.
//
//go:embed build-requirements.txt
var buildRequirements []byte

// Options of a [Builder]. The zero value is usable.
type Options struct {
	// UV is the path of uv; "" means that it is looked for.
	UV string
	// Python is the path of the interpreter; "" means the system's.
	Python string
	// Progress is told what a build is doing; it may be nil.
	Progress func(Event)
}

// Builder builds layers. It is safe for concurrent use.
type Builder struct {
	opts Options
	// minFree is how many bytes of the disk must be free before a build begins.
	// How much it will take is not known before.
	minFree uint64
}

// NewBuilder returns a builder. It looks at nothing yet: what is missing on the
// machine is reported by Build.
func NewBuilder(opts Options) *Builder {
	if opts.Progress == nil {
		opts.Progress = func(Event) {}
	}
	return &Builder{opts: opts, minFree: 1 << 30}
}

// Stage is what a build is doing.
type Stage string

// The stages of a build.
const (
	Waiting     Stage = "waiting for another process that builds it"
	Downloading Stage = "downloading"
	Installing  Stage = "installing"
	Compiling   Stage = "compiling"
)

// Event says how far a build is.
type Event struct {
	// Text is a line for people.
	Text  string
	Stage Stage
	// Package is the one that was begun, with its size, or "".
	Package string
	// Done of Total packages are known to be here (uv speaks of the large ones
	// only), or as many files are compiled.
	Done, Total int64
}

// digest is the name of what a lock gives.
func digest(l Lock, p interpreter) string {
	h := sha256.New()
	parts := [][]byte{[]byte(strconv.Itoa(format)), []byte(p.path), []byte(p.ABI), buildRequirements, l.Requirements}
	for _, path := range l.Remove {
		parts = append(parts, []byte(path))
	}
	for _, part := range parts {
		// With its length, so that no two lists of parts look alike.
		_, _ = fmt.Fprintf(h, "%d\n", len(part))
		_, _ = h.Write(part)
	}
	const bytesOfName = 16
	return hex.EncodeToString(h.Sum(nil)[:bytesOfName])
}

// Lookup returns the layer of a lock if it is built.
func (b *Builder) Lookup(l Lock) (Layer, bool) {
	p, err := b.python(context.Background())
	if err != nil {
		return Layer{}, false // which Build will say
	}
	dir, err := root()
	if err != nil {
		return Layer{}, false
	}
	return read(filepath.Join(dir, digest(l, p)))
}

// Build returns the layer of a lock, which it builds where that is missing. What
// a person can mend is an [*Error].
func (b *Builder) Build(ctx context.Context, l Lock) (Layer, error) {
	built, err := b.find(ctx, l)
	if known := (*Error)(nil); errors.As(err, &known) {
		known.Name = l.Name
		return Layer{}, known
	}
	if err != nil {
		return Layer{}, fmt.Errorf("build the Python environment %s: %w", l.Name, err)
	}
	return built, nil
}

// find finds or builds.
func (b *Builder) find(ctx context.Context, l Lock) (Layer, error) {
	p, err := b.python(ctx)
	if err != nil {
		return Layer{}, err
	}
	dir, err := root()
	if err != nil {
		return Layer{}, err
	}
	id := digest(l, p)
	target := filepath.Join(dir, id)
	if found, ok := read(target); ok {
		return found, nil
	}
	uv, err := b.findUV()
	if err != nil {
		return Layer{}, err
	}
	sweep(dir)
	unlock, err := lock(ctx, dir, id, func() { b.opts.Progress(Event{Text: l.Name + ": " + string(Waiting), Stage: Waiting}) })
	if err != nil {
		return Layer{}, err
	}
	defer unlock()
	if found, ok := read(target); ok {
		return found, nil // by whom we waited for
	}
	if err := b.enough(dir); err != nil {
		return Layer{}, err
	}
	// With everything in one folder, a build that fails leaves nothing behind.
	tmp, err := os.MkdirTemp(dir, unfinished+id+"-")
	if err != nil {
		return Layer{}, explain(err, "")
	}
	defer os.RemoveAll(tmp)
	work := &build{b: b, lock: l, python: p, uv: uv, tmp: tmp, dir: filepath.Join(tmp, id), began: time.Now()}
	made, err := work.run(ctx)
	if err != nil {
		return Layer{}, explain(err, work.tool.said.String())
	}
	// Something without its mark, which no process of ours leaves.
	if err := os.RemoveAll(target); err != nil {
		return Layer{}, err
	}
	if err := os.Rename(work.dir, target); err != nil {
		return Layer{}, err
	}
	made.Dir = target
	return made, atomicfile.SyncDir(dir)
}

// enough refuses to begin on a disk that is nearly full.
func (b *Builder) enough(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := st.Bavail * uint64(st.Bsize); free < b.minFree { //nolint:gosec // a size
		return &Error{Reason: fmt.Sprintf("only %d MB of the disk are free, and at least %d are needed", free>>20, b.minFree>>20), Fix: fixSpace()}
	}
	return nil
}

// build is one build at work.
type build struct {
	b      *Builder
	lock   Lock
	python interpreter
	uv     string
	tmp    string // of the build
	dir    string // of the environment, below tmp
	began  time.Time
	tool   tool
	event  Event
}

// tell reports the event as it is now.
func (w *build) tell() {
	w.event.Text = w.lock.Name + ": " + string(w.event.Stage)
	if w.event.Package != "" {
		w.event.Text += " " + w.event.Package
	}
	w.b.opts.Progress(w.event)
}

func (w *build) run(ctx context.Context) (Layer, error) {
	cache, err := cachedir.Dir("uv")
	if err != nil {
		return Layer{}, err
	}
	lockPath, buildPath, scratch := filepath.Join(w.tmp, "lock.txt"), filepath.Join(w.tmp, "build.txt"), filepath.Join(w.tmp, "tmp")
	if err := errors.Join(
		os.WriteFile(lockPath, w.lock.Requirements, 0o600), os.WriteFile(buildPath, buildRequirements, 0o600), os.Mkdir(scratch, 0o700),
	); err != nil {
		return Layer{}, err
	}
	w.tool = tool{dir: w.tmp, env: environment(os.Environ(), cache, scratch), line: w.line}
	w.event = Event{Stage: Downloading, Total: count(w.lock.Requirements)}
	w.tell()

	var version strings.Builder
	if err := w.tool.run(ctx, &version, w.uv, "--version"); err != nil {
		return Layer{}, err
	}
	if err := w.tool.run(ctx, nil, w.uv, "venv", "--relocatable", "--no-project", "--python", w.python.path, w.dir); err != nil {
		return Layer{}, err
	}
	python := filepath.Join(w.dir, "bin", "python")
	if err := w.tool.run(ctx, nil, w.uv, "pip", "sync", "--python", python, "--link-mode", "hardlink",
		"--require-hashes", "--require-build-hashes", "--preview-features", "build-dependency-hashes", "--build-constraints", buildPath, lockPath); err != nil {
		return Layer{}, err
	}
	if err := w.remove(); err != nil {
		return Layer{}, err
	}
	packages, err := w.finish(ctx, python)
	if err != nil {
		return Layer{}, err
	}
	size, err := settle(w.dir)
	if err != nil {
		return Layer{}, err
	}
	// As in "uv 0.13.9 (x86_64-unknown-linux-gnu)".
	_, uvVersion, _ := strings.Cut(version.String(), " ")
	uvVersion, _, _ = strings.Cut(strings.TrimSpace(uvVersion), " ")
	made := Layer{
		Name: w.lock.Name, Digest: filepath.Base(w.dir), Bytes: size, BuildSeconds: time.Since(w.began).Seconds(),
		Python: w.python.version(), Packages: packages, Platform: w.python.ABI, UV: uvVersion, Built: time.Now().UTC().Truncate(time.Second),
	}
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return Layer{}, err
	}
	if err := syncAll(w.dir); err != nil {
		return Layer{}, err
	}
	return made, atomicfile.WriteFile(filepath.Join(w.dir, infoFile), append(text, '\n'), 0o644)
}

// remove takes away what the lock names. What is not there any more is a fault
// of the list: a new version of the package may carry it elsewhere.
func (w *build) remove() error {
	for _, path := range w.lock.Remove {
		found, err := filepath.Glob(filepath.Join(w.dir, "lib", "python3*", "site-packages", filepath.FromSlash(path)))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s lists %s, which no package brings", removeFile, path)
		}
		for _, name := range found {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish compiles the packages, so that no sandbox has to, and asks the
// environment what it holds.
func (w *build) finish(ctx context.Context, python string) (packages int, err error) {
	files := int64(0)
	lib := filepath.Join(w.dir, "lib")
	if err := filepath.WalkDir(lib, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".py" {
			files++
		}
		return err
	}); err != nil {
		return 0, err
	}
	w.event = Event{Stage: Compiling, Total: files}
	w.tell()
	w.tool.line = func(text string) {
		const step = 250
		if strings.HasPrefix(text, "Compiling ") {
			if w.event.Done++; w.event.Done%step == 0 {
				w.tell()
			}
		}
	}
	// The files never change, so nothing has to be compared with them later.
	// Some packages hold files for other versions of Python: those fail.
	err = w.tool.run(ctx, nil, python, "-I", "-u", "-m", "compileall", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", w.dir, "-p", Target, lib)
	w.tool.line = nil
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	w.tool.said = tail{}
	const question = "import importlib.metadata, sys; print(sys.prefix); print(sum(1 for _ in importlib.metadata.distributions()))"
	var answer strings.Builder
	if err := w.tool.run(ctx, &answer, python, "-I", "-c", question); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return 0, &Error{Reason: "its Python does not work", Output: w.tool.said.String()}
		}
		return 0, err
	}
	prefix, number, _ := strings.Cut(strings.TrimSpace(answer.String()), "\n")
	if prefix != w.dir {
		return 0, &Error{Reason: fmt.Sprintf("its Python takes %s for its place, not %s", prefix, w.dir)}
	}
	return strconv.Atoi(number)
}

// line reads a line of uv's.
func (w *build) line(text string) {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "Downloading", "Building":
		w.event.Package = rest
	case "Downloaded", "Built":
		w.event.Done++
		w.event.Package = ""
	case "Prepared": // all that was not here
		w.event.Stage, w.event.Done, w.event.Package = Installing, w.event.Total, ""
	default:
		return
	}
	w.tell()
}

// count counts the packages of a lock.
func count(requirements []byte) int64 {
	var n int64
	for line := range bytes.Lines(requirements) {
		if c := line[0]; c != ' ' && c != '\t' && c != '#' && c != '-' && bytes.Contains(line, []byte("==")) {
			n++
		}
	}
	return n
}

// settle makes sure that every user can read the layer, and adds up its size.
func settle(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			const blockBytes = 512
			size += st.Blocks * blockBytes
		}
		want := info.Mode().Perm() | 0o444
		switch {
		case entry.IsDir():
			want |= 0o111
		case !entry.Type().IsRegular():
			return nil
		}
		if want != info.Mode().Perm() {
			return os.Chmod(path, want) //nolint:gosec // in a folder that only this build writes to
		}
		return nil
	})
	return size, err
}

// syncAll writes everything that lies on the disk of dir down to it, so that no
// layer is whole in name only after a power cut.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil { //nolint:gosec // a descriptor
		return &fs.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}

// RemoveDownloads removes the packages that uv keeps for the next build. Layers
// stay; what they share with the downloads is freed with the last of them.
func (b *Builder) RemoveDownloads(ctx context.Context) error {
	uv, err := b.findUV()
	if err != nil {
		return err
	}
	cache, err := cachedir.Dir("uv")
	if err != nil {
		return err
	}
	t := tool{dir: "/", env: environment(os.Environ(), cache, os.TempDir())}
	if err := t.run(ctx, nil, uv, "cache", "clean", "--quiet"); err != nil {
		return fmt.Errorf("remove the downloads of Python packages: %w: %s", err, t.said.String())
	}
	return nil
}

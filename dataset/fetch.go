package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mlgym/internal/atomicfile"
)

// fetch fills the empty folder dir with what a source has and says what it was.
func (s *Store) fetch(ctx context.Context, source Source, dir string, tell func(Event)) ([]SourceFile, error) {
	switch source.Kind {
	case URL:
		return s.fetchFiles(ctx, source.Files, dir, http.Header{}, tell)
	case HuggingFace:
		header := http.Header{}
		if token := os.Getenv("HF_TOKEN"); token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		files := make([]SourceFile, 0, len(source.Files))
		for _, f := range source.Files {
			f.URL = s.hubURL(source, f.Path)
			files = append(files, f)
		}
		return s.fetchFiles(ctx, files, dir, header, tell)
	case Debian:
		return s.fetchDebian(ctx, source, dir, tell)
	case Packages, Generated:
		return nil, nil
	case User:
	}
	return nil, fmt.Errorf("a source of kind %s cannot be fetched", source.Kind)
}

// hubURL is the address of a file of a repository on the hub, or on the mirror
// that HF_ENDPOINT names.
func (s *Store) hubURL(source Source, file string) string {
	kind := "datasets/"
	if source.Type == "model" {
		kind = ""
	}
	return strings.TrimSuffix(s.opts.HubURL, "/") + "/" + kind + source.Repo + "/resolve/" + url.PathEscape(source.Revision) + "/" + (&url.URL{Path: file}).EscapedPath()
}

func (s *Store) fetchFiles(ctx context.Context, files []SourceFile, dir string, header http.Header, tell func(Event)) ([]SourceFile, error) {
	var got []SourceFile
	for i, f := range files {
		name := f.Path
		if len(files) > 1 {
			name = fmt.Sprintf("%s (%d of %d)", f.Path, i+1, len(files))
		}
		blob, what, err := s.download(ctx, remote{name: name, url: f.URL, sha256: f.SHA256, bytes: f.Bytes, header: header}, tell)
		if err != nil {
			return nil, err
		}
		if err := place(blob, filepath.Join(dir, filepath.FromSlash(f.Path))); err != nil {
			return nil, err
		}
		what.Path = f.Path
		got = append(got, what)
	}
	return got, nil
}

// place shows a blob under another name.
func place(blob, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // as all of the store
		return explainDisk(err)
	}
	if err := os.Link(blob, name); err != nil {
		return os.Symlink(blob, name)
	}
	return nil
}

// debianWait bounds asking for a package.
const debianWait = 10 * time.Minute

// fetchDebian fetches a package and unpacks it, without installing anything.
func (s *Store) fetchDebian(ctx context.Context, source Source, dir string, tell func(Event)) ([]SourceFile, error) {
	blob := s.blob(source.SHA256)
	if _, err := os.Stat(blob); err != nil {
		if err := s.askDebian(ctx, source, blob, tell); err != nil {
			return nil, fmt.Errorf("package %s %s: %w", source.Package, source.Version, err)
		}
	}
	tell(Event{Text: "unpacking " + source.Package})
	if said, err := run(ctx, dir, "dpkg-deb", "--extract", blob, dir); err != nil {
		return nil, fmt.Errorf("unpack %s: %w%s", source.Package, err, said)
	}
	info, err := os.Stat(blob)
	if err != nil {
		return nil, err
	}
	return []SourceFile{{Path: source.Package + "_" + source.Version + ".deb", SHA256: source.SHA256, Bytes: info.Size()}}, nil
}

func (s *Store) askDebian(ctx context.Context, source Source, blob string, tell func(Event)) (err error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("this machine has no apt-get")
	}
	if err := s.needSpace(source.Bytes); err != nil {
		return err
	}
	work, err := os.MkdirTemp(s.dir, ".debian-")
	if err != nil {
		return explainDisk(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	tell(Event{Text: "fetching the Debian package " + source.Package})
	want := source.Package + "=" + source.Version
	if _, err := run(ctx, work, "apt-get", "download", "-q", want); err != nil {
		// The lists may be old or absent; own ones need no root.
		own := []string{"-o", "Dir::State::Lists=" + filepath.Join(work, "lists"), "-o", "Dir::Cache=" + filepath.Join(work, "cache"), "-o", "APT::Sandbox::User="}
		for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
			if err := os.MkdirAll(filepath.Join(work, sub), 0o755); err != nil { //nolint:gosec // apt's own user writes there
				return explainDisk(err)
			}
		}
		if said, err := run(ctx, work, "apt-get", append(own, "update", "-q")...); err != nil {
			return fmt.Errorf("apt-get update: %w%s", err, said)
		}
		if said, err := run(ctx, work, "apt-get", append(own, "download", "-q", want)...); err != nil {
			return fmt.Errorf("apt-get download: %w%s", err, said)
		}
	}
	found, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt-get left %d packages: %w", len(found), err)
	}
	got, _, err := digestFile(found[0])
	if err != nil {
		return err
	}
	if got != source.SHA256 {
		return &DigestError{path.Base(found[0]), source.SHA256, got}
	}
	if err := os.MkdirAll(filepath.Dir(blob), 0o755); err != nil { //nolint:gosec // as all of the store
		return explainDisk(err)
	}
	return errors.Join(os.Chmod(found[0], 0o444), os.Rename(found[0], blob)) //nolint:gosec // as all of the store
}

// run runs a program of the system and returns the end of what it said.
func run(ctx context.Context, dir, name string, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, debianWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	return tail(out.Bytes()), err
}

// tail is the end of what a program said, as it is put behind an error.
func tail(out []byte) string {
	const most = 2000
	text := strings.TrimSpace(strings.ToValidUTF8(string(out[max(0, len(out)-most):]), "?"))
	if text == "" {
		return ""
	}
	return "\n" + text
}

// copyFile copies a file that is small.
func copyFile(dst string, src io.Reader) error {
	data, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil { //nolint:gosec // not private
		return explainDisk(err)
	}
	return explainDisk(atomicfile.WriteFile(dst, data, 0o644))
}

package taskcheck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"mlgym/dataset"
	"mlgym/sandbox"
)

// lookAround runs in the agent's sandbox. It is told sizes of hidden files and
// prints the digest of each file of such a size that can be read, and the names
// of files that look like a grader.
const lookAround = `
import hashlib, json, os, stat, sys
sizes = set(json.load(sys.stdin))
seen = set()
for root, folders, files in os.walk("/"):
    if root == "/":
        folders[:] = [f for f in folders if f not in ("proc", "sys", "dev")]
    for name in files:
        path = os.path.join(root, name)
        try:
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode) or info.st_size not in sizes or (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            print(digest, path)
        except OSError:
            pass
print("looked", flush=True)
`

// lookWait bounds looking around.
const lookWait = 10 * time.Minute

// smallest is from which size a file tells something: shorter ones are equal by
// chance.
const smallest = 16

// tryLeaks looks for hidden files from where the agent sits: those of the
// grader, and splits that it must not see.
func (c *check) tryLeaks(ctx context.Context) (f Finding, err error) {
	hidden, err := c.hidden()
	if err != nil {
		return f, err
	}
	a, err := c.open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.box.Close()) }()
	var sizes []int64
	for _, h := range hidden {
		sizes = append(sizes, h.bytes)
	}
	slices.Sort(sizes)
	text, err := json.Marshal(slices.Compact(sizes))
	if err != nil {
		return f, err
	}
	var out, problems bytes.Buffer
	process, err := a.box.Start(ctx, sandbox.Cmd{
		Argv: []string{"python3", "-I", "-c", lookAround}, Stdin: bytes.NewReader(text), Stdout: &out, Stderr: &problems, Timeout: lookWait,
	})
	if err != nil {
		return f, err
	}
	exit, err := process.Wait(ctx)
	if err != nil {
		return f, err
	}
	if exit.Code != 0 || !strings.HasSuffix(out.String(), "looked\n") {
		return f, fmt.Errorf("looking around ended with exit code %d: %s", exit.Code, end(problems.String()))
	}
	var found []string
	for line := range strings.Lines(out.String()) {
		digest, place, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		if h, leaked := hidden[digest]; leaked {
			found = append(found, fmt.Sprintf("%s lies at %s", h.name, place))
		}
	}
	if len(found) > 0 {
		return Finding{Detail: "the agent can read what is hidden: " + strings.Join(found, "; ")}, nil
	}
	return Finding{OK: true, Detail: fmt.Sprintf("none of %d hidden files can be found by the agent", len(hidden))}, nil
}

// secretFile is a file that no agent may see.
type secretFile struct {
	name  string
	bytes int64
}

// hidden lists what the agent must not see, by digest: the grader's files and
// the hidden splits, without what lies open as well.
func (c *check) hidden() (map[string]secretFile, error) {
	hidden := map[string]secretFile{}
	files, err := c.cfg.Task.GraderFiles()
	if err != nil {
		return nil, err
	}
	if err := addTo(hidden, "grader", files); err != nil {
		return nil, err
	}
	open := map[string]secretFile{}
	starter, err := c.cfg.Task.Starter()
	if err != nil {
		return nil, err
	}
	if err := addTo(open, "starter", starter); err != nil {
		return nil, err
	}
	for _, data := range c.cfg.Provisions.Data {
		for _, split := range data.Splits {
			into := hidden
			if split.Agent == dataset.Always {
				into = open
			}
			if err := addTo(into, path.Join("data", split.Name), os.DirFS(data.SplitDir(split.Name))); err != nil {
				return nil, err
			}
		}
	}
	for digest := range open {
		delete(hidden, digest)
	}
	return hidden, nil
}

func addTo(files map[string]secretFile, at string, fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		sum := sha256.New()
		n, err := io.Copy(sum, file)
		if n >= smallest {
			files[hex.EncodeToString(sum.Sum(nil))] = secretFile{path.Join(at, name), n}
		}
		return err
	})
}

package layer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// oldest is the first version of Python that layers are made for.
var oldest = [2]int{3, 11}

// interpreter is the Python that layers are made for. It has to be the system's
// own, since that is what sandboxes show.
type interpreter struct {
	path    string // without links
	Version [3]int `json:"version"`
	// ABI names implementation, version, processor and C library, such as
	// "cpython-311-x86_64-linux-gnu".
	ABI string `json:"abi"`
}

func (p interpreter) version() string {
	return fmt.Sprintf("%d.%d.%d", p.Version[0], p.Version[1], p.Version[2])
}

// python finds the interpreter.
func (b *Builder) python(ctx context.Context) (interpreter, error) {
	candidates := []string{b.opts.Python}
	if b.opts.Python == "" {
		candidates = []string{"/usr/bin/python3", "/usr/bin/python3.11", "/usr/bin/python3.12", "/usr/bin/python3.13", "/usr/bin/python3.14"}
	}
	var problems []error
	for _, path := range candidates {
		p, err := examine(ctx, path)
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return interpreter{}, context.Cause(ctx)
		}
		if b.opts.Python != "" || !errors.Is(err, os.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	reason := "there is no Python in /usr/bin"
	if len(problems) > 0 {
		reason = errors.Join(problems...).Error()
	}
	return interpreter{}, &Error{
		Reason: strings.ReplaceAll(reason, "\n", "; "),
		Fix:    fmt.Sprintf("install the system's Python %d.%d or later (Debian, Ubuntu: apt-get install python3)", oldest[0], oldest[1]),
	}
}

// examine asks an interpreter what it is.
func examine(ctx context.Context, path string) (interpreter, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return interpreter{}, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return interpreter{}, err
	}
	if !strings.HasPrefix(real, "/usr/") || strings.HasPrefix(real, "/usr/local/") {
		return interpreter{}, fmt.Errorf("%s is not the system's Python, the only one that sandboxes show", real)
	}
	const question = "import json, sys, sysconfig; print(json.dumps({'version': sys.version_info[:3], 'abi': sysconfig.get_config_var('SOABI')}))"
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, real, "-I", "-S", "-c", question) //nolint:gosec // the system's Python
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("%s does not say its version: %w", real, err)
	}
	p := interpreter{path: real}
	if err := json.Unmarshal(out, &p); err != nil {
		return interpreter{}, fmt.Errorf("%s does not say its version: %w", real, err)
	}
	if p.Version[0] != oldest[0] || p.Version[1] < oldest[1] {
		return interpreter{}, fmt.Errorf("%s is Python %s, which is too old", real, p.version())
	}
	return p, nil
}

// examineTimeout bounds how long an interpreter may take to say what it is.
const examineTimeout = time.Minute

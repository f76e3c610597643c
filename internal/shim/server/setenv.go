package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// setEnv sets variables in the shell and in all that is started later. It runs
// between two actions.
func (c *conn) setEnv(ctx context.Context, vars []string) error {
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || !variableName.MatchString(name) || strings.Contains(value, "\x00") {
			return fmt.Errorf("%.100q is no variable: want NAME=value", v)
		}
	}
	env := withVars(c.runner.env, vars)
	c.mu.Lock()
	c.env = env
	c.mu.Unlock()
	c.jobs.mu.Lock()
	c.jobs.env = env
	c.jobs.mu.Unlock()
	return c.runner.setEnv(ctx, env, vars)
}

// withVars returns an environment with these variables, each in the place that it
// had, so that programs list them as if they had been there from the start.
func withVars(env, vars []string) []string {
	env = slices.Clone(env)
	for _, v := range vars {
		name, _, _ := strings.Cut(v, "=")
		at := slices.IndexFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		if at < 0 {
			env = append(env, v)
		} else {
			env[at] = v
		}
	}
	return env
}

// setEnv sets variables of the shell, if one lives; the next one begins with them.
func (r *runner) setEnv(ctx context.Context, env, vars []string) error {
	r.env = env
	if r.sh == nil || !alive(r.sh.proc) {
		return nil
	}
	const told = "set\x00"
	var b strings.Builder
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&b, "\\builtin export %s=%s && ", name, quoted(value))
	}
	b.WriteString("SECONDS=0 && \\builtin printf 'set\\0' >&62 || \\builtin :")
	if err := r.transact(ctx, b.String()); err != nil {
		return err
	}
	// The shell writes behind the text that it was given.
	text, err := io.ReadAll(io.NewSectionReader(r.sh.action, int64(b.Len()), int64(len(told))))
	if err != nil {
		return err
	}
	if string(text) != told {
		return errors.New("the shell does not take them: one of them may be read-only")
	}
	return nil
}

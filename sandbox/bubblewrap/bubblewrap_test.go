package bubblewrap

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"mlgym/internal/shim/shimtest"
	"mlgym/sandbox"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestTry(t *testing.T) {
	d := New(Options{})
	t0 := time.Now()
	s, err := d.Create(t.Context(), sandbox.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("create", time.Since(t0))
	b := s.(*box)
	for _, text := range []string{"true", "id; pwd; ls -la / /dev /etc; env; cat /proc/1/status | head -5", "cd /tmp; x=3", "echo $x $PWD; mount | head -30; df -h", "cat", "python3 -c 'print(1)'", "for i in 1 2 3; do sleep 1; echo $i; done", "echo still $x", "open /etc/passwd", "python3 -c 'import os; print(os.getuid())'; ps aux", "echo a\nif", "exit 3", "pwd"} {
		t0 := time.Now()
		res, err := b.Run(t.Context(), sandbox.Script{Text: text, Wall: 2 * time.Second})
		t.Logf("%q: %v %v\n%+v", text, time.Since(t0), err, res)
	}
	t.Log(b.Usage(context.Background()))
	t0 = time.Now()
	t.Log(s.Close(), time.Since(t0))
}

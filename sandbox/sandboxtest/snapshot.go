package sandboxtest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/sandbox"
)

// snapshotState makes all that a snapshot must keep. The rest of the cases look
// at it with inspectState.
const snapshotState = `
cd "$HOME"
export EXPORTED='two words' ; plain=$'line\nline "quoted" \\ $x' ; declare -i number=41 ; declare -r fixed=1
declare -A table=([a]=1 ["b c"]=$'d\te') ; list=(1 "2 3" "") ; declare -n other=plain ; export -n LANG ; unset IFS
greet() { local who=${1:-nobody}; echo "hello $who"; ls -d workspace; }
here() { cat <<END
text of $1
END
}
export -f greet
declare() { echo "not declare"; }
alias ls='ls -1' say='echo "said" '
unalias ll
set -- first 'second one'
shopt -s nullglob extglob ; shopt -u sourcepath ; set -o pipefail -o noclobber
umask 027
trap 'echo "caught"' USR1
pushd /tmp > /dev/null
mkdir -p tree/empty tree/sticky tree/locked "tree/odd
name" ; chmod 1777 tree/sticky ; chmod 2750 tree/empty
echo content > tree/file ; chmod 640 tree/file ; echo '#!/bin/sh' > tree/run ; chmod 755 tree/run
: > tree/zero ; echo hidden > tree/unreadable ; chmod 0 tree/unreadable
echo x > tree/locked/inside ; chmod 0 tree/locked
printf odd > "tree/odd
name/ä	$(printf '\xff\xfe')' \"\\"
ln -s file tree/link ; ln -s /etc/passwd tree/outside ; ln -s nowhere tree/dangling
ln tree/file tree/second
mkfifo -m 600 tree/pipe
truncate -s 3G tree/sparse ; printf data | dd of=tree/sparse bs=1 seek=1000000000 conv=notrunc status=none
touch -d '2001-02-03 04:05:06.789' tree/file tree/empty
echo shared > /dev/shm/shared ; echo var > /var/tmp/var
seq 300 > "$HOME/numbers" ; open "$HOME/numbers" 100 > /dev/null
job start "echo from a job; exit 3" ; job wait 1 > /dev/null
cd tree ; cd "odd
name"
`

// inspectState says what is there.
const inspectState = `
\builtin printf '%s|' "$?" "$PWD" "$OLDPWD" "$EXPORTED" "$plain" "$number" "$fixed" "${table[a]}" "${table[b c]}" "${#list[@]}" "${list[1]}" "$other" "${IFS-none}" "$#" "$2"; echo
number+=1; echo "$number"; (fixed=2) 2> /dev/null || echo fixed
greet you; bash -c 'greet "a child"'; dashed-name b; here b; declare
\builtin declare -p LANG EXPORTED other
alias; say hello; false | true; echo "pipefail $?"; echo /nothing/*; shopt sourcepath; set +o | grep -e clobber -e pipefail
umask; trap -p; dirs -l; (kill -USR1 $BASHPID; echo "$-")
cd ..
find . -printf '%p %y %m %n %s %l\n' | LC_ALL=C sort | grep -v '^\. '
stat -c '%n %Y %y' file empty
cat file second; ls -i file second | awk '{print $1}' | uniq | wc -l
chmod u+r unreadable locked; chmod u+x locked; cat unreadable locked/inside; chmod 0 unreadable locked
cat "odd
name"/*; echo; cat /dev/shm/shared /var/tmp/var
tail -c +1000000001 sparse | head -c 4; du -k sparse | awk '{print ($1 < 1024) ? " small" : " large"}'
scroll_down | head -n 2; job list | sed 's/[0-9.]* s/N s/'; job show 1
cd "odd
name"
`

func (s *suite) snapshots(t *testing.T) {
	mounted := publicFolder(t)
	writeFile(t, filepath.Join(mounted, "data"), "mounted\n")
	spec := sandbox.Spec{Mounts: []sandbox.Mount{
		{Source: mounted, Target: sandbox.WorkDir + "/data/mounted"},
		{Source: filepath.Join(mounted, "data"), Target: sandbox.WorkDir + "/one"},
	}}
	box := s.create(t, spec)
	t.Run("everything comes back", func(t *testing.T) { s.snapshotReturns(t, box, spec) })
	t.Run("what runs cannot be saved", s.snapshotRefused)
	t.Run("a shell that ended", func(t *testing.T) {
		ended := s.create(t, sandbox.Spec{OnCall: endScript})
		s.run(t, ended, "cd /tmp")
		s.run(t, ended, "submit")
		again := s.create(t, sandbox.Spec{})
		s.restore(t, again, s.snapshot(t, ended))
		if res := s.run(t, again, "pwd"); res.Output != "/tmp\n" || !res.ShellRestarted {
			t.Errorf("output %q, restarted %v; want /tmp, and to be told of the new shell", res.Output, res.ShellRestarted)
		}
	})
	t.Run("a shell that disturbs", func(t *testing.T) { s.snapshotDisturbed(t) })
	t.Run("crafted", s.snapshotCrafted)
}

// endScript answers every call with the end of the action.
func endScript(context.Context, sandbox.Call) sandbox.Reply { return sandbox.Reply{EndScript: true} }

func snapshotter(t *testing.T, box sandbox.Sandbox) sandbox.Snapshotter {
	t.Helper()
	sn, ok := box.(sandbox.Snapshotter)
	if !ok {
		t.Fatalf("%T is no sandbox.Snapshotter", box)
	}
	return sn
}

func (s *suite) snapshot(t *testing.T, box sandbox.Sandbox) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := snapshotter(t, box).Snapshot(wait(t), &buf); err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return buf.Bytes()
}

func (s *suite) restore(t *testing.T, box sandbox.Sandbox, text []byte) sandbox.Restored {
	t.Helper()
	at, err := snapshotter(t, box).Restore(wait(t), bytes.NewReader(text))
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return at
}

func (s *suite) snapshotReturns(t *testing.T, box sandbox.Sandbox, spec sandbox.Spec) {
	// A syntax of its own, which only bash with this option reads.
	s.run(t, box, "shopt -s extglob")
	s.run(t, box, "dashed-name() { case $1 in @(a|b)) echo matched ;; esac; }")
	if res := s.run(t, box, snapshotState+"\n(exit 7)"); res.ExitCode != 7 {
		t.Fatalf("the state was not made: exit code %d, %q", res.ExitCode, res.Output)
	}
	text := s.snapshot(t, box)
	if len(text) > 64<<20 {
		t.Errorf("the snapshot has %d bytes; holes are to be left out", len(text))
	}
	if strings.Contains(string(text), "mounted/data") {
		t.Error("what was mounted is in the snapshot")
	}
	again := s.create(t, spec)
	s.run(t, again, "touch ~/stray; mkdir -p /tmp/tree/stray")
	at := s.restore(t, again, text)
	want := s.run(t, box, inspectState)
	got := s.run(t, again, inspectState)
	if diff := cmp.Diff(want.Output, got.Output); diff != "" {
		t.Errorf("the sandbox that was saved (-) and the restored one (+) differ:\n%s", diff)
	}
	for _, part := range []string{"two words|line\nline", "hello a child", "not declare", "caught", "from a job", "data ", "(", "matched\ntext of b"} {
		if !strings.Contains(want.Output, part) {
			t.Errorf("the inspection lacks %q:\n%s", part, want.Output)
		}
	}
	if at.WorkingDir != want.WorkingDir || at.OpenFile != want.OpenFile || got.WorkingDir != want.WorkingDir || got.OpenFile != want.OpenFile || at.OpenFile == "" {
		t.Errorf("restored at %+v, then %q, %q; want %q, %q", at, got.WorkingDir, got.OpenFile, want.WorkingDir, want.OpenFile)
	}
	if res := s.run(t, again, "cat "+sandbox.WorkDir+"/data/mounted/data "+sandbox.WorkDir+"/one; ls -A ~/stray"); !strings.HasPrefix(res.Output, "mounted\nmounted\n") || res.ExitCode == 0 {
		t.Errorf("mounts and what was there before: %q", res.Output)
	}
	// A restored sandbox can be saved as well.
	third := s.create(t, spec)
	s.restore(t, third, s.snapshot(t, again))
	if diff := cmp.Diff(s.run(t, again, inspectState).Output, s.run(t, third, inspectState).Output); diff != "" {
		t.Errorf("after a second snapshot (-want +got):\n%s", diff)
	}
}

func (s *suite) snapshotRefused(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	for _, c := range []struct{ name, begin, say, end string }{
		{"a background program", "mkfifo hold; (read -r < hold) & disown", "background", "echo go > hold; rm hold; sleep 0.2"},
		{"a job", "job start sleep 1000", "background", "job stop 1"},
		{"an open descriptor", "exec 9> held", "descriptor 9", "exec 9>&-"},
		{"output elsewhere", "exec 1> held", "descriptor 1", "exec 1>&2"},
		{"limited resources", "ulimit -S -c 0; ulimit -S -t 1000", "ulimit", "ulimit -S -t unlimited"},
		{"a folder that is gone", "mkdir gone; cd gone; rmdir ../gone", "gone", "cd; cd workspace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.run(t, box, "kept=here")
			s.run(t, box, c.begin)
			err := snapshotter(t, box).Snapshot(wait(t), io.Discard)
			if !errors.Is(err, sandbox.ErrNoSnapshot) || !strings.Contains(err.Error(), c.say) {
				t.Fatalf("snapshot: %v; want ErrNoSnapshot that says %q", err, c.say)
			}
			s.run(t, box, c.end)
			s.snapshot(t, box)
			if res := s.run(t, box, "echo $kept"); res.Output != "here\n" || res.ShellRestarted {
				t.Errorf("afterwards the shell says %q", res.Output)
			}
		})
	}
	t.Run("more than there may be", func(t *testing.T) {
		small := s.create(t, sandbox.Spec{Limits: sandbox.Limits{DiskBytes: 24 << 20}})
		s.run(t, small, "for place in ~ /tmp /var/tmp /dev/shm /dev/shm; do head -c 23M /dev/zero > $place/large; done; head -c 23M /dev/zero > ~/workspace/large")
		res := s.run(t, small, "cat ~/large /tmp/large /var/tmp/large /dev/shm/large | wc -c")
		err := snapshotter(t, small).Snapshot(wait(t), io.Discard)
		t.Logf("%s bytes: %v", strings.TrimSpace(res.Output), err)
		if err != nil && !errors.Is(err, sandbox.ErrNoSnapshot) {
			t.Errorf("snapshot: %v, want none or ErrNoSnapshot", err)
		}
		s.answers(t, small)
	})
}

// snapshotDisturbed: options and tricks of an agent that stand in the way of a
// shell that is to tell its state. It is told right or not at all.
func (s *suite) snapshotDisturbed(t *testing.T) {
	for _, c := range []struct{ name, begin, check, want string }{
		{"every option", "set -eu -o noglob -o posix; x='a *'", `printf '%s %s\n' "$x" "$-" | tr -d himBHs`, "a * efu\n"},
		{"tracing", "set -x; y=5", "echo $y", ""},
		{"a restless prompt", "PROMPT_COMMAND='n=$((n+1))'", "echo done", "done\n"},
		{"aliases of grammar", "alias while=false do=false declare=false printf=false; z=7", `echo $z`, "7\n"},
		{"a debug trap", "trap 'count=$((count+1))' DEBUG", "echo done", "done\n"},
		{"a shell that hangs", "compgen() { while :; do :; done; }; read() { :; }; w=1", "echo $w", "1\n"},
		{"large variables", "big=$(head -c 20000000 /dev/zero | tr '\\0' x)", "echo ${#big}", "20000000\n"},
		{"not text", `bytes=$'\xff\xfe\n'`, `printf %s "$bytes" | od -An -tx1`, " ff fe 0a\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			box := s.create(t, sandbox.Spec{})
			s.run(t, box, c.begin)
			var buf bytes.Buffer
			err := snapshotter(t, box).Snapshot(wait(t), &buf)
			if err != nil && !errors.Is(err, sandbox.ErrNoSnapshot) {
				t.Fatalf("snapshot: %v", err)
			}
			saved := err == nil
			want := s.run(t, box, c.check)
			if c.want != "" && !strings.HasSuffix(want.Output, c.want) && !want.ShellRestarted {
				t.Errorf("after the snapshot (%v) the shell says %q, want %q", err, want.Output, c.want)
			}
			if !saved {
				t.Logf("refused: %v", err)
				return
			}
			again := s.create(t, sandbox.Spec{})
			if _, err := snapshotter(t, again).Restore(wait(t), &buf); err != nil {
				t.Logf("refused when it was to be restored: %v", err)
				return
			}
			if got := s.run(t, again, c.check); untraced(got.Output) != untraced(want.Output) {
				t.Errorf("restored, the shell says %q, want %q", got.Output, want.Output)
			}
		})
	}
}

// untraced leaves out what set -x prints, in which actions are numbered.
func untraced(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "+") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// snapshotCrafted restores what no sandbox wrote. Whatever comes of it stays in
// the sandbox, which can be closed.
func (s *suite) snapshotCrafted(t *testing.T) {
	source := s.create(t, sandbox.Spec{})
	s.run(t, source, "echo original > file")
	good := s.snapshot(t, source)
	const home = "files" + sandbox.HomeDir
	type rows []*tar.Header
	link := func(name, to string) *tar.Header {
		return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}
	}
	file := func(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	for _, c := range []struct {
		name string
		add  rows
	}{
		{"a path that climbs", rows{file(home + "/../../../etc/mlgymtest")}},
		{"a path that climbs and comes back", rows{file("files/tmp/../home/agent/x")}},
		{"another place", rows{file("files/etc/mlgymtest")}},
		{"a place that is only named alike", rows{file("files/tmpx")}},
		{"no place", rows{file("etc/mlgymtest")}},
		{"through an absolute link", rows{link(home+"/l", "/var/tmp"), file(home + "/l/mlgymtest")}},
		{"through a climbing link", rows{link(home+"/l", "../../var/tmp"), file(home + "/l/mlgymtest")}},
		{"over a link", rows{link(home+"/l", "/var/tmp/mlgymtest"), file(home + "/l")}},
		{"a hard link out", rows{{Name: home + "/l", Typeflag: tar.TypeLink, Linkname: "files/etc/passwd"}}},
		{"a hard link to another place", rows{{Name: home + "/l", Typeflag: tar.TypeLink, Linkname: "files/tmp/x"}}},
		{"a device", rows{{Name: home + "/d", Typeflag: tar.TypeBlock, Devmajor: 8, Mode: 0o666}}},
		{"a character device", rows{{Name: home + "/d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1, Mode: 0o666}}},
		{"a place that is a link", rows{link("files/tmp", "/etc")}},
		{"a file that is there", rows{file(home + "/workspace/file")}},
		{"pieces that overlap", rows{{
			Name: home + "/h", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"MLGYM.size": "10", "MLGYM.pieces": "0:5,3:5"},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.refusesSnapshot(t, rewrite(t, good, func(h *tar.Header, w *tar.Writer) {
				if h.Name != "end" {
					return
				}
				for _, row := range c.add {
					if err := w.WriteHeader(row); err != nil {
						t.Fatal(err)
					}
				}
			}))
		})
	}
	for name, text := range map[string][]byte{
		"nothing":        nil,
		"no snapshot":    []byte(strings.Repeat("what is this? ", 1000)),
		"half of it":     good[:len(good)/2],
		"without an end": rewrite(t, good, func(h *tar.Header, _ *tar.Writer) { h.Name = strings.Replace(h.Name, "end", home+"/end", 1) }),
	} {
		t.Run(name, func(t *testing.T) { s.refusesSnapshot(t, text) })
	}
	t.Run("more than there is room for", func(t *testing.T) {
		s.run(t, source, `head -c 48M /dev/zero | tr "\\0" x > large`) // zeros may become a hole
		box := s.create(t, sandbox.Spec{Limits: sandbox.Limits{DiskBytes: 16 << 20}})
		if _, err := snapshotter(t, box).Restore(wait(t), bytes.NewReader(s.snapshot(t, source))); err == nil {
			t.Error("48 MB were restored where 16 MiB may be")
		}
		s.answers(t, box)
	})
	t.Run("another version", func(t *testing.T) {
		text := bytes.Replace(good, []byte(`{"version":1,`), []byte(`{"version":9,`), 1)
		s.refusesSnapshot(t, text)
	})
	t.Run("a shell's state with a program", func(t *testing.T) {
		// It runs, as anything does that an agent asks for, and reaches no further.
		box := s.create(t, sandbox.Spec{})
		text := replacePart(t, good, "shell", func(shell []byte) []byte {
			return bytes.Replace(shell, []byte("umask 0"), []byte("touch /etc/mlgymtest ~/ran; umask 0"), 1)
		})
		if _, err := snapshotter(t, box).Restore(wait(t), bytes.NewReader(text)); err == nil {
			t.Error("a state that does not come about was taken")
		}
		s.attack(t, box, `attempt("a file beside", lambda: os.stat("/etc/mlgymtest"))`)
	})
	t.Run("the tools' memory", func(t *testing.T) {
		box := s.create(t, sandbox.Spec{})
		text := replacePart(t, good, "state.json", func(text []byte) []byte {
			var state map[string]json.RawMessage
			if err := json.Unmarshal(text, &state); err != nil {
				t.Fatal(err)
			}
			state["tools"] = json.RawMessage(`{"first":-5,"last":9223372036854775807,"total":3}`)
			text, err := json.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			return text
		})
		if _, err := snapshotter(t, box).Restore(wait(t), bytes.NewReader(text)); err == nil {
			t.Error("a memory that no tool had was taken")
		}
	})
	// The good one is one.
	s.restore(t, s.create(t, sandbox.Spec{}), rewrite(t, good, func(*tar.Header, *tar.Writer) {}))
}

func (s *suite) refusesSnapshot(t *testing.T, text []byte) {
	t.Helper()
	box := s.create(t, sandbox.Spec{})
	if at, err := snapshotter(t, box).Restore(wait(t), bytes.NewReader(text)); err == nil {
		t.Errorf("it was restored at %+v", at)
	} else {
		t.Log(err)
	}
	if res := s.run(t, box, "ls -d /etc/mlgymtest /var/tmp/mlgymtest 2> /dev/null; grep -c agent: /etc/passwd"); res.Output != "1\n" {
		t.Errorf("afterwards: %q", res.Output)
	}
}

// rewrite copies a snapshot; edit is called before each entry and may change it
// or write further ones.
func rewrite(t *testing.T, text []byte, edit func(*tar.Header, *tar.Writer)) []byte {
	t.Helper()
	return edited(t, text, func(h *tar.Header, w *tar.Writer, content []byte) []byte {
		edit(h, w)
		return content
	})
}

// replacePart copies a snapshot with the content of one entry changed.
func replacePart(t *testing.T, text []byte, name string, change func([]byte) []byte) []byte {
	t.Helper()
	return edited(t, text, func(h *tar.Header, _ *tar.Writer, content []byte) []byte {
		if h.Name != name {
			return content
		}
		return change(content)
	})
}

func edited(t *testing.T, text []byte, edit func(*tar.Header, *tar.Writer, []byte) []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for tr := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		content = edit(h, w, content)
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

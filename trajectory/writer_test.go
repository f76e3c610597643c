package trajectory_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/internal/redact"
	"mlgym/model"
	"mlgym/trajectory"
)

// writerVariable makes the test binary a writer of the record that it names.
const writerVariable = "TRAJECTORY_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerVariable); path != "" {
		if err := writeForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForEver appends to a record until it is killed, and says on standard
// output which events have been written.
func writeForEver(path string) error {
	w, err := trajectory.Append(path, nil)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, trajectory.ErrEmpty) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w, err = trajectory.Create(path, trajectory.Header{RunID: "r"}, nil)
	}
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		// Notes of very different sizes, up to what needs several pages.
		if err := w.Write(trajectory.Event{Note: &trajectory.Note{Text: strings.Repeat("x", n*7919%40_000)}}); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

func TestRecordSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.jsonl")
	random := rand.New(rand.NewPCG(1, 2))
	const rounds = 8
	acknowledged := 0
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), writerVariable+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + random.IntN(100) {
			if !lines.Scan() {
				t.Fatalf("round %d: the writer ended by itself", round)
			}
			acknowledged++
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had said before it died
			if _, err := strconv.Atoi(lines.Text()); err == nil {
				acknowledged++
			}
		}
		_ = cmd.Wait() // it was killed

		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		events, torn := readAll(t, text) // fails on any damage but a torn line
		notes := len(events) - 1
		if notes < acknowledged {
			t.Fatalf("round %d: %d events were acknowledged and %d are there", round, acknowledged, notes)
		}
		if notes > acknowledged+1 {
			t.Fatalf("round %d: %d events are there and %d were acknowledged; at most one may be unknown", round, notes, acknowledged)
		}
		acknowledged = notes
		t.Logf("round %d: %d events, %d torn bytes", round, len(events), torn)
	}
}

func TestTornLineIsMovedAside(t *testing.T) {
	text := golden(t, "v1-complete.jsonl")
	lines := bytes.SplitAfter(text, []byte("\n"))
	whole := bytes.Join(lines[:3], nil)
	path := filepath.Join(t.TempDir(), "t.jsonl")
	for repair, torn := range [][]byte{lines[3][:50], []byte("{"), bytes.Repeat([]byte{0}, 4096), bytes.TrimSuffix(lines[3], []byte("\n"))} {
		if err := os.WriteFile(path, append(bytes.Clone(whole), torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := trajectory.Append(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(trajectory.Event{Note: &trajectory.Note{Text: "after"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(got, whole) {
			t.Errorf("repair %d: the whole lines were touched", repair)
		}
		if events, left := readAll(t, got); len(events) != 4 || left != 0 || events[3].Note.Text != "after" || events[3].Seq != 3 {
			t.Errorf("repair %d: %d events and %d torn bytes, want 4 and 0", repair, len(events), left)
		}
		name := path + ".torn"
		if repair > 0 {
			name = fmt.Sprintf("%s.torn.%d", path, repair+1)
		}
		if kept, err := os.ReadFile(name); err != nil || !bytes.Equal(kept, torn) {
			t.Errorf("repair %d: kept %q, %v; want %q", repair, kept, err, torn)
		}
	}
}

func TestAppendRefusesDamage(t *testing.T) {
	lines := bytes.SplitAfter(golden(t, "v1-complete.jsonl"), []byte("\n"))
	path := filepath.Join(t.TempDir(), "t.jsonl")
	damaged := bytes.Join([][]byte{lines[0], []byte("garbage\n"), lines[1]}, nil)
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := trajectory.Append(path, nil)
	var corrupt *trajectory.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Path != path || corrupt.Line != 2 {
		t.Errorf("error = %v, want a CorruptError for line 2 of %s", err, path)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, damaged) {
		t.Errorf("the damaged record was changed (%v)", err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.jsonl")
	write(t, path, completeEvents())
	if _, err := trajectory.Create(path, trajectory.Header{}, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error = %v, want one that wraps fs.ErrExist", err)
	}
}

// smallDisk mounts a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system to fill; run the tests as root")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "mlgym-test", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root mount a tmpfs: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func TestFullDiskLosesNothing(t *testing.T) {
	path := filepath.Join(smallDisk(t, "256k"), "t.jsonl")
	w, err := trajectory.Create(path, trajectory.Header{RunID: "r"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	note := func(size int) error {
		return w.Write(trajectory.Event{Note: &trajectory.Note{Text: strings.Repeat("n", size)}})
	}
	written := 0
	for err = note(10_000); err == nil; err = note(10_000) {
		written++
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("error = %v; want one that wraps ENOSPC, names %s and says what to do", err, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	events, torn := readAll(t, text)
	if len(events) != written+1 || torn != 0 {
		t.Errorf("%d events and %d torn bytes on a full disk, want %d and 0", len(events), torn, written+1)
	}
	// What is small enough still fits, so that the fault can be recorded.
	if err := note(10); err != nil {
		t.Errorf("a small event after a refused large one: %v", err)
	}
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if events, torn := readAll(t, text); len(events) != written+2 || torn != 0 {
		t.Errorf("%d events and %d torn bytes at the end, want %d and 0", len(events), torn, written+2)
	}
}

func TestMissingFolderIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "t.jsonl")
	if _, err := trajectory.Create(path, trajectory.Header{}, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want one that wraps fs.ErrNotExist and names %s", err, path)
	}
}

func TestNoSecretIsWritten(t *testing.T) {
	known, formed := `pa"ss\wörd<1>`, "sk-"+strings.Repeat("api03", 8)
	path := filepath.Join(t.TempDir(), "t.jsonl")
	w, err := trajectory.Create(path, trajectory.Header{RunID: "r"}, redact.New(redact.Secret{Name: "DB", Value: known}))
	if err != nil {
		t.Fatal(err)
	}
	both := "a " + known + " b " + formed + " c"
	args, err := json.Marshal(map[string]string{"text": both, known: "key"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []trajectory.Event{
		{Reset: &trajectory.Reset{Observation: gym.Observation{Text: both}}},
		{Turn: &trajectory.Turn{Step: 1, Turn: agent.Turn{
			Thought: both, Action: gym.Action{Tool: "edit", Args: args},
			Exchanges: []agent.Exchange{{Error: both, Messages: []model.Message{{Text: both, Opaque: args}}}},
		}}},
		{Fault: &trajectory.Fault{Message: both}},
	} {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	events, _ := readAll(t, text)
	for _, e := range events {
		decoded, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`ss\\w`, "api03"} {
			if bytes.Contains(decoded, []byte(part)) {
				t.Errorf("event %d holds a part %q of a secret: %s", e.Seq, part, decoded)
			}
		}
	}
	if got, want := events[1].Reset.Observation.Text, "a [redacted:DB] b [redacted] c"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

func TestArgumentsThatAreNoJSONAreKeptAsText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.jsonl")
	bad := json.RawMessage(`{"path": `)
	turn := agent.Turn{
		Action:    gym.Action{Tool: "open", Args: bad},
		Exchanges: []agent.Exchange{{Response: &model.Response{Message: model.Message{ToolCalls: []model.ToolCall{{Name: "open", Args: bad}}}}}},
	}
	write(t, path, []trajectory.Event{{Header: &trajectory.Header{}}, {Turn: &trajectory.Turn{Step: 1, Turn: turn}}})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	events, _ := readAll(t, text)
	if got, want := string(events[1].Turn.Turn.Action.Args), `"{\"path\": "`; got != want {
		t.Errorf("args = %s, want %s", got, want)
	}
	if got := string(turn.Exchanges[0].Response.Message.ToolCalls[0].Args); got != string(bad) {
		t.Errorf("the caller's turn was changed to %s", got)
	}
}

func TestWriterRefusesNonsense(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.jsonl")
	w, err := trajectory.Create(path, trajectory.Header{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]trajectory.Event{
		"nothing":         {},
		"two bodies":      {Note: &trajectory.Note{}, Fault: &trajectory.Fault{}},
		"a second header": {Header: &trajectory.Header{}},
		"a huge event":    {Note: &trajectory.Note{Text: strings.Repeat("x", trajectory.MaxEventBytes)}},
	} {
		if err := w.Write(e); err == nil {
			t.Errorf("%s is written, want an error", name)
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := w.Write(trajectory.Event{Note: &trajectory.Note{}}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Close: %v, want fs.ErrClosed", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	w, err := trajectory.Create(filepath.Join(b.TempDir(), "t.jsonl"), trajectory.Header{}, redact.New(redact.Secret{Name: "K", Value: "0123456789abcdef"}))
	if err != nil {
		b.Fatal(err)
	}
	e := trajectory.Event{Step: &trajectory.Step{Step: 1, Action: gym.Action{Command: "ls"}, Transition: gym.Transition{Observation: gym.Observation{Text: strings.Repeat("a line of output\n", 64)}}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(e); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

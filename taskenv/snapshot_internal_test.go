package taskenv

import (
	"bufio"
	"bytes"
	"testing"

	"mlgym/task"
)

// FuzzHeader: no header is taken that the key did not seal.
func FuzzHeader(f *testing.F) {
	env := &Env{cfg: Config{
		Task: &task.Task{ID: "t"}, Mode: task.Hardened, Variant: task.Full, Reward: Improvement,
		Key: func(uint64) []byte { return []byte("key") },
	}}
	line := []byte(`{"format":"mlgym-snapshot","version":1,"task":"t","mode":"hardened","variant":"full","reward":"improvement","seed":3,"step":2,"attempts":1,"best":0.5}`)
	good := append(append(bytes.Clone(line), '\n'), env.seal(3, line)...)
	f.Add(append(good, '\n'))
	f.Add(bytes.Replace(good, []byte(`"step":2`), []byte(`"step":9`), 1))
	f.Add([]byte("\n\n"))
	f.Add([]byte("{}\n{}\n"))
	if h, err := env.readHeader(bufio.NewReader(bytes.NewReader(append(good, '\n'))), 3); err != nil || h.Step != 2 || *h.Best != 0.5 {
		f.Fatalf("a good header: %+v, %v", h, err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := env.readHeader(bufio.NewReader(bytes.NewReader(text)), 3)
		if err == nil && !bytes.HasPrefix(text, good) {
			t.Errorf("a header that nobody made: %+v", h)
		}
	})
}

package report

import (
	"os"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	out := os.Getenv("LOOK")
	if out == "" {
		t.Skip()
	}
	_, s := devStudy(t)
	t0 := time.Now()
	r := Compute(s, Settings{})
	t.Log(time.Since(t0))
	t0 = time.Now()
	if err := r.WriteDir(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(t0))
}

package dataset_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/dataset"
	"mlgym/sandbox"
)

func TestPrepareSplitsAndProtects(t *testing.T) {
	store, dir := open(t, nil)
	d := define(t, "", "")
	if _, err := store.Lookup(d, "small"); !errors.Is(err, dataset.ErrNotPrepared) {
		t.Fatalf("before: got %v, want that it is not prepared", err)
	}
	var told []string
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small", Progress: func(e dataset.Event) { told = append(told, e.Text) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, p.SplitDir("train"), "letters.txt"); got != "abc" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(strings.Join(told, "\n"), "writing") {
		t.Errorf("got the progress %q, want that of the script in it", told)
	}
	if p.Files != 3 || p.Source.Kind != dataset.Generated || p.Seconds <= 0 || len(p.Splits) != 3 {
		t.Errorf("got %+v", p)
	}
	for _, name := range []string{p.SplitDir("test_labels"), filepath.Join(p.SplitDir("test_labels"), "ids.txt")} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o222 != 0 {
			t.Errorf("%s: mode %v, want that nobody may write", name, info.Mode())
		}
	}
	again, err := store.Lookup(d, "small")
	if err != nil || again.Digest != p.Digest {
		t.Errorf("looked up: got %v %v, want %v", again.Digest, err, p.Digest)
	}
	listed, err := store.List()
	if err != nil || len(listed) != 1 || listed[0].ID != "letters" {
		t.Errorf("listed: got %+v %v", listed, err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMountsShowWhatMayBeSeen(t *testing.T) {
	store, _ := open(t, nil)
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: define(t, "", ""), Variant: "small"})
	if err != nil {
		t.Fatal(err)
	}
	got := dataset.Mounts([]dataset.Prepared{p}, "/data", func(s dataset.Split) bool { return s.Agent == dataset.Always })
	want := []sandbox.Mount{{Source: p.SplitDir("train"), Target: "/data/train"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

func TestHiddenRowsDependOnTheSecret(t *testing.T) {
	d := define(t, "", "")
	ids := map[string]bool{}
	for _, secret := range []string{"one secret", "another secret", "one secret"} {
		store, _ := open(t, func(o *dataset.Options) { o.Secret = func() ([]byte, error) { return []byte(secret), nil } })
		p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
		if err != nil {
			t.Fatal(err)
		}
		ids[read(t, p.SplitDir("test_labels"), "ids.txt")] = true
		if strings.Contains(p.Secret, "secret") || len(p.Secret) != 16 {
			t.Errorf("the record says %q of the secret", p.Secret)
		}
	}
	if len(ids) != 2 {
		t.Errorf("three preparations with two secrets gave %d sets of ids, want 2", len(ids))
	}
}

func TestFilesOfTheUser(t *testing.T) {
	store, _ := open(t, nil)
	d := define(t, "", "")
	from := t.TempDir()
	prepare := func(variant, from string) error {
		_, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: variant, From: from})
		return err
	}
	for _, tt := range []struct {
		name, text, variant, from, want string
	}{
		{"missing", "", "full", from, "letters.txt is missing in " + from},
		{"refused", "bad", "full", from, "letters.txt begins with bad"},
		{"no folder", "x", "full", from + "/nowhere", "is no folder"},
		{"not taken", "x", "small", from, "takes no files of your own"},
		{"good", "mine", "full", from, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text != "" {
				if err := os.WriteFile(filepath.Join(from, "letters.txt"), []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := prepare(tt.variant, tt.from)
			var refused *dataset.RefusedError
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
	p, err := store.Lookup(d, "full")
	if err != nil || p.Source.Kind != dataset.User || read(t, p.SplitDir("train"), "letters.txt") != "mine" {
		t.Errorf("got %+v %v", p, err)
	}
}

func TestScriptsThatFail(t *testing.T) {
	for _, tt := range []struct{ name, extra, want string }{
		{"raises", "    raise ValueError('odd')", "ValueError: odd"},
		{"ends at once", "    import os; os._exit(0)", ""},
		{"writes another split", "    (p.split('more') / 'x').write_text('x')", "wrote more, which is no split"},
		{"leaves a split empty", "    (p.split('train') / 'letters.txt').unlink()", "wrote nothing into the split train"},
		{"writes a link", "    (p.split('train') / 'x').symlink_to('/etc/passwd')", "train/x is not a regular file"},
		{"has a full disk", "    raise OSError(28, 'No space left on device')", "choose another place with MLGYM_CACHE"},
		{"talks nonsense", "    import os; os.write(1, b'x' * 3000000)", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, dir := open(t, nil)
			d := define(t, "", tt.extra)
			_, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if _, err := store.Lookup(d, "small"); (err == nil) != (tt.want == "") {
				t.Errorf("looked up: got %v", err)
			}
			if left := leftovers(t, dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestACancelledPreparationLeavesNothing(t *testing.T) {
	store, dir := open(t, nil)
	d := define(t, "", "    p.progress('now', 1, 1)\n    import time; time.sleep(600)")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := store.Prepare(ctx, dataset.Request{Dataset: d, Variant: "small", Progress: func(e dataset.Event) {
		if e.Text == "now" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that it was cancelled", err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	store, dir := open(t, nil)
	old := filepath.Join(dir, ".work-letters-small-123", "output")
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: define(t, "", ""), Variant: "small"}); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTwoThatPrepareAtOnce(t *testing.T) {
	store, dir := open(t, nil)
	d := define(t, "", "    import pathlib, time; time.sleep(0.3); pathlib.Path('"+t.TempDir()+"/ran').open('a').write('x')")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			// Another process has a store of its own on the same folder.
			other, err := dataset.OpenStore(dir, options())
			if err == nil {
				_, err = other.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lookup(d, "small"); err != nil {
		t.Error(err)
	}
	if all, err := filepath.Glob(filepath.Join(dir, "store", "*")); err != nil || len(all) != 1 {
		t.Errorf("got %v %v, want one result", all, err)
	}
}

func TestAChangedDescriptionMakesDataStale(t *testing.T) {
	store, _ := open(t, nil)
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: define(t, "", ""), Variant: "small"}); err != nil {
		t.Fatal(err)
	}
	changed := define(t, "", "    pass")
	if _, err := store.Lookup(changed, "small"); !errors.Is(err, dataset.ErrStale) || !errors.Is(err, dataset.ErrNotPrepared) {
		t.Errorf("got error %v, want that it is stale", err)
	}
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: changed, Variant: "small"}); err != nil {
		t.Error(err)
	}
	if _, err := store.Lookup(changed, "small"); err != nil {
		t.Error(err)
	}
}

func TestVerifyFindsEachKindOfDamage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(train, top string) error
		want   string
	}{
		{"nothing", func(string, string) error { return nil }, ""},
		{"changed", func(train, _ string) error { return os.WriteFile(train+"/letters.txt", []byte("abd"), 0o600) }, "train/letters.txt was changed"},
		{"missing", func(train, _ string) error { return os.Remove(train + "/letters.txt") }, "train/letters.txt is missing"},
		{"added", func(train, _ string) error { return os.WriteFile(train+"/new", nil, 0o600) }, "train/new was added"},
		{"a link", func(train, _ string) error { return os.Symlink("letters.txt", train+"/link") }, "train/link is not a regular file"},
		{"the list", func(_, top string) error { return os.WriteFile(top+"/files.json", []byte("[]"), 0o600) }, "the list of its files has the digest"},
		{"no list", func(_, top string) error { return os.Remove(top + "/files.json") }, "files.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, _ := open(t, nil)
			p, err := store.Prepare(t.Context(), dataset.Request{Dataset: define(t, "", ""), Variant: "small"})
			if err != nil {
				t.Fatal(err)
			}
			train := p.SplitDir("train")
			for name, mode := range map[string]os.FileMode{filepath.Dir(train): 0o755, train: 0o755, train + "/letters.txt": 0o644, filepath.Dir(train) + "/files.json": 0o644} {
				if err := os.Chmod(name, mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.damage(train, filepath.Dir(train)); err != nil {
				t.Fatal(err)
			}
			err = store.Verify(t.Context(), p, nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDamagedDataIsPreparedAgain(t *testing.T) {
	store, _ := open(t, nil)
	d := define(t, "", "")
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(p.SplitDir("train"), "letters.txt")
	if err := errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, []byte("xyz"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if p, err = store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small", Again: true}); err != nil {
		t.Fatal(err)
	}
	if err := store.Verify(t.Context(), p, nil); err != nil {
		t.Error(err)
	}
}

func TestRemove(t *testing.T) {
	store, dir := open(t, nil)
	d := define(t, "", "")
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Remove(p); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lookup(d, "small"); !errors.Is(err, dataset.ErrNotPrepared) {
		t.Errorf("got error %v", err)
	}
	if all, err := filepath.Glob(filepath.Join(dir, "store", "*")); err != nil || len(all) != 0 {
		t.Errorf("got %v %v, want nothing", all, err)
	}
}

func TestABrokenRecordIsNamed(t *testing.T) {
	store, dir := open(t, nil)
	d := define(t, "", "")
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"}); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(dir, "ready", "letters-small.json")
	for _, text := range []string{"", "{", `{"format": 1, "digest": "sha256:../../etc"}`} {
		if err := os.WriteFile(record, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Lookup(d, "small"); !errors.Is(err, dataset.ErrNotPrepared) || !strings.Contains(err.Error(), record) {
			t.Errorf("record %q: got error %v, want one that names the file", text, err)
		}
		if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"}); err != nil {
			t.Errorf("record %q: prepare: %v", text, err)
		}
	}
}

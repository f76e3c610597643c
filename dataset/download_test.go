package dataset_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/dataset"
)

// server serves one file, as badly as it is told to.
type server struct {
	mu      sync.Mutex
	text    string
	etag    string
	cut     []int // after how many bytes of an answer to cut it, one by one
	answer  []int // status codes to give first
	ranges  bool
	asked   []string // the Range of each request
	headers http.Header
	path    string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Header.Get("Range"))
	s.headers, s.path = r.Header, r.URL.Path
	if len(s.answer) > 0 {
		code := s.answer[0]
		s.answer = s.answer[1:]
		w.WriteHeader(code)
		return
	}
	w.Header().Set("ETag", s.etag)
	start := 0
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && s.ranges && (r.Header.Get("If-Range") == "" || r.Header.Get("If-Range") == s.etag) {
		start, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(s.text)-1, len(s.text)))
	}
	body := s.text[start:]
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if start > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if len(s.cut) > 0 {
		n := s.cut[0]
		s.cut = s.cut[1:]
		_, _ = w.Write([]byte(body[:n]))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write([]byte(body))
}

func serve(t *testing.T, s *server) string {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}

// fromURL defines letters with one file at an address.
func fromURL(t *testing.T, address, more string) *dataset.Dataset {
	t.Helper()
	return define(t, "{kind: url, files: [{path: letters.txt, url: \""+address+"/letters.txt\""+more+"}]}", "")
}

const text = "the quick brown fox jumps over the lazy dog"

func TestDownload(t *testing.T) {
	for _, tt := range []struct {
		name  string
		s     *server
		more  string
		asked []string
		want  string // of the error
	}{
		{"whole", &server{text: text}, "", []string{""}, ""},
		{"with its digest", &server{text: text}, ", sha256: " + sum(text), []string{""}, ""},
		{"cut and resumed", &server{text: text, etag: `"1"`, ranges: true, cut: []int{10}}, ", sha256: " + sum(text), []string{"", "bytes=10-"}, ""},
		{"cut, by a server without ranges", &server{text: text, cut: []int{10}}, ", sha256: " + sum(text), []string{"", "bytes=10-"}, ""},
		{"busy at first", &server{text: text, answer: []int{503}}, "", []string{"", ""}, ""},
		{"another digest", &server{text: text}, ", sha256: " + sum("x"), []string{""}, "its SHA-256 is " + sum(text)},
		{"another size", &server{text: text}, ", bytes: 5", []string{""}, "it has 43 bytes there, and should have 5"},
		{"not there", &server{answer: []int{404}}, "", []string{""}, "404 Not Found"},
		{"not allowed", &server{answer: []int{401}}, "", []string{""}, "set HF_TOKEN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.s
			store, dir := open(t, nil)
			d := fromURL(t, serve(t, s), tt.more)
			p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full"})
			if diff := cmp.Diff(tt.asked, s.asked); diff != "" {
				t.Errorf("ranges asked for (-want +got):\n%s", diff)
			}
			if tt.want != "" {
				var missing *dataset.MissingError
				if !errors.As(err, &missing) || !strings.Contains(err.Error(), tt.want) ||
					!strings.Contains(err.Error(), "--from DIR. It has to hold the file letters.txt") || !strings.Contains(err.Error(), "--variant small") {
					t.Errorf("got error %v, want one with %q and the ways out", err, tt.want)
				}
				if left := leftovers(t, dir); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, p.SplitDir("train"), "letters.txt"); got != text {
				t.Errorf("got %q", got)
			}
			want := []dataset.SourceFile{{Path: "letters.txt", URL: p.Source.Files[0].URL, SHA256: sum(text), Bytes: int64(len(text))}}
			if diff := cmp.Diff(want, p.Source.Files); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADownloadGoesOnAfterItsProcessWasKilled(t *testing.T) {
	s := &server{text: text, etag: `"1"`, ranges: true}
	address := serve(t, s)
	store, dir := open(t, nil)
	key := sum(address + "/letters.txt")
	for name, content := range map[string]string{key: text[:20], key + ".json": `{"url":"` + address + `/letters.txt","etag":"\"1\""}`} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "partial"), 0o755), os.WriteFile(filepath.Join(dir, "partial", name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: fromURL(t, address, ", sha256: "+sum(text)), Variant: "full"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bytes=20-"}, s.asked); diff != "" {
		t.Errorf("ranges asked for (-want +got):\n%s", diff)
	}
}

func TestAFileThatChangedMeanwhileBeginsAnew(t *testing.T) {
	s := &server{text: text, etag: `"2"`, ranges: true}
	address := serve(t, s)
	store, dir := open(t, nil)
	key := sum(address + "/letters.txt")
	for name, content := range map[string]string{key: "something else", key + ".json": `{"url":"` + address + `/letters.txt","etag":"\"1\""}`} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "partial"), 0o755), os.WriteFile(filepath.Join(dir, "partial", name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: fromURL(t, address, ""), Variant: "full"})
	if err != nil || read(t, p.SplitDir("train"), "letters.txt") != text {
		t.Errorf("got %v", err)
	}
}

func TestWhatWasFetchedIsNotFetchedAgain(t *testing.T) {
	s := &server{text: text}
	store, _ := open(t, nil)
	d := fromURL(t, serve(t, s), "")
	for range 2 {
		if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full", Again: true}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.asked) != 1 {
		t.Errorf("got %d requests, want 1", len(s.asked))
	}
}

func TestAnotherContentThanAtFirstUseIsRefused(t *testing.T) {
	s := &server{text: text}
	store, dir := open(t, nil)
	d := fromURL(t, serve(t, s), "")
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full"}); err != nil {
		t.Fatal(err)
	}
	s.text = "another text"
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "*"))
	if err != nil || len(blobs) != 1 {
		t.Fatal(blobs, err)
	}
	if err := os.Remove(blobs[0]); err != nil { // somebody cleans up
		t.Fatal(err)
	}
	_, err = store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full", Again: true})
	if err == nil || !strings.Contains(err.Error(), "not "+sum(text)) && !strings.Contains(err.Error(), "should have 43") {
		t.Errorf("got error %v, want that it is another file", err)
	}
}

func TestTheHub(t *testing.T) {
	s := &server{text: text}
	address := serve(t, s)
	t.Setenv("HF_TOKEN", "hf_of_these_tests")
	store, _ := open(t, func(o *dataset.Options) { o.HubURL = address })
	for _, tt := range []struct{ more, want string }{
		{"", "/datasets/owner/name/resolve/v1/letters.txt"},
		{", type: model", "/owner/name/resolve/v1/letters.txt"},
	} {
		d := define(t, "{kind: huggingface, repo: owner/name, revision: v1"+tt.more+", files: [{path: letters.txt}]}", "")
		if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full", Again: true}); err != nil {
			t.Fatal(err)
		}
		if s.path != tt.want || s.headers.Get("Authorization") != "Bearer hf_of_these_tests" {
			t.Errorf("asked for %s with %q, want %s with the token", s.path, s.headers.Get("Authorization"), tt.want)
		}
	}
}

func TestTheNextSourceIsTaken(t *testing.T) {
	bad, good := &server{answer: []int{404}}, &server{text: text}
	d := define(t, "{kind: url, files: [{path: letters.txt, url: \""+serve(t, bad)+"/a\"}]}\n      - {kind: url, files: [{path: letters.txt, url: \""+serve(t, good)+"/b\"}]}", "")
	store, _ := open(t, nil)
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full"})
	if err != nil || !strings.HasSuffix(p.Source.Files[0].URL, "/b") {
		t.Errorf("got %+v %v", p.Source, err)
	}
}

func TestAnUnknownHostIsNotAskedAgain(t *testing.T) {
	store, _ := open(t, nil)
	var told []string
	_, err := store.Prepare(t.Context(), dataset.Request{
		Dataset: fromURL(t, "http://nowhere.invalid", ""), Variant: "full", Progress: func(e dataset.Event) { told = append(told, e.Text) },
	})
	if err == nil || !strings.Contains(err.Error(), "the host nowhere.invalid is not known here") {
		t.Errorf("got error %v, want that the host is not known", err)
	}
	if strings.Contains(strings.Join(told, "\n"), "trying again") {
		t.Errorf("got the progress %q, want no second try", told)
	}
}

func TestNoSpaceIsSaidBeforeTheWork(t *testing.T) {
	files := folder("", "")
	files["letters/dataset.yaml"].Data = []byte(strings.ReplaceAll(string(files["letters/dataset.yaml"].Data), "bytes: 1000", "bytes: 9000000000000000"))
	d, err := dataset.Load(files, "letters")
	if err != nil {
		t.Fatal(err)
	}
	store, dir := open(t, nil)
	_, err = store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
	if err == nil || !strings.Contains(err.Error(), "choose another place with MLGYM_CACHE=DIR") {
		t.Errorf("got error %v, want one that names the way out", err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestFullDisk fills a disk for real, where the machine lets it make one.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, not tested: making a small disk needs root")
	}
	small := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, not tested: mount: %v %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", "-l", small).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	}()
	_, _ = open(t, nil) // skips where there is no Python
	store, err := dataset.OpenStore(filepath.Join(small, "data"), options())
	if err != nil {
		t.Fatal(err)
	}
	d := define(t, "", "    (p.split('train') / 'large').write_bytes(bytes(200 << 20))")
	_, err = store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "small"})
	if err == nil || !strings.Contains(err.Error(), "the disk of the cache is full") {
		t.Errorf("got error %v, want that the disk is full", err)
	}
	if left := leftovers(t, filepath.Join(small, "data")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := store.Prepare(t.Context(), dataset.Request{Dataset: define(t, "", ""), Variant: "small"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestADebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	root := t.TempDir()
	for name, content := range map[string]string{
		"DEBIAN/control": "Package: letters\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: letters\n",
		"letters.txt":    "from the package",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755), os.WriteFile(filepath.Join(root, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(t.TempDir(), "letters.deb")
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", root, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	store, dir := open(t, nil)
	digest := sum(read(t, deb))
	d := define(t, "{kind: debian, package: letters-of-these-tests, version: \"1\", sha256: "+digest+"}", "")
	// It is in the store already: no archive has it.
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "blobs"), 0o755), os.Rename(deb, filepath.Join(dir, "blobs", digest))); err != nil {
		t.Fatal(err)
	}
	p, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: "full"})
	if err != nil || read(t, p.SplitDir("train"), "letters.txt") != "from the package" || p.Source.Files[0].SHA256 != digest {
		t.Errorf("got %+v %v", p.Source, err)
	}
}

package dataset_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"mlgym/dataset"
)

func TestTheExampleOfTheFormatsPageIsADataSet(t *testing.T) {
	page, err := os.ReadFile("../docs/format/dataset.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the page shows no dataset.yaml")
	}
	got, err := dataset.Load(fstest.MapFS{
		"letters/dataset.yaml": {Data: []byte(text)},
		"letters/prepare.py":   {Data: []byte("x")},
	}, "letters")
	if err != nil {
		t.Fatal(err)
	}
	if got.Environment != "tabular" || len(got.Splits) != 4 || len(got.Variants["full"].Sources) != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"format", "format: 1", "format: 2", "letters/dataset.yaml:1: format: this program reads format 1, not 2"},
		{"unknown key", "licence: MIT", "license: MIT", `license: unknown key; did you mean "licence"?`},
		{"id", "id: letters", "id: \"a b\"", "id: want letters, digits"},
		{"version", "version: 1", "version: 0", "version: want 1 or more"},
		{"no licence", "licence: MIT", "licence: \" \"", "licence: want text"},
		{"split name", "name: train,", "name: ../train,", "splits[0].name: a split's name is of small letters"},
		{"split twice", "name: validation_labels,", "name: train,", "splits[1].name: train stands twice"},
		{"visibility", "agent: never", "agent: sometimes", `splits[2].agent: want one of always, published, never, got "sometimes"`},
		{"variant name", "  small:", "  Small:", "variants.Small: a variant's name"},
		{"size", "bytes: 1000", "bytes: 0", "bytes: want about how many bytes"},
		{"no source", "[{kind: generated}]", "[]", "variants.small.sources: want a source, or user_files"},
		{"kind", "[{kind: generated}]", "[{kind: generatd}]", `did you mean "generated"`},
		{"the user's kind", "[{kind: generated}]", "[{kind: user}]", "a user's own files are described by user_files"},
		{"no files", "[{kind: generated}]", "[{kind: url}]", "files: missing; a source of kind url needs it"},
		{"too much", "[{kind: generated}]", "[{kind: generated, repo: a/b}]", "repo: a source of kind generated has none"},
		{"path out", "[{kind: generated}]", "[{kind: url, files: [{path: ../x, url: \"http://a/b\"}]}]", "path: want a path with / and without .."},
		{"no address", "[{kind: generated}]", "[{kind: url, files: [{path: x, url: \"file:///etc/passwd\"}]}]", "url: want an http or https address"},
		{"digest", "[{kind: generated}]", "[{kind: url, files: [{path: x, url: \"http://a/b\", sha256: ABC}]}]", "sha256: want 64 hexadecimal digits"},
		{"an address on the hub", "[{kind: generated}]", "[{kind: huggingface, repo: a/b, revision: x, files: [{path: x, url: \"http://a/b\"}]}]", "url: it follows from repo"},
		{"repo", "[{kind: generated}]", "[{kind: huggingface, repo: a, revision: x, files: [{path: x}]}]", "want repo: OWNER/NAME"},
		{"an option as a package", "[{kind: generated}]", "[{kind: debian, package: -o, version: \"1\", sha256: x}]", "want the package's name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := folder("", "")
			text := string(files["letters/dataset.yaml"].Data)
			if !strings.Contains(text, tt.old) {
				t.Fatalf("%q is not in the file", tt.old)
			}
			files["letters/dataset.yaml"].Data = []byte(strings.Replace(text, tt.old, tt.new, 1))
			if _, err := dataset.Load(files, "letters"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v\nwant one with %q", err, tt.want)
			}
		})
	}
	for _, name := range []string{"dataset.yaml", "prepare.py", "requirements.txt"} {
		files := folder("", "")
		delete(files, "letters/"+name)
		if _, err := dataset.Load(files, "letters"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: got error %v, want one that names it", name, err)
		}
	}
}

func TestCatalog(t *testing.T) {
	first, second := folder("", ""), folder("", "    pass")
	second["other/dataset.yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(second["letters/dataset.yaml"].Data), "id: letters", "id: else"))}
	second["other/prepare.py"], second["other/requirements.txt"] = &fstest.MapFile{}, &fstest.MapFile{}
	c := dataset.NewCatalog(first, second)
	if diff := cmp.Diff([]dataset.ID{"letters", "other"}, c.IDs()); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	got, err := c.Find("letters")
	if err != nil || got.Digest != define(t, "", "").Digest {
		t.Errorf("got %+v %v, want that of the first folder", got, err)
	}
	var unknown *dataset.UnknownError
	if _, err := c.Find("leters"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), `did you mean "letters"`) {
		t.Errorf("got error %v, want one that names letters", err)
	}
	if _, err := c.Find("other"); err == nil || !strings.Contains(err.Error(), `want "other", the name of the folder, got "else"`) {
		t.Errorf("got error %v, want one about the name", err)
	}
}

func TestTheDigestCoversWhatDecides(t *testing.T) {
	before := define(t, "", "").Digest
	for name, same := range map[string]bool{
		"letters/tests/test_it.py": true, "letters/README.md": true, "letters/.hidden": true, "letters/__pycache__/x.pyc": true,
		"letters/prepare.py": false, "letters/requirements.txt": false, "letters/more.py": false,
	} {
		files := folder("", "")
		files[name] = &fstest.MapFile{Data: []byte("changed")}
		got, err := dataset.Load(files, "letters")
		if err != nil {
			t.Fatal(err)
		}
		if (got.Digest == before) != same {
			t.Errorf("%s: the digest is the same: %v, want %v", name, got.Digest == before, same)
		}
	}
}

package assets_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/web/assets"
)

// TestLibrariesAreExplained compares package.json with the table in docs/design.
func TestLibrariesAreExplained(t *testing.T) {
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Dependencies    map[string]string `json:"dependencies"`
		DevDependencies map[string]string `json:"devDependencies"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	want := file.DevDependencies
	maps.Copy(want, file.Dependencies)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "design", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Browser libraries\n")
	section, _, _ = strings.Cut(section, "\n## ")
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9.]+) \\|").FindAllStringSubmatch(section, -1) {
		got[row[1]] = row[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/design/dependencies.md against package.json (-want +got):\n%s", diff)
	}
}

// TestLockNamesNoRegistry keeps the address of anybody's registry out of the lock
// file, and a digest in it for each package.
func TestLockNamesNoRegistry(t *testing.T) {
	text, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "://") && strings.Contains(string(text), `"resolved"`) {
		t.Error("package-lock.json names where packages came from; make it with web/assets/.npmrc in force")
	}
	var lock struct {
		Packages map[string]struct{ Integrity string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Packages) < 10 {
		t.Fatalf("the lock file has %d packages", len(lock.Packages))
	}
	for name, p := range lock.Packages {
		if name != "" && p.Integrity == "" {
			t.Errorf("%s has no digest", name)
		}
	}
}

// TestBuilt looks at what is embedded.
func TestBuilt(t *testing.T) {
	if _, err := fs.Stat(assets.FS(), "chart.js"); err != nil {
		t.Skip("the browser libraries are not built: scripts/assets.sh")
	}
	for name, marks := range map[string][]string{
		"chart.js":     {"globalThis.Chart="},
		"editor.js":    {"globalThis.mlgymEditor="},
		"LICENSES.txt": {"==== chart.js ", "==== @codemirror/view ", "==== @kurkle/color ", "==== style-mod "},
	} {
		text, err := fs.ReadFile(assets.FS(), name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, mark := range marks {
			if !strings.Contains(string(text), mark) {
				t.Errorf("%s lacks %q", name, mark)
			}
		}
		// What the content security policy of the pages refuses.
		if strings.HasSuffix(name, ".js") && regexp.MustCompile(`\beval\(|new Function\(`).Match(text) {
			t.Errorf("%s evaluates texts as code", name)
		}
	}
}

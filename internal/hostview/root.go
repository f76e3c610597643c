package hostview

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mlgym/internal/cachedir"
)

// SystemFolders are the names in / that hold programs and libraries, on systems
// with a merged /usr and on others. Not every system has all of them.
var SystemFolders = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// Etc is what programs need of the host's /etc, none of it private. Not every
// system has all of it.
var Etc = []string{
	"alternatives", "debian_version", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic",
	"mime.types", "os-release", "python3", "python3.11", "python3.12", "python3.13", "ssl/certs", "ssl/openssl.cnf",
	"terminfo", "timezone",
}

// hidden are patterns of what lies below the system folders and is not to be
// seen: what people put there by hand, and public data sets that packages
// install, in which an agent would find the labels that a task keeps from it.
var hidden = []string{
	"/usr/local", "/usr/src",
	"/usr/share/*dataset*", "/usr/share/seaborn-data", "/usr/share/nltk_data", "/usr/share/gretl", "/usr/share/weka",
	// R's packages carry many well-known tables and texts.
	"/usr/lib/R", "/usr/lib64/R", "/usr/share/R",
	"/usr/lib/python3/dist-packages/sklearn/datasets/data", "/usr/lib/python3/dist-packages/sklearn/datasets/tests",
	"/usr/lib/python3/dist-packages/vega_datasets",
	"/usr/lib/bible.data", "/usr/lib/bible.data.conc",
}

// Hidden is something of the host that a sandbox has to cover.
type Hidden struct {
	// Path is without links.
	Path  string
	IsDir bool
}

// HiddenPaths returns what of the system folders is to be covered on this
// machine. Nothing in it lies below something else in it.
func HiddenPaths() []Hidden {
	patterns := hidden
	if cache, err := cachedir.Dir(); err == nil {
		patterns = append(slices.Clone(hidden), cache) // in case that it lies in /usr
	}
	return hiddenBelow("/", patterns)
}

// hiddenBelow is HiddenPaths with another root.
func hiddenBelow(root string, patterns []string) []Hidden {
	found := map[string]bool{} // whether it is a folder
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			continue // a folder of the cache with brackets in its name
		}
		for _, match := range matches {
			// What a link leads to would be found without the link.
			real, err := filepath.EvalSymlinks(match)
			if err != nil || !shown(root, real) {
				continue
			}
			info, err := os.Stat(real)
			if err == nil && (info.IsDir() || info.Mode().IsRegular()) {
				found[real] = info.IsDir()
			}
		}
	}
	var out []Hidden
	for name, isDir := range found {
		if !hasParent(name, found) {
			out = append(out, Hidden{Path: name, IsDir: isDir})
		}
	}
	slices.SortFunc(out, func(a, b Hidden) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// shown says whether a path lies below a system folder, and is none itself.
func shown(root, name string) bool {
	return slices.ContainsFunc(SystemFolders, func(folder string) bool {
		return strings.HasPrefix(name, filepath.Join(root, folder)+"/")
	})
}

func hasParent(name string, found map[string]bool) bool {
	for dir := path.Dir(name); dir != "/" && dir != "."; dir = path.Dir(dir) {
		if found[dir] {
			return true
		}
	}
	return false
}

package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/internal/strictyaml"
)

// Format is the version of dataset.yaml that this program reads.
const Format = 1

// The names of the files of a data set's folder.
const (
	FileName         = "dataset.yaml"
	ScriptName       = "prepare.py"
	RequirementsName = "requirements.txt"
)

// spec is dataset.yaml as written.
type spec struct {
	Format      int                `yaml:"format"`
	ID          ID                 `yaml:"id"`
	Version     int                `yaml:"version"`
	Name        string             `yaml:"name"`
	Description string             `yaml:"description"`
	Licence     string             `yaml:"licence"`
	Homepage    string             `yaml:"homepage,optional"`
	Environment string             `yaml:"environment,optional"`
	Splits      []Split            `yaml:"splits"`
	Variants    map[string]Variant `yaml:"variants"`
}

// Load reads the data set in the folder dir of fsys. The error joins one
// [*strictyaml.Error] per problem of the file.
func Load(fsys fs.FS, dir string) (*Dataset, error) {
	folder, err := fs.Sub(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("load data set: %w", err)
	}
	name := path.Join(dir, FileName)
	data, err := fs.ReadFile(folder, FileName)
	if err != nil {
		return nil, fmt.Errorf("load data set: no %s: %w", name, err)
	}
	var s spec
	lines, err := strictyaml.Decode(name, data, &s)
	if err != nil {
		return nil, fmt.Errorf("load data set: %w", err)
	}
	c := checker{file: name, lines: lines}
	c.spec(&s)
	c.folder(folder, &s)
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("load data set: %w", errors.Join(c.problems...))
	}
	d := &Dataset{
		ID: s.ID, Version: s.Version, Name: s.Name, Description: strings.TrimSpace(s.Description), Licence: s.Licence,
		Homepage: s.Homepage, Environment: s.Environment, Splits: s.Splits, Variants: s.Variants, folder: folder,
	}
	if d.Digest, err = digestFolder(folder); err != nil {
		return nil, fmt.Errorf("load data set %s: %w", d.ID, err)
	}
	return d, nil
}

// checker collects what is wrong with a file that could be decoded.
type checker struct {
	file     string
	lines    strictyaml.Lines
	problems []error
}

func (c *checker) fail(key, format string, args ...any) {
	c.problems = append(c.problems, c.lines.At(c.file, key, format, args...))
}

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	debianPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	debianVersion = regexp.MustCompile(`^[0-9][A-Za-z0-9.+:~-]*$`)
	repoPattern   = regexp.MustCompile(`^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$`)
)

func (c *checker) spec(s *spec) {
	if s.Format != Format {
		c.fail("format", "this program reads format %d, not %d", Format, s.Format)
	}
	if !idPattern.MatchString(string(s.ID)) {
		c.fail("id", "want letters, digits, - and _, at most 64, got %q", s.ID)
	}
	if s.Version < 1 {
		c.fail("version", "want 1 or more, got %d", s.Version)
	}
	for key, text := range map[string]string{"name": s.Name, "licence": s.Licence, "description": s.Description} {
		if strings.TrimSpace(text) == "" {
			c.fail(key, "want text")
		}
	}
	if len(s.Splits) == 0 {
		c.fail("splits", "want at least one")
	}
	seen := map[string]bool{}
	for i, split := range s.Splits {
		key := fmt.Sprintf("splits[%d].name", i)
		if !namePattern.MatchString(split.Name) {
			c.fail(key, "a split's name is of small letters, digits, - and _, got %q", split.Name)
		}
		if seen[split.Name] {
			c.fail(key, "%s stands twice", split.Name)
		}
		seen[split.Name] = true
	}
	if len(s.Variants) == 0 {
		c.fail("variants", "want at least one")
	}
	for name, v := range s.Variants {
		key := "variants." + name
		if !namePattern.MatchString(name) {
			c.fail(key, "a variant's name is of small letters, digits, - and _")
		}
		if v.Bytes < 1 {
			c.fail(key+".bytes", "want about how many bytes the splits take")
		}
		if len(v.Sources) == 0 && v.UserFiles == "" {
			c.fail(key+".sources", "want a source, or user_files")
		}
		for i, source := range v.Sources {
			c.source(fmt.Sprintf("%s.sources[%d]", key, i), source)
		}
	}
}

func (c *checker) source(key string, s Source) {
	if s.Kind == User {
		c.fail(key+".kind", "a user's own files are described by user_files")
		return
	}
	has := map[string]bool{
		"files": len(s.Files) > 0, "repo": s.Repo != "", "type": s.Type != "", "revision": s.Revision != "",
		"package": s.Package != "", "version": s.Version != "", "sha256": s.SHA256 != "", "bytes": s.Bytes != 0,
	}
	needs := map[Kind][]string{
		URL: {"files"}, HuggingFace: {"files", "repo", "revision"}, Debian: {"package", "version", "sha256"}, Packages: nil, Generated: nil,
	}
	may := map[Kind][]string{HuggingFace: {"type"}, Debian: {"bytes"}}
	for _, name := range needs[s.Kind] {
		if !has[name] {
			c.fail(key+"."+name, "missing; a source of kind %s needs it", s.Kind)
		}
	}
	for name, given := range has {
		if given && !slices.Contains(needs[s.Kind], name) && !slices.Contains(may[s.Kind], name) {
			c.fail(key+"."+name, "a source of kind %s has none", s.Kind)
		}
	}
	if s.Kind == HuggingFace && (s.Repo != "" && !repoPattern.MatchString(s.Repo) || s.Type != "" && s.Type != "dataset" && s.Type != "model") {
		c.fail(key, "want repo: OWNER/NAME and type: dataset or model, got %q and %q", s.Repo, s.Type)
	}
	if s.Kind == Debian && (!debianPattern.MatchString(s.Package) || !debianVersion.MatchString(s.Version) || !digestPattern.MatchString(s.SHA256)) {
		c.fail(key, "want the package's name, its version, and the SHA-256 of its .deb file in 64 hexadecimal digits")
	}
	for i, f := range s.Files {
		key := fmt.Sprintf("%s.files[%d]", key, i)
		if !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsAny(f.Path, "\\\x00\n") {
			c.fail(key+".path", "want a path with / and without .., got %q", f.Path)
		}
		if f.SHA256 != "" && !digestPattern.MatchString(f.SHA256) {
			c.fail(key+".sha256", "want 64 hexadecimal digits, got %q", f.SHA256)
		}
		if u, err := url.Parse(f.URL); s.Kind == URL && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			c.fail(key+".url", "want an http or https address, got %q", f.URL)
		}
		if s.Kind == HuggingFace && f.URL != "" {
			c.fail(key+".url", "it follows from repo, revision and path")
		}
	}
}

func (c *checker) folder(folder fs.FS, s *spec) {
	need := []string{ScriptName}
	if s.Environment == "" {
		need = append(need, RequirementsName)
	}
	for _, file := range need {
		if info, err := fs.Stat(folder, file); err != nil || !info.Mode().IsRegular() {
			text := "the data set has no file " + file
			if file == RequirementsName {
				text += " (with hashes, for prepare.py), and names no environment"
			}
			c.problems = append(c.problems, &strictyaml.Error{File: c.file, Message: text})
		}
	}
}

// digestFolder covers path and content of the files of a data set's folder.
func digestFolder(folder fs.FS) (Digest, error) {
	sum := sha256.New()
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		skip := name == "tests" || name != "." && strings.HasPrefix(d.Name(), ".") || d != nil && d.Name() == "__pycache__"
		switch {
		case err != nil:
			return err
		case d.IsDir() && skip:
			return fs.SkipDir
		case d.IsDir() || skip || strings.HasSuffix(name, ".pyc") || name == "README.md":
			return nil
		}
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
		sum.Write(data)
		return nil
	})
	if err != nil {
		return "", err
	}
	return Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), nil
}

// Catalog is a set of data sets by name.
type Catalog struct {
	places []fs.FS
}

// NewCatalog returns the data sets of the folders; of two of one name that of
// the earlier folder is taken.
func NewCatalog(folders ...fs.FS) Catalog { return Catalog{folders} }

// IDs lists the data sets, sorted.
func (c Catalog) IDs() []ID {
	var ids []ID
	for _, place := range c.places {
		entries, err := fs.ReadDir(place, ".")
		if err != nil {
			continue // a folder that is not there holds nothing
		}
		for _, e := range entries {
			if info, err := fs.Stat(place, path.Join(e.Name(), FileName)); err == nil && info.Mode().IsRegular() && !slices.Contains(ids, ID(e.Name())) {
				ids = append(ids, ID(e.Name()))
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// Find loads a data set. An ID that is not in the catalog gives an
// [*UnknownError].
func (c Catalog) Find(id ID) (*Dataset, error) {
	for _, place := range c.places {
		if _, err := fs.Stat(place, path.Join(string(id), FileName)); !fs.ValidPath(string(id)) || err != nil {
			continue
		}
		d, err := Load(place, string(id))
		if err == nil && d.ID != id {
			err = fmt.Errorf("load data set: %s: id: want %q, the name of the folder, got %q", path.Join(string(id), FileName), id, d.ID)
		}
		return d, err
	}
	var known []string
	for _, k := range c.IDs() {
		known = append(known, string(k))
	}
	return nil, &UnknownError{ID: id, hint: nearest.Hint(string(id), known)}
}

// UnknownError says that there is no data set with this ID.
type UnknownError struct {
	ID   ID
	hint string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown data set %q%s", e.ID, e.hint) }

package dataset

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/internal/strictyaml"
)

// ID names a data set, such as "fashionMnist".
type ID string

// Digest is "sha256:" and 64 hexadecimal digits.
type Digest string

// Visibility says when an agent sees a split. A grader sees every split.
type Visibility string

// The visibilities.
const (
	// Always: in every mode.
	Always Visibility = "always"
	// Published: only where a task is run as it was published, which validates
	// on the test split and leaves the validation split for training.
	Published Visibility = "published"
	// Never: hidden.
	Never Visibility = "never"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (v *Visibility) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(v, text, Always, Published, Never)
}

// Split is one folder of a prepared data set.
type Split struct {
	// Name is the folder's name; tasks see it below data/.
	Name string `yaml:"name" json:"name"`
	// Agent says when an agent sees it.
	Agent   Visibility `yaml:"agent" json:"agent"`
	Summary string     `yaml:"summary" json:"summary,omitempty"`
}

// Kind says where a source is from.
type Kind string

// The kinds of source.
const (
	// User is a folder that the user names; it is never listed in dataset.yaml.
	User Kind = "user"
	// URL are files fetched by HTTP.
	URL Kind = "url"
	// HuggingFace are files of a repository on the Hugging Face Hub.
	HuggingFace Kind = "huggingface"
	// Debian is a package of Debian, unpacked and not installed.
	Debian Kind = "debian"
	// Packages is data that Python packages of the preparation environment
	// carry.
	Packages Kind = "packages"
	// Generated is data that prepare.py makes.
	Generated Kind = "generated"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *Kind) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(k, text, URL, HuggingFace, Debian, Packages, Generated, User)
}

// SourceFile is one file to be fetched.
type SourceFile struct {
	// Path it gets in the source folder, with forward slashes. For HuggingFace
	// also its path in the repository.
	Path string `yaml:"path" json:"path"`
	URL  string `yaml:"url,optional" json:"url,omitempty"`
	// SHA256 in hexadecimal. Where it is "" the digest is recorded when the file
	// is fetched first, and another content is refused from then on.
	SHA256 string `yaml:"sha256,optional" json:"sha256,omitempty"`
	// Bytes is the size, 0 where it is not known.
	Bytes int64 `yaml:"bytes,optional" json:"bytes,omitempty"`
}

// Source is one place that a variant can be made from.
type Source struct {
	Kind Kind `yaml:"kind"`
	// Files of URL and HuggingFace.
	Files []SourceFile `yaml:"files,optional"`
	// Repo, Type ("dataset", the default, or "model") and Revision of
	// HuggingFace; Revision should be a commit.
	Repo     string `yaml:"repo,optional"`
	Type     string `yaml:"type,optional"`
	Revision string `yaml:"revision,optional"`
	// Package, Version, SHA256 (of the .deb file) and Bytes of Debian.
	Package string `yaml:"package,optional"`
	Version string `yaml:"version,optional"`
	SHA256  string `yaml:"sha256,optional"`
	Bytes   int64  `yaml:"bytes,optional"`
}

// DownloadBytes is what fetching the source transfers, as far as it is known.
func (s Source) DownloadBytes() int64 {
	total := s.Bytes
	for _, f := range s.Files {
		total += f.Bytes
	}
	return total
}

// Variant is a size of the data set.
type Variant struct {
	Summary string `yaml:"summary"`
	// Bytes is about what the prepared splits take.
	Bytes int64 `yaml:"bytes"`
	// Sources are tried in this order.
	Sources []Source `yaml:"sources"`
	// UserFiles says which files a folder of the user's own must hold, and where
	// a person gets them; "" means that there is no such way.
	UserFiles string `yaml:"user_files,optional"`
}

// Dataset is one data set, as loaded. It is not changed after loading.
type Dataset struct {
	ID          ID
	Version     int
	Name        string
	Description string
	Licence     string
	Homepage    string
	// Environment names the shared Python environment that prepare.py runs in;
	// "" means the folder's own requirements.txt.
	Environment string
	Splits      []Split
	Variants    map[string]Variant
	// Digest covers the files that decide what is prepared: all of the folder
	// but tests/ and hidden files.
	Digest Digest

	folder fs.FS
}

// Variant finds a variant by name; the error lists the nearest names.
func (d *Dataset) Variant(name string) (Variant, error) {
	v, ok := d.Variants[name]
	if !ok {
		known := d.VariantNames()
		return Variant{}, fmt.Errorf("data set %s has no variant %q%s (it has %s)", d.ID, name, nearest.Hint(name, known), strings.Join(known, ", "))
	}
	return v, nil
}

// VariantNames lists the variants, sorted.
func (d *Dataset) VariantNames() []string { return slices.Sorted(maps.Keys(d.Variants)) }

// Requirements is the lock file of the preparation's own environment.
func (d *Dataset) Requirements() ([]byte, error) { return fs.ReadFile(d.folder, RequirementsName) }

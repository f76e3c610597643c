// Package scaffolds holds the scaffold files that ship with mlgym. Their format
// is documented in docs/format/scaffold.md; package scaffold reads them.
package scaffolds

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml demonstrations/*.yaml
var files embed.FS

// Files returns the scaffold files; default.yaml is the one used where a user
// names none.
func Files() fs.FS { return files }

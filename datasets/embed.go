// Package datasets holds the data sets that ship with mlgym, embedded in the
// program: not the data, but what describes it and the scripts that prepare it.
package datasets

import "embed"

// Files are the folders of the data sets, without their tests.
//
//go:embed */dataset.yaml */*.py */*.txt
var Files embed.FS

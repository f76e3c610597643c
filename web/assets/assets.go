// Package assets holds the browser libraries that others keep: built by
// scripts/assets.sh from the locked npm packages into dist, which is embedded here
// and not kept in version control. Without them the site works but for its charts and
// its editor.
package assets

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// FS holds the built scripts by name, such as chart.js.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is constant
	}
	return sub
}

// Package python holds the Python sources that mlgym brings into its
// sandboxes: mlgym_grader, the library of the tasks' graders, and mlgym_player,
// the harness under which a submitted program runs. Both need Python 3.11 or
// newer and its standard library only.
package python

import "embed"

// Files has the folders mlgym_grader and mlgym_player.
//
//go:embed mlgym_grader/*.py mlgym_player/*.py mlgym_dataset/*.py
var Files embed.FS

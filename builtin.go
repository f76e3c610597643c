package mlgym

import (
	"fmt"
	"io/fs"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/sandbox/docker"
	"mlgym/sandbox/oci"
	"mlgym/scaffolds"
	"mlgym/task"
	"mlgym/tasks"
)

// Tasks returns the tasks that ship with mlgym.
func Tasks() (task.Catalog, error) { return task.NewCatalog(tasks.Files) }

// Scaffolds returns the scaffold files that ship with mlgym.
func Scaffolds() fs.FS { return scaffolds.Files() }

// DriverNames lists the names that [OpenDriver] knows, the default first.
func DriverNames() []string { return []string{"bubblewrap", "oci", "oci:crun", "oci:runsc", "docker"} }

// OpenDriver returns the sandbox driver of a name. It looks at nothing on the
// machine yet.
func OpenDriver(name string) (sandbox.Driver, error) {
	switch name {
	case "bubblewrap":
		return bubblewrap.New(bubblewrap.Options{}), nil
	case "oci", "oci:runc":
		return oci.New(oci.Options{Runtime: oci.Runc}), nil
	case "oci:crun":
		return oci.New(oci.Options{Runtime: oci.Crun}), nil
	case "oci:runsc":
		return oci.New(oci.Options{Runtime: oci.Runsc}), nil
	case "docker":
		return docker.New(docker.Options{}), nil
	default:
		return nil, fmt.Errorf("unknown sandbox %q%s (known: %s)", name, nearest.Hint(name, DriverNames()), strings.Join(DriverNames(), ", "))
	}
}

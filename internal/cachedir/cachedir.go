// Package cachedir says where mlgym keeps what can be made again: unpacked
// root file systems, built helpers, task environments.
package cachedir

import (
	"fmt"
	"os"
	"path/filepath"
)

// EnvVar overrides the place.
const EnvVar = "MLGYM_CACHE"

// Dir returns the named folder of the cache and creates it. For root the cache
// is /var/cache/mlgym, since sandboxes run as other users and must be able to
// reach it; for others it is mlgym in the user's cache folder.
func Dir(elem ...string) (string, error) {
	root, err := root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{root}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // sandboxes of other users read it
		return "", fmt.Errorf("create the cache folder (set %s to choose another place): %w", EnvVar, err)
	}
	// Whatever the umask: folders of ours that were made just now or before.
	for at := dir; ; at = filepath.Dir(at) {
		if err := open(at); err != nil {
			return "", fmt.Errorf("open the cache folder to sandboxes (set %s to choose another place): %w", EnvVar, err)
		}
		if at == root {
			return dir, nil
		}
	}
}

// open lets other users enter a folder of ours, which those of sandboxes are.
func open(dir string) error {
	const enter = 0o755
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&enter == enter {
		return err
	}
	return os.Chmod(dir, info.Mode().Perm()|enter) //nolint:gosec // sandboxes of other users read it
}

func root() (string, error) {
	if dir := os.Getenv(EnvVar); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/mlgym", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder (set %s to choose one): %w", EnvVar, err)
	}
	return filepath.Join(dir, "mlgym"), nil
}

package mlgym

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mlgym/internal/atomicfile"
	"mlgym/task"
)

// EnvState overrides the folder in which mlgym keeps what cannot be made again.
const EnvState = "MLGYM_STATE"

const secretBytes = 32

// InstallationSecret returns the secret of this installation and makes one at
// the first call. Without it nobody can foresee the draws of a grader, although
// the way from a seed to them is public; with it the same seed gives the same
// draws. It lies in $MLGYM_STATE, else $XDG_STATE_HOME/mlgym, else
// ~/.local/state/mlgym, readable by its owner only, and enters no sandbox.
func InstallationSecret() ([]byte, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "grader.secret")
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil || len(secret) != secretBytes {
				return nil, fmt.Errorf("%s does not hold a secret; remove it to have a new one made (later gradings then differ from earlier ones of the same seed)", path)
			}
			return secret, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the installation's secret: %w", err)
		}
		secret := make([]byte, secretBytes)
		_, _ = rand.Read(secret) // never fails
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the state folder (set %s to choose another place): %w", EnvState, err)
		}
		// Of two processes that come here at once the first one wins.
		tmp := filepath.Join(dir, "grader.secret."+hex.EncodeToString(secret[:4]))
		if err := atomicfile.WriteFile(tmp, []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write the installation's secret: %w", err)
		}
		err = os.Link(tmp, path)
		if err = errors.Join(err, os.Remove(tmp)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("write the installation's secret: %w", err)
		}
	}
}

func stateDir() (string, error) {
	if dir := os.Getenv(EnvState); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "mlgym"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state folder (set %s to choose one): %w", EnvState, err)
	}
	return filepath.Join(home, ".local", "state", "mlgym"), nil
}

// GraderKey returns the secret of one episode: HMAC-SHA-256 of the task's name,
// its version and the seed under the installation's secret.
func GraderKey(secret []byte, t *task.Task, seed uint64) []byte {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "mlgym grader key 1\n%s\n%d\n%d\n", t.ID, t.Version, seed)
	return mac.Sum(nil)
}

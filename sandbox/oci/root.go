package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"mlgym/internal/cachedir"
)

// complete is the file that stands in an unpacked root file system when
// nothing of it is missing.
const complete = ".complete"

// lower finds, or fetches and unpacks, the root file system that a spec names.
func (d *Driver) lower(ctx context.Context, root string) (lower, error) {
	if root == "" {
		root = d.opts.Root
	}
	if root == "" {
		return lower{host: true}, nil
	}
	info, err := os.Stat(root)
	switch {
	case err == nil && info.IsDir():
		dir, err := filepath.Abs(root)
		return lower{dir: dir}, err
	case err == nil && info.Mode().IsRegular():
		dir, err := d.unpackFile(root)
		return lower{dir: dir}, err
	case err == nil:
		return lower{}, fmt.Errorf("root file system %s is neither a folder nor a tar file", root)
	case strings.HasPrefix(root, "/"), strings.HasPrefix(root, "./"), strings.HasPrefix(root, "../"):
		return lower{}, fmt.Errorf("root file system: %w", err)
	}
	dir, err := d.pull(ctx, root)
	return lower{dir: dir}, err
}

// unpackFile unpacks a tar file into the cache, under the digest of its bytes.
func (d *Driver) unpackFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("root file system: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("root file system: read %s: %w", path, err)
	}
	return d.unpackOnce("tar-"+hex.EncodeToString(hash.Sum(nil)), func(dir string) error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := unpack(dir, file); err != nil {
			return fmt.Errorf("unpack %s: %w", path, err)
		}
		return nil
	})
}

// pull fetches an image from its registry and unpacks it into the cache, under
// the image's digest. Keys are taken from the Docker configuration, if any.
func (d *Driver) pull(ctx context.Context, image string) (string, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", fmt.Errorf("root file system %q is no folder, no tar file and no image name: %w", image, err)
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("image %s: %w", image, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("image %s: %w", image, err)
	}
	return d.unpackOnce("image-"+digest.Hex, func(dir string) error {
		d.log.Info("unpacking an image", "image", image, "digest", digest.String())
		layers := mutate.Extract(img) // one archive, with deleted files left out
		defer layers.Close()
		if err := unpack(dir, layers); err != nil {
			return fmt.Errorf("unpack image %s: %w", image, err)
		}
		return nil
	})
}

// unpackOnce fills the folder of the cache that is called key, unless it is
// there already. Processes that want the same one wait for the first.
func (d *Driver) unpackOnce(key string, fill func(dir string) error) (_ string, err error) {
	cache := d.opts.CacheDir
	if cache == "" {
		if cache, err = cachedir.Dir("rootfs"); err != nil {
			return "", err
		}
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return "", err
	}
	target := filepath.Join(cache, key)
	if _, err := os.Stat(filepath.Join(target, complete)); err == nil {
		return target, nil
	}
	lock, err := os.OpenFile(filepath.Join(cache, "."+key+".lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", fmt.Errorf("cache of root file systems: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil { //nolint:gosec // a descriptor
		return "", fmt.Errorf("lock the cache of root file systems: %w", err)
	}
	if _, err := os.Stat(filepath.Join(target, complete)); err == nil {
		return target, nil
	}
	// What a crash left under this name is begun anew.
	partial := filepath.Join(cache, ".partial-"+key)
	if err := errors.Join(os.RemoveAll(partial), os.RemoveAll(target)); err != nil {
		return "", err
	}
	if err := mkdir(partial); err != nil {
		return "", err
	}
	defer func() {
		if removeErr := os.RemoveAll(partial); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) && err == nil {
			err = removeErr
		}
	}()
	if err := fill(partial); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(partial, complete), nil, 0o644); err != nil { //nolint:gosec // a mark
		return "", err
	}
	return target, os.Rename(partial, target)
}

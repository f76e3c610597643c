package server

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

func inside(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(sandbox.WorkDir, path)
}

// put unpacks a tar stream below dir. Names that would leave dir are refused,
// and nothing is written through a link.
func put(dir string, src io.Reader) error {
	dir = inside(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the agent's own folder
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	tr := tar.NewReader(src)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			// Take what the sender has left, so that it is not held up.
			_, _ = io.Copy(io.Discard, src)
			return nil
		}
		if err != nil {
			return err
		}
		if err := putEntry(root, h, tr); err != nil {
			return err
		}
	}
}

func putEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.Clean(h.Name)
	if name == "." {
		return nil
	}
	perm := fs.FileMode(h.Mode) & fs.ModePerm //nolint:gosec // masked
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		return root.Chmod(name, perm|0o700)
	case tar.TypeReg:
		if parent := filepath.Dir(name); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, r); err != nil {
			_ = f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		return root.Chmod(name, perm)
	case tar.TypeSymlink:
		if parent := filepath.Dir(name); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return err
			}
		}
		_ = root.Remove(name)
		return root.Symlink(h.Linkname, name)
	default:
		return fmt.Errorf("%s: an entry of type %q cannot be put", h.Name, h.Typeflag)
	}
}

// get writes the named files and folders as a tar stream. No link is followed.
func get(dst io.Writer, maxBytes int64, paths []string) error {
	tw := tar.NewWriter(dst)
	left := maxBytes
	for _, path := range paths {
		full := inside(path)
		if err := getTree(tw, full, strings.TrimPrefix(filepath.Clean(path), "/"), &left); err != nil {
			return err
		}
	}
	return tw.Close()
}

func getTree(tw *tar.Writer, full, name string, left *int64) error {
	return filepath.WalkDir(full, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(full, path)
		if err != nil {
			return err
		}
		return getEntry(tw, path, filepath.Join(name, rel), left)
	})
}

func getEntry(tw *tar.Writer, path, name string, left *int64) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return nil // cannot be in a tar, and holds nothing
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = name
	if info.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = sandbox.UserID, sandbox.GroupID, sandbox.UserName, sandbox.UserName
	if !info.Mode().IsRegular() {
		return tw.WriteHeader(h)
	}
	// The file may be swapped for something else between the look and the
	// opening: open without following, and without waiting for a pipe's peer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s changed while it was read", name)
	}
	h.Size = info.Size()
	if *left -= h.Size; *left < 0 {
		return fmt.Errorf("%s: %d bytes are more than allowed: %w", name, h.Size, sandbox.ErrTooLarge)
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(tw, f, h.Size); err != nil {
		return fmt.Errorf("%s changed while it was read: %w", name, err)
	}
	return nil
}

// failureOf classifies an error for the other side.
func failureOf(err error) wire.Failure {
	f := wire.Failure{Code: wire.CodeOther, Message: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Code = wire.CodeNotExist
	case errors.Is(err, sandbox.ErrTooLarge):
		f.Code = wire.CodeTooLarge
	case errors.Is(err, sandbox.ErrNoSnapshot):
		f.Code = wire.CodeNoSnapshot
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		f.Code = wire.CodeNoSpace
	}
	return f
}

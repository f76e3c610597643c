package oci

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// An archive may not be larger than this when unpacked, nor have more entries.
const (
	maxUnpackedBytes = 64 << 30
	maxEntries       = 4 << 20
)

// unpack writes a tar archive, plain or compressed, below dir. No entry and no
// link of the archive leads out of dir while it is unpacked; absolute links are
// kept as they are, since they are followed inside the sandbox only. Owners,
// devices, pipes and set-user-id bits are dropped, and what only its owner
// could read is made readable, since the owner is nobody inside.
func unpack(dir string, archive io.Reader) error {
	plain, done, err := decompress(archive)
	if err != nil {
		return err
	}
	defer done()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, left: maxUnpackedBytes}
	r := tar.NewReader(plain)
	for n := 0; ; n++ {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if n >= maxEntries {
			return fmt.Errorf("archive has more than %d entries", maxEntries)
		}
		if err := u.entry(header, r); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
}

// decompress looks at the first bytes and takes off gzip or zstd.
func decompress(archive io.Reader) (io.Reader, func(), error) {
	r := bufio.NewReaderSize(archive, 1<<16)
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

type unpacker struct {
	root *os.Root
	left int64
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	name := path.Clean(strings.TrimLeft(h.Name, "/"))
	if name == "." {
		return nil
	}
	if !fs.ValidPath(name) {
		return errors.New("the name leads out of the archive")
	}
	mode := h.FileInfo().Mode().Perm() | 0o444
	switch h.Typeflag {
	case tar.TypeDir:
		return u.folder(name, mode|0o755)
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(name, mode, h.Size, content)
	case tar.TypeSymlink:
		if err := u.clear(name); err != nil {
			return err
		}
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		target := path.Clean(strings.TrimLeft(h.Linkname, "/"))
		if !fs.ValidPath(target) {
			return errors.New("the hard link leads out of the archive")
		}
		info, err := u.root.Lstat(target)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return errors.New("the hard link is not one to a file")
		}
		if err := u.clear(name); err != nil {
			return err
		}
		return u.root.Link(target, name)
	}
	return nil // devices, pipes and whatever else have no use inside
}

// clear makes way for name: its folders exist, itself does not.
func (u *unpacker) clear(name string) error {
	if dir := path.Dir(name); dir != "." {
		if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	err := u.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return u.root.RemoveAll(name)
	}
	return nil
}

func (u *unpacker) folder(name string, mode fs.FileMode) error {
	info, err := u.root.Lstat(name)
	if err == nil && info.IsDir() {
		return u.root.Chmod(name, mode)
	}
	if err := u.clear(name); err != nil {
		return err
	}
	if err := u.root.Mkdir(name, mode); err != nil {
		return err
	}
	return u.root.Chmod(name, mode)
}

func (u *unpacker) file(name string, mode fs.FileMode, size int64, content io.Reader) error {
	if u.left -= size; u.left < 0 {
		return fmt.Errorf("archive unpacks to more than %d bytes", int64(maxUnpackedBytes))
	}
	if err := u.clear(name); err != nil {
		return err
	}
	file, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o200)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		_ = file.Close()
		return err
	}
	if err := file.Chmod(mode); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

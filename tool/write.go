package tool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// replace gives the file at path, which is no link, new content. Either the
// file has all of it afterwards, or an error is returned and it is as it was:
// a full disk loses nothing. The mode of the file is kept.
//
// The content is written beside the file and renamed over it. Where the folder
// does not allow that, or the file belongs to somebody else, the file itself
// is grown to its new size before a byte of its old content is changed.
func replace(path string, content []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return overwrite(path, info.Size(), content)
	}
	err = replaceByRename(path, info.Mode(), content)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EBUSY) {
		return overwrite(path, info.Size(), content)
	}
	return err
}

func replaceByRename(path string, mode fs.FileMode, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".edit-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(content); err != nil {
		return err
	}
	if err := temp.Chmod(mode); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

func overwrite(path string, oldSize int64, content []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	// What lies beyond the old end needs new space, so it is written first:
	// without that space the old size is restored and nothing was lost.
	kept := min(oldSize, int64(len(content)))
	if _, err := file.WriteAt(content[kept:], kept); err != nil {
		return errors.Join(err, file.Truncate(oldSize))
	}
	if _, err := file.WriteAt(content[:kept], 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(content)))
}

// writable reports whether the agent may change a file. The mode counts even
// where the rights of the process or of the folder would allow more.
func writable(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o222 == 0 {
		return false
	}
	return unix.Access(path, unix.W_OK) == nil
}

package bubblewrap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mlgym/internal/cachedir"
	"mlgym/internal/hostview"
	"mlgym/sandbox"
)

// arguments builds bwrap's command line. Files that bwrap reads are given by
// the numbers of descriptors that it inherits.
func arguments(spec sandbox.Spec, shimDir, etcDir string, gpus []hostview.Device) ([]string, error) {
	disk := strconv.FormatInt(spec.Limits.DiskBytes, 10)
	args := []string{
		"--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
		"--uid", strconv.Itoa(sandbox.UserID), "--gid", strconv.Itoa(sandbox.GroupID),
		"--hostname", hostview.HostName, "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv",
		"--info-fd", strconv.Itoa(fdInfo), "--block-fd", strconv.Itoa(fdBlock), "--seccomp", strconv.Itoa(fdSeccomp),
	}
	var drivers []string
	if len(gpus) > 0 {
		drivers = hostview.DriverFolders()
	}
	root, err := rootArguments(spec.Root, etcDir, spec.Links, drivers)
	if err != nil {
		return nil, err
	}
	args = append(args, root...)
	args = append(args,
		"--proc", "/proc",
		"--dev", "/dev", "--perms", "1777", "--size", disk, "--tmpfs", "/dev/shm")
	for _, device := range gpus {
		args = append(args, "--dev-bind", device.Source, device.Target)
	}
	args = append(args,
		"--remount-ro", "/dev",
		"--perms", "1777", "--size", disk, "--tmpfs", "/tmp",
		"--perms", "1777", "--size", disk, "--tmpfs", "/var/tmp",
		"--perms", "0755", "--size", disk, "--tmpfs", sandbox.HomeDir,
		"--dir", sandbox.WorkDir,
		"--ro-bind", shimDir, sandbox.ShimDir,
	)
	mounts, err := spec.Check()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		args = append(args, "--ro-bind", m.Source, m.Target)
	}
	for link, target := range spec.Links {
		args = append(args, "--symlink", target, link)
	}
	return append(args, "--remount-ro", "/", "--chdir", sandbox.WorkDir,
		"--", filepath.Join(sandbox.ShimDir, "mlgym-shim"), "serve"), nil
}

// rootArguments makes the root: a given folder, but for what links take the place
// of, or the host's system folders. Of what is hidden there, the given drivers'
// folders are shown.
func rootArguments(root, etcDir string, links map[string]string, drivers []string) ([]string, error) {
	if root != "" {
		info, err := os.Stat(root)
		if err != nil {
			return nil, fmt.Errorf("root file system: %w", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("root file system %s: bubblewrap takes a folder; for archives and images use --sandbox oci", root)
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			return nil, err
		}
		var args []string
		for _, e := range entries {
			switch e.Name() {
			case "proc", "dev", "tmp", "home", "run", "sys":
				continue
			}
			if links["/"+e.Name()] != "" {
				continue
			}
			path := filepath.Join(root, e.Name())
			if e.Type()&fs.ModeSymlink != 0 {
				target, err := os.Readlink(path)
				if err != nil {
					return nil, err
				}
				args = append(args, "--symlink", target, "/"+e.Name())
				continue
			}
			args = append(args, "--ro-bind-try", path, "/"+e.Name())
		}
		return args, nil
	}
	var args []string
	for _, name := range hostview.SystemFolders {
		path := "/" + name
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			args = append(args, "--ro-bind", path, path)
			continue
		}
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		args = append(args, "--symlink", target, path)
	}
	for _, hidden := range hostview.HiddenPaths() {
		if hidden.IsDir {
			args = append(args, "--tmpfs", hidden.Path)
			for _, folder := range drivers {
				if strings.HasPrefix(folder, hidden.Path+"/") {
					args = append(args, "--ro-bind", folder, folder)
				}
			}
			args = append(args, "--remount-ro", hidden.Path)
		} else {
			args = append(args, "--ro-bind", filepath.Join(etcDir, nothing), hidden.Path)
		}
	}
	for name := range etcFiles() {
		args = append(args, "--ro-bind", filepath.Join(etcDir, name), "/etc/"+name)
	}
	for _, name := range hostview.Etc {
		path := "/etc/" + name
		if _, err := os.Stat(path); err == nil {
			args = append(args, "--ro-bind", path, path)
		}
	}
	return args, nil
}

// nothing is an empty file beside those of /etc, which covers files.
const nothing = ".nothing"

// etcFiles are what stands in /etc instead of the host's files.
func etcFiles() map[string][]byte { return hostview.EtcFiles(sandbox.UserID, nil, nil) }

// etc writes the files of /etc into the cache and returns their folder.
func etc() (string, error) {
	dir, err := cachedir.Dir("bubblewrap", "etc-2")
	if err != nil {
		return "", err
	}
	files := etcFiles()
	files[nothing] = nil
	for name, text := range files {
		path := filepath.Join(dir, name)
		if got, err := os.ReadFile(path); err == nil && bytes.Equal(got, text) {
			continue
		}
		tmp, err := os.CreateTemp(dir, ".new-")
		if err != nil {
			return "", err
		}
		_, err = tmp.Write(text)
		err = errors.Join(err, tmp.Chmod(0o644), tmp.Close(), os.Rename(tmp.Name(), path))
		if err != nil {
			return "", fmt.Errorf("write %s: %w", path, err)
		}
	}
	return dir, nil
}

package bubblewrap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"mlgym/internal/cachedir"
	"mlgym/sandbox"
)

// arguments builds bwrap's command line. Files that bwrap reads are given by
// the numbers of descriptors that it inherits.
func arguments(spec sandbox.Spec, shimDir, etcDir string) ([]string, error) {
	disk := strconv.FormatInt(spec.Limits.DiskBytes, 10)
	args := []string{
		"--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
		"--uid", strconv.Itoa(sandbox.UserID), "--gid", strconv.Itoa(sandbox.GroupID),
		"--hostname", "mlgym", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv",
		"--info-fd", strconv.Itoa(fdInfo), "--block-fd", strconv.Itoa(fdBlock), "--seccomp", strconv.Itoa(fdSeccomp),
	}
	root, err := rootArguments(spec.Root, etcDir)
	if err != nil {
		return nil, err
	}
	args = append(args, root...)
	args = append(args,
		"--proc", "/proc",
		"--dev", "/dev", "--perms", "1777", "--size", disk, "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
		"--perms", "1777", "--size", disk, "--tmpfs", "/tmp",
		"--perms", "0755", "--size", disk, "--tmpfs", sandbox.HomeDir,
		"--dir", sandbox.WorkDir,
		"--ro-bind", shimDir, sandbox.ShimDir,
	)
	for _, m := range spec.Mounts {
		if !filepath.IsAbs(m.Target) {
			return nil, fmt.Errorf("mount %s: the place inside must be absolute", m.Target)
		}
		source, err := filepath.Abs(m.Source)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(source); err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Target, err)
		}
		args = append(args, "--ro-bind", source, m.Target)
	}
	return append(args, "--remount-ro", "/", "--chdir", sandbox.WorkDir,
		"--", filepath.Join(sandbox.ShimDir, "mlgym-shim"), "serve"), nil
}

// rootArguments makes the root: a given folder, or the host's system folders.
func rootArguments(root, etcDir string) ([]string, error) {
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
	args := []string{"--ro-bind", "/usr", "/usr", "--tmpfs", "/usr/local", "--remount-ro", "/usr/local"}
	for _, dir := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		path := "/" + dir
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
	for name := range etcFiles {
		args = append(args, "--ro-bind", filepath.Join(etcDir, name), "/etc/"+name)
	}
	for _, path := range []string{
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/ssl/certs",
		"/etc/localtime", "/etc/mime.types", "/etc/python3", "/etc/python3.11", "/etc/python3.12", "/etc/python3.13",
		"/etc/os-release", "/etc/debian_version",
	} {
		args = append(args, "--ro-bind-try", path, path)
	}
	return args, nil
}

// etcFiles are what a program expects in /etc, without the host's.
var etcFiles = map[string]string{
	"passwd": fmt.Sprintf("root:x:0:0:root:/root:/usr/sbin/nologin\n%s:x:%d:%d:agent:%s:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		sandbox.UserName, sandbox.UserID, sandbox.GroupID, sandbox.HomeDir),
	"group":         fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", sandbox.UserName, sandbox.GroupID),
	"hosts":         "127.0.0.1 localhost mlgym\n::1 localhost\n",
	"hostname":      "mlgym\n",
	"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"resolv.conf":   "# there is no network\n",
}

// etc writes the files of /etc into the cache and returns their folder.
func etc() (string, error) {
	dir, err := cachedir.Dir("bubblewrap", "etc-1")
	if err != nil {
		return "", err
	}
	for name, text := range etcFiles {
		path := filepath.Join(dir, name)
		if got, err := os.ReadFile(path); err == nil && string(got) == text {
			continue
		}
		tmp, err := os.CreateTemp(dir, ".new-")
		if err != nil {
			return "", err
		}
		_, err = tmp.WriteString(text)
		err = errors.Join(err, tmp.Chmod(0o644), tmp.Close(), os.Rename(tmp.Name(), path))
		if err != nil {
			return "", fmt.Errorf("write %s: %w", path, err)
		}
	}
	return dir, nil
}

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mlgym/internal/hostview"
	"mlgym/sandbox"
)

// A plan is the root file system of one sandbox: a small tree of folders, links
// and files of our own, on which folders and files of a lower file system are
// shown. It is written into an empty folder by build.
type plan struct {
	root   *node
	uid    int
	files  []placed          // files of ours shown over files of the lower file system
	hidden []hostview.Hidden // what is covered, so that nothing of it is seen
	// mounts are the folders and files that the spec asked for.
	mounts []sandbox.Mount
}

// A node is one name of the tree. Exactly one of its fields is set, except for
// an empty file, beside public.
type node struct {
	dir    map[string]*node
	public bool   // a folder in which everyone may write
	source string // shown from the host
	link   string
	text   []byte
}

type placed struct {
	target string
	text   []byte
}

// lower is what lies below: the host, or an unpacked image.
type lower struct {
	host bool
	dir  string
}

// places are the writable folders inside; the runtime mounts memory there.
var places = []string{sandbox.HomeDir, "/tmp", "/var/tmp", "/dev/shm"}

// planRoot plans the root file system with the given mounts. The user inside
// has the number uid.
func planRoot(low lower, mounts []sandbox.Mount, links map[string]string, uid int) (*plan, error) {
	p := &plan{root: folder(), uid: uid}
	var err error
	if low.host {
		err = p.showHost()
	} else {
		err = p.showImage(low.dir)
	}
	if err != nil {
		return nil, err
	}
	for _, dir := range slices.Concat(places, []string{"/proc", "/dev"}) {
		if err := p.ensure(dir, true); err != nil {
			return nil, err
		}
	}
	for _, dir := range places[1:] {
		// A runtime gives what it mounts the mode of what lies below.
		if n := p.find(dir); n != nil && n.dir != nil {
			n.public = true
		}
	}
	for _, m := range mounts {
		if err := p.mount(m); err != nil {
			return nil, err
		}
	}
	for at, target := range links {
		if err := p.link(at, target); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// link puts a link, which was checked, in the place of whatever lies there.
func (p *plan) link(at, target string) error {
	parent := path.Dir(at)
	if parent != "/" {
		if err := p.ensure(parent, true); err != nil {
			return err
		}
	}
	n := p.root
	if parent != "/" {
		for name := range strings.SplitSeq(parent[1:], "/") {
			if n.source != "" {
				if err := n.open(); err != nil {
					return err
				}
			}
			n = n.dir[name]
		}
	}
	if n.source != "" {
		if err := n.open(); err != nil {
			return err
		}
	}
	if n.dir == nil {
		return fmt.Errorf("link %s: %s is not a folder", at, parent)
	}
	n.dir[path.Base(at)] = &node{link: target}
	return nil
}

func folder() *node { return &node{dir: map[string]*node{}} }

func (p *plan) showHost() error {
	for _, name := range hostview.SystemFolders {
		n, err := show("/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.root.dir[name] = n
	}
	etc := folder()
	p.root.dir["etc"] = etc
	for _, name := range hostview.Etc {
		n, err := show(path.Join("/etc", name))
		if err != nil || n == nil || n.copyFile() != nil {
			continue // not there, or private to root
		}
		at, names := etc, strings.Split(name, "/")
		for _, dir := range names[:len(names)-1] {
			if at.dir[dir] == nil {
				at.dir[dir] = folder()
			}
			at = at.dir[dir]
		}
		at.dir[names[len(names)-1]] = n
	}
	for name, text := range hostview.EtcFiles(p.uid, nil, nil) {
		etc.dir[name] = &node{text: text}
	}
	p.hidden = hostview.HiddenPaths()
	return nil
}

func (p *plan) showImage(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	for _, entry := range entries {
		switch entry.Name() {
		case "proc", "sys", "dev", "run", "tmp", "home", ".complete":
			continue
		}
		n, err := show(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("root file system: %w", err)
		}
		if n != nil {
			p.root.dir[entry.Name()] = n
		}
	}
	if p.root.dir["usr"] == nil && p.root.dir["bin"] == nil {
		return fmt.Errorf("root file system %s has neither /usr nor /bin", dir)
	}
	passwd, _ := readWithin(dir, "etc/passwd")
	group, _ := readWithin(dir, "etc/group")
	files := hostview.EtcFiles(p.uid, passwd, group)
	// A file that the image lacks opens the folder; the others then need no
	// mount of their own.
	for name := range files {
		if err := p.ensure("/etc/"+name, false); err != nil {
			return err
		}
	}
	for name, text := range files {
		p.place("/etc/"+name, text)
	}
	return nil
}

// readWithin reads a file of an image without following a link out of it.
func readWithin(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}

// show makes the node of one name of the lower file system, nil for what is
// neither folder, file nor link.
func show(source string) (*node, error) {
	info, err := os.Lstat(source)
	if err != nil {
		return nil, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(source)
		return &node{link: link}, err
	case info.IsDir(), info.Mode().IsRegular():
		return &node{source: source}, nil
	}
	return nil, nil
}

// copyFile replaces a shown file by a copy, which costs less than a mount.
// Folders and links stay what they are.
func (n *node) copyFile() error {
	if n.source == "" {
		return nil
	}
	info, err := os.Stat(n.source)
	if err != nil || info.IsDir() {
		return err
	}
	if info.Mode()&0o004 == 0 || info.Size() > 4<<20 {
		return fmt.Errorf("%s is private or large", n.source)
	}
	n.text, err = os.ReadFile(n.source)
	n.source = ""
	return err
}

// mount plans one mount, which was checked.
func (p *plan) mount(m sandbox.Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return fmt.Errorf("mount source: %w", err)
	}
	for _, hidden := range p.hidden {
		if strings.HasPrefix(m.Target, hidden.Path+"/") {
			return fmt.Errorf("mount target %s lies in %s, which is hidden in every sandbox", m.Target, hidden.Path)
		}
	}
	if !inPlace(m.Target) {
		if err := p.ensure(m.Target, info.IsDir()); err != nil {
			return err
		}
	}
	p.mounts = append(p.mounts, m)
	return nil
}

// inPlace says that target lies in a writable place, whose file system is made
// when the sandbox starts.
func inPlace(target string) bool {
	return slices.ContainsFunc(places, func(place string) bool { return strings.HasPrefix(target, place+"/") })
}

// place puts a file of ours at target, which was ensured.
func (p *plan) place(target string, text []byte) {
	if n := p.find(target); n != nil {
		*n = node{text: text}
		return
	}
	p.files = append(p.files, placed{target, text})
}

// find returns the node of a path that is one of the tree itself.
func (p *plan) find(target string) *node {
	n := p.root
	for name := range strings.SplitSeq(strings.TrimPrefix(target, "/"), "/") {
		if n = n.dir[name]; n == nil {
			return nil
		}
	}
	return n
}

// ensure makes target exist as a folder or file on which something can be
// mounted. Where it is missing below a folder of the lower file system, that
// folder is replaced by one of ours that shows the same names.
func (p *plan) ensure(target string, isDir bool) error {
	names := strings.Split(strings.TrimPrefix(target, "/"), "/")
	n := p.root
	for i, name := range names {
		last := i == len(names)-1
		if n.dir == nil {
			if n.source == "" {
				return fmt.Errorf("%s: /%s is not a folder", target, path.Join(names[:i]...))
			}
			exists, err := existsBelow(n.source, names[i:], isDir)
			if err != nil {
				return fmt.Errorf("%s: %w", target, err)
			}
			if exists {
				return nil
			}
			if err := n.open(); err != nil {
				return fmt.Errorf("%s: %w", target, err)
			}
		}
		child := n.dir[name]
		switch {
		case child == nil && last && !isDir:
			child = &node{}
		case child == nil:
			child = folder()
		case child.link != "" && last && !isDir:
			// A file of ours takes the place of a link, whose end lies anywhere.
			child = &node{}
		case child.link != "":
			return fmt.Errorf("%s: /%s is a link", target, path.Join(names[:i+1]...))
		}
		n.dir[name] = child
		n = child
	}
	return nil
}

// existsBelow says whether the names lead from source to a folder or file
// without a link on the way.
func existsBelow(source string, names []string, isDir bool) (bool, error) {
	for i, name := range names {
		source = filepath.Join(source, name)
		info, err := os.Lstat(source)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		wantDir := isDir || i < len(names)-1
		if info.Mode()&fs.ModeSymlink != 0 && i == len(names)-1 && !isDir {
			return false, nil
		}
		if info.IsDir() != wantDir {
			return false, fmt.Errorf("%s is in the way (%s)", source, info.Mode().Type())
		}
	}
	return true, nil
}

// open replaces a shown folder by a folder of ours that shows its entries.
func (n *node) open() error {
	entries, err := os.ReadDir(n.source)
	if err != nil {
		return err
	}
	dir := map[string]*node{}
	for _, entry := range entries {
		child, err := show(filepath.Join(n.source, entry.Name()))
		if err != nil {
			return err
		}
		if child != nil {
			dir[entry.Name()] = child
		}
	}
	n.dir, n.source = dir, ""
	return nil
}

// build writes the tree into the empty folder at, and files of ours that are
// shown over others into the folder beside. It returns what is to be mounted
// inside, outer folders first.
func (p *plan) build(at, beside string) ([]sandbox.Mount, error) {
	var binds []sandbox.Mount
	if err := p.root.write(at, "/", &binds); err != nil {
		return nil, err
	}
	for i, f := range p.files {
		source := filepath.Join(beside, strconv.Itoa(i))
		if err := os.WriteFile(source, f.text, 0o644); err != nil { //nolint:gosec // read by the user inside
			return nil, err
		}
		binds = append(binds, sandbox.Mount{Source: source, Target: f.target})
	}
	return binds, nil
}

func (n *node) write(at, inside string, binds *[]sandbox.Mount) error {
	switch {
	case n.link != "":
		return os.Symlink(n.link, at)
	case n.dir != nil:
		if err := mkdir(at); err != nil {
			return err
		}
		names := make([]string, 0, len(n.dir))
		for name := range n.dir {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if err := n.dir[name].write(filepath.Join(at, name), path.Join(inside, name), binds); err != nil {
				return err
			}
		}
		if n.public {
			return os.Chmod(at, 0o777|fs.ModeSticky) //nolint:gosec // as /tmp is
		}
		return nil
	case n.source != "":
		*binds = append(*binds, sandbox.Mount{Source: n.source, Target: inside})
		info, err := os.Stat(n.source)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return mkdir(at)
		}
	}
	return os.WriteFile(at, n.text, 0o644) //nolint:gosec // read by the user inside
}

// mkdir makes a folder that the user inside can read, whatever the umask.
func mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // read by the user inside
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // read by the user inside
}

package server

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

// writable are the places of a sandbox that a snapshot holds, as far as they are
// there. Workspaces lie in the home.
func writable() []string { return []string{sandbox.HomeDir, "/tmp", "/var/tmp", "/dev/shm"} }

// The records of a file with holes: its size, and where the pieces of data stand
// that the entry holds one behind the other, as "offset:length,offset:length".
const (
	paxSize   = "MLGYM.size"
	paxPieces = "MLGYM.pieces"
)

// maxPieces bounds the pieces of one file; beyond it holes are written out.
const maxPieces = 4096

// piece is a part of a file that is no hole.
type piece struct{ offset, length int64 }

// saver writes the writable places into a tar stream.
type saver struct {
	tw    *tar.Writer
	rows  int
	buf   []byte               // for contents, as large as a frame
	links map[[2]uint64]string // device and number of a file with several names, to its first
	holes map[uint64]bool      // devices that tell the holes of files, or do not
}

func saveFiles(tw *tar.Writer, places []string) error {
	s := &saver{tw: tw, links: map[[2]uint64]string{}}
	for _, place := range places {
		info, err := os.Lstat(place)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue
		}
		if err != nil {
			return refused("%w", err)
		}
		if err := s.folder(place, info); err != nil {
			return err
		}
	}
	return nil
}

// readOnly reports whether what is mounted at path cannot be written: a mount
// of the host's, which the next sandbox has by itself.
func readOnly(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil && st.Flags&unix.ST_RDONLY != 0 {
		return true
	}
	return errors.Is(unix.Access(path, unix.W_OK), unix.EROFS)
}

func device(info fs.FileInfo) uint64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Dev
}

// folder writes a folder and what is in it. Those that their owner locked
// against himself are opened for the time being.
func (s *saver) folder(path string, info fs.FileInfo) error {
	if err := s.header(path, info, &tar.Header{Typeflag: tar.TypeDir}); err != nil {
		return err
	}
	const own = 0o500
	if info.Mode().Perm()&own != own {
		if err := os.Chmod(path, info.Mode().Perm()|own); err == nil {
			defer func() { _ = syscall.Chmod(path, unixMode(info)) }()
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return refused("%w", err)
	}
	for _, e := range entries {
		below := filepath.Join(path, e.Name())
		at, err := os.Lstat(below)
		if err != nil {
			return refused("%w", err)
		}
		if device(at) != device(info) && readOnly(below) {
			continue
		}
		if at.IsDir() {
			err = s.folder(below, at)
		} else {
			err = s.other(below, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func unixMode(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Mode & 0o7777
	}
	return uint32(info.Mode().Perm())
}

// header writes the header of an entry with what all have in common.
func (s *saver) header(path string, info fs.FileInfo, h *tar.Header) error {
	if s.rows++; s.rows > maxSnapshotRows {
		return refused("there are more than %d files", maxSnapshotRows)
	}
	h.Name = entryFiles + path
	h.Mode, h.ModTime, h.Format = int64(unixMode(info)), info.ModTime(), tar.FormatPAX
	return s.tw.WriteHeader(h)
}

// other writes what is no folder.
func (s *saver) other(path string, info fs.FileInfo) error {
	kind := info.Mode().Type()
	if kind == 0 {
		return s.file(path, info)
	}
	if kind == fs.ModeSymlink {
		target, err := os.Readlink(path)
		if err != nil {
			return refused("%w", err)
		}
		return s.header(path, info, &tar.Header{Typeflag: tar.TypeSymlink, Linkname: target})
	}
	if kind == fs.ModeNamedPipe {
		return s.header(path, info, &tar.Header{Typeflag: tar.TypeFifo})
	}
	if kind == fs.ModeSocket {
		return nil // nobody listens any more
	}
	return refused("%s is a %s", path, kind)
}

func (s *saver) file(path string, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		key := [2]uint64{st.Dev, st.Ino}
		if first := s.links[key]; first != "" {
			return s.header(path, info, &tar.Header{Typeflag: tar.TypeLink, Linkname: entryFiles + first})
		}
		s.links[key] = path
	}
	if info.Mode().Perm()&0o400 == 0 {
		if err := os.Chmod(path, info.Mode().Perm()|0o400); err == nil {
			defer func() { _ = syscall.Chmod(path, unixMode(info)) }()
		}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return refused("%w", err)
	}
	defer f.Close()
	size := info.Size()
	h := &tar.Header{Typeflag: tar.TypeReg, Size: size}
	pieces := piecesOf(f, size)
	if len(pieces) == 1 && pieces[0].length == size && size >= largeFile && !s.holesAreKnown(filepath.Dir(path)) {
		if pieces, err = readPieces(f, size); err != nil {
			return refused("%w", err)
		}
	}
	if len(pieces) != 1 || pieces[0].length != size {
		h.Size = 0
		for _, p := range pieces {
			h.Size += p.length
		}
		h.PAXRecords = map[string]string{paxSize: strconv.FormatInt(size, 10), paxPieces: formatPieces(pieces)}
	}
	if err := s.header(path, info, h); err != nil {
		return err
	}
	for _, p := range pieces {
		if s.buf == nil {
			s.buf = make([]byte, wire.MaxData)
		}
		n, err := io.CopyBuffer(s.tw, onlyReader{io.NewSectionReader(f, p.offset, p.length)}, s.buf)
		if err != nil {
			return err
		}
		if n < p.length {
			return refused("%s changed while it was read", path)
		}
	}
	return nil
}

// piecesOf finds the data of a file between its holes. Where the file system
// knows of no holes, all is data. The empty file is one empty piece.
func piecesOf(f *os.File, size int64) []piece {
	whole := []piece{{0, size}}
	var pieces []piece
	for at := int64(0); at < size; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return pieces // a hole to the end
		}
		if err != nil || from < at {
			return whole
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil || to <= from {
			return whole
		}
		to = min(to, size)
		if from >= to {
			return pieces
		}
		if len(pieces) == maxPieces {
			last := &pieces[maxPieces-1]
			last.length = to - last.offset
		} else {
			pieces = append(pieces, piece{from, to - from})
		}
		at = to
	}
	if size == 0 {
		return whole
	}
	return pieces
}

// largeFile is the size from which a file is read for its holes where the file
// system does not tell them, as gVisor's do not.
const largeFile = 16 << 20

// holesAreKnown reports whether the file system of a folder tells the holes of
// its files. One that cannot be asked is taken for one that does.
func (s *saver) holesAreKnown(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return true
	}
	if known, ok := s.holes[st.Dev]; ok {
		return known
	}
	known := true
	if f, err := os.CreateTemp(dir, ".holes-"); err == nil {
		_ = os.Remove(f.Name())
		if f.Truncate(largeFile) == nil {
			_, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
			known = errors.Is(err, unix.ENXIO)
		}
		_ = f.Close()
	}
	if s.holes == nil {
		s.holes = map[uint64]bool{}
	}
	s.holes[st.Dev] = known
	return known
}

// readPieces finds the data of a file by reading it.
func readPieces(f *os.File, size int64) ([]piece, error) {
	const block = 1 << 20
	var pieces []piece
	buf, zero := make([]byte, block), make([]byte, block)
	for at := int64(0); at < size; {
		n, err := f.ReadAt(buf[:min(block, size-at)], at)
		if n == 0 {
			return nil, err // also of a file that became shorter
		}
		if !bytes.Equal(buf[:n], zero[:n]) {
			last := len(pieces) - 1
			switch {
			case last >= 0 && (pieces[last].offset+pieces[last].length == at || len(pieces) == maxPieces):
				pieces[last].length = at + int64(n) - pieces[last].offset
			default:
				pieces = append(pieces, piece{at, int64(n)})
			}
		}
		at += int64(n)
	}
	return pieces, nil
}

func formatPieces(pieces []piece) string {
	var b strings.Builder
	for i, p := range pieces {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d:%d", p.offset, p.length)
	}
	return b.String()
}

// parsePieces reads what formatPieces wrote: ascending pieces within size, whose
// lengths add up to sum.
func parsePieces(text string, size, sum int64) ([]piece, error) {
	var pieces []piece
	end := int64(0)
	for part := range strings.SplitSeq(text, ",") {
		if part == "" && text == "" {
			break
		}
		from, length, ok := strings.Cut(part, ":")
		p := piece{}
		var err1, err2 error
		p.offset, err1 = strconv.ParseInt(from, 10, 64)
		p.length, err2 = strconv.ParseInt(length, 10, 64)
		if !ok || err1 != nil || err2 != nil || p.offset < end || p.length < 0 || p.length > size-p.offset || len(pieces) == maxPieces {
			return nil, fmt.Errorf("pieces %.100q of a file of %d bytes", text, size)
		}
		end = p.offset + p.length
		sum -= p.length
		pieces = append(pieces, p)
	}
	if sum != 0 {
		return nil, fmt.Errorf("pieces %.100q do not add up to the entry", text)
	}
	return pieces, nil
}

// onlyReader and onlyWriter hide what would have io.CopyBuffer take a buffer of its
// own.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// restorer fills the writable places from a tar stream.
type restorer struct {
	roots   map[string]*os.Root
	folders []folderMode    // in the order in which they came
	real    map[string]bool // folders that were seen to be no links
	buf     []byte
	rows    int
}

// folderMode is what a folder gets when all that is in it is there.
type folderMode struct {
	root  *os.Root
	name  string
	mode  fs.FileMode
	mtime time.Time
}

// restoreFiles replaces what the writable places hold by what the stream holds,
// up to its end mark.
func restoreFiles(tr *tar.Reader, places []string) error {
	r := &restorer{roots: map[string]*os.Root{}, real: map[string]bool{}, buf: make([]byte, wire.MaxData)}
	defer func() {
		for _, root := range r.roots {
			_ = root.Close()
		}
	}()
	for _, place := range places {
		root, err := os.OpenRoot(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		r.roots[place] = root
		info, err := root.Stat(".")
		if err != nil {
			return err
		}
		if err := empty(root, ".", info); err != nil {
			return fmt.Errorf("clear %s: %w", place, err)
		}
	}
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return errTorn
		}
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		if h.Name == entryEnd {
			return r.finish()
		}
		if r.rows++; r.rows > maxSnapshotRows {
			return fmt.Errorf("the snapshot has more than %d files: %w", maxSnapshotRows, sandbox.ErrTooLarge)
		}
		if err := r.entry(h, tr); err != nil {
			return fmt.Errorf("restore %.200q: %w", h.Name, err)
		}
	}
}

// empty removes what is below a folder. What is mounted there, and the folders on
// the way to it, stay.
func empty(root *os.Root, dir string, info fs.FileInfo) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	_ = f.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		at, err := root.Lstat(path)
		if err != nil {
			return err
		}
		mounted := device(at) != device(info)
		if mounted && readOnly(filepath.Join(root.Name(), path)) {
			continue
		}
		if at.IsDir() {
			if err := empty(root, path, at); err != nil {
				return err
			}
		}
		err = root.Remove(path)
		if err != nil && !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// locate finds the place that an entry belongs to and its path within it. The
// place's own root keeps what follows from leaving it.
func (r *restorer) locate(name string) (*os.Root, string, error) {
	path, ok := strings.CutPrefix(name, entryFiles)
	if !ok {
		return nil, "", errors.New("the entry is no file of a sandbox")
	}
	for place, root := range r.roots {
		rest, ok := strings.CutPrefix(path, place)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		rest = strings.Trim(rest, "/")
		if rest == "" {
			return root, ".", nil
		}
		if slices.Contains(strings.Split(rest, "/"), "..") || !filepath.IsLocal(rest) {
			break
		}
		return root, rest, nil
	}
	return nil, "", errors.New("the entry lies in none of the places that can be written")
}

// noLink refuses a folder that is a link or lies behind one. An [os.Root] does so
// too, but for one on gVisor, whose kernel follows the link when a folder is asked
// for. Nothing takes the place of a folder while files are restored, so each is
// looked at once.
func (r *restorer) noLink(root *os.Root, dir string) error {
	key := filepath.Join(root.Name(), dir)
	if dir == "." || r.real[key] {
		return nil
	}
	if err := r.noLink(root, filepath.Dir(dir)); err != nil {
		return err
	}
	info, err := root.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", dir)
	}
	r.real[key] = true
	return nil
}

func (r *restorer) entry(h *tar.Header, content io.Reader) error {
	root, name, err := r.locate(h.Name)
	if err != nil {
		return err
	}
	if name == "." && h.Typeflag != tar.TypeDir {
		return errors.New("a place must be a folder")
	}
	if err := r.noLink(root, filepath.Dir(name)); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode) & fs.ModePerm //nolint:gosec // masked
	for bit, to := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if h.Mode&bit != 0 {
			mode |= to
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if info, err := root.Lstat(name); err != nil || !info.IsDir() {
			return errors.Join(err, errors.New("something else than a folder stands there"))
		}
		r.folders = append(r.folders, folderMode{root, name, mode, h.ModTime})
		return nil
	case tar.TypeReg:
		return r.file(root, name, mode, h, content)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		from, first, err := r.locate(h.Linkname)
		if err != nil {
			return err
		}
		if from != root {
			return errors.New("a link from one place to another")
		}
		if err := r.noLink(root, filepath.Dir(first)); err != nil {
			return err
		}
		return root.Link(first, name)
	case tar.TypeFifo:
		return makeFifo(root, name, mode, h.ModTime)
	}
	return fmt.Errorf("an entry of type %q", h.Typeflag)
}

func (r *restorer) file(root *os.Root, name string, mode fs.FileMode, h *tar.Header, content io.Reader) error {
	size, pieces := h.Size, []piece{{0, h.Size}}
	if text, ok := h.PAXRecords[paxSize]; ok {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < 0 {
			return fmt.Errorf("size %.30q", text)
		}
		if pieces, err = parsePieces(h.PAXRecords[paxPieces], size, h.Size); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := f.Seek(p.offset, io.SeekStart); err != nil {
			return err
		}
		n, err := io.CopyBuffer(onlyWriter{f}, onlyReader{io.LimitReader(content, p.length)}, r.buf)
		if err != nil {
			return err
		}
		if n < p.length {
			return io.ErrUnexpectedEOF
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}

func makeFifo(root *os.Root, name string, mode fs.FileMode, mtime time.Time) error {
	// What stands there may be a pipe, which is not to be waited for.
	dir, err := root.OpenFile(filepath.Dir(name), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Mkfifoat(int(dir.Fd()), filepath.Base(name), 0o600); err != nil {
		return err
	}
	if err := root.Chmod(name, mode); err != nil {
		return err
	}
	return root.Chtimes(name, mtime, mtime)
}

// finish gives the folders their modes and times, the deepest first. Folders on
// the way to a mount may belong to somebody else, and then are right already.
func (r *restorer) finish() error {
	for _, f := range slices.Backward(r.folders) {
		info, err := f.root.Stat(f.name)
		if err != nil {
			return err
		}
		times := f.root.Chtimes(f.name, f.mtime, f.mtime)
		if times != nil && !errors.Is(times, fs.ErrPermission) && !errors.Is(times, syscall.EROFS) {
			return times
		}
		const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
		if info.Mode()&bits == f.mode {
			continue
		}
		if err := f.root.Chmod(f.name, f.mode); err != nil {
			return err
		}
	}
	return nil
}

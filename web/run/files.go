package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"image"
	_ "image/gif"  // pictures of agents
	_ "image/jpeg" // pictures of agents
	_ "image/png"  // pictures of agents
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mlgym/runstore"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

const (
	// maxImages bounds the pictures that are shown at a step, and maxImageBytes the size of
	// each.
	maxImages     = 8
	maxImageBytes = 20 << 20
	// maxShownFile bounds how much of a file its page shows.
	maxShownFile = 512 << 10
)

// pictures are the kinds of picture that are shown. What looks like another kind, such as
// one that may hold programs, is not.
var pictures = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// fileView is a file of a tree.
type fileView struct {
	record.File
	Text string // the name, visible
	Page string // that shows it
	Raw  string // the file itself
	Here bool
}

// filesView is what the page of a tree, or of a file of one, shows.
type filesView struct {
	Head  headView
	Step  int // that is asked about
	Tree  *record.FileTree
	Trees []treeView
	Files []fileView
	// File that is shown, nil for none.
	File    *fileView
	HTML    template.HTML
	Numbers string
	Image   *imageView
	Binary  bool
	Cut     bool
	Problem string
}

// segments makes a path of a name in a tree: escaped for an address, or, in an export,
// of letters that every file system takes, told apart by a digest.
func (p *Pages) segments(name string) string {
	if p.site.Static() {
		return plainName(name)
	}
	parts := strings.Split(name, "/")
	for i, s := range parts {
		parts[i] = url.PathEscape(s)
	}
	return strings.Join(parts, "/")
}

// plainName replaces what a file system may not take.
func plainName(name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-', r == '/':
			return r
		}
		return '_'
	}, name)
	if plain == name && len(name) < 200 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	dir, base := path.Split(plain)
	if len(base) > 60 {
		base = base[len(base)-60:]
	}
	if len(dir) > 100 {
		dir = ""
	}
	return dir + hex.EncodeToString(sum[:4]) + "-" + base
}

// fileOf finds a file by what [Pages.segments] made of its name.
func (p *Pages) fileOf(tree *record.FileTree, given string) (record.File, bool) {
	for _, f := range tree.Files {
		if f.Name == given || p.site.Static() && plainName(f.Name) == given {
			return f, true
		}
	}
	return record.File{}, false
}

func (p *Pages) newFile(key record.Key, step int, f record.File) fileView {
	at := strconv.Itoa(step) + "/" + p.segments(f.Name)
	return fileView{File: f, Text: markup.Visible(f.Name), Page: root(key) + "files/" + at + "/", Raw: root(key) + "file/" + at}
}

// files answers with the files that were handed in at a step, or last before it.
func (p *Pages) files(w http.ResponseWriter, r *http.Request, run *record.Run) {
	n, ok := p.stepOf(w, r, run)
	if !ok {
		return
	}
	v := filesView{Head: p.newHead(run), Step: n}
	var err error
	if v.Tree, err = run.Files(r.Context(), n); err != nil {
		p.failed(w, r, err)
		return
	}
	trees, _ := run.Trees(r.Context()) // they were just listed
	for _, t := range trees {
		v.Trees = append(v.Trees, treeView{t.Step, t.Name})
	}
	given := r.PathValue("name")
	at := fmt.Sprintf("%sfiles/%d/", root(v.Head.Key), n)
	title := fmt.Sprintf("Files at step %d · %s", n, v.Head.Title())
	if v.Tree == nil {
		if given != "" {
			p.room.Error(w, r, http.StatusNotFound, "runs", "The record has no files of this step or an earlier one.")
			return
		}
		p.show(w, r, title, at, "files", &v)
		return
	}
	for _, f := range v.Tree.Files {
		v.Files = append(v.Files, p.newFile(v.Head.Key, n, f))
	}
	if given == "" {
		p.show(w, r, title, at, "files", &v)
		return
	}
	f, ok := p.fileOf(v.Tree, strings.TrimSuffix(given, "/"))
	if !ok {
		p.room.Error(w, r, http.StatusNotFound, "runs", "There is no such file among those that were handed in.")
		return
	}
	file := p.newFile(v.Head.Key, n, f)
	if !strings.HasSuffix(given, "/") {
		http.Redirect(w, r, p.site.URL(file.Page), http.StatusSeeOther)
		return
	}
	v.File = &file
	for i := range v.Files {
		v.Files[i].Here = v.Files[i].Name == f.Name
	}
	p.look(r.Context(), run, &v)
	p.show(w, r, fmt.Sprintf("%s at step %d · %s", markup.Head(f.Name, 60), n, v.Head.Title()), file.Page, "files", &v)
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, title, at, name string, data any) {
	p.room.Render(w, r, page.Page{Title: title, Section: "runs", Path: at, Template: name, Data: data, Scripts: scripts, Styles: styles})
}

// look reads the file that is shown.
func (p *Pages) look(ctx context.Context, run *record.Run, v *filesView) {
	if v.File.Special {
		v.Problem = "This is a link, or another thing that is not opened."
		return
	}
	file, err := run.OpenFile(ctx, v.Tree.Name, v.File.Name)
	if err != nil {
		v.Problem = "The file cannot be read: " + err.Error()
		return
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxShownFile+1))
	if err != nil {
		v.Problem = "The file cannot be read: " + err.Error()
		return
	}
	if slices.Contains(pictures, http.DetectContentType(text)) && v.File.Size <= maxImageBytes {
		v.Image = newImage(v.File.Name, v.File.Raw, text)
		return
	}
	if binary(text) {
		v.Binary = true
		return
	}
	if len(text) > maxShownFile {
		text, v.Cut = text[:cut(string(text), maxShownFile)], true
	}
	v.HTML = markup.Code(string(text), v.File.Name)
	v.Numbers = numbers(1, string(text))
}

// binary reports whether this is the beginning of something that is no text.
func binary(text []byte) bool {
	head := text[:min(len(text), 8000)]
	if slices.Contains(head, 0) {
		return true
	}
	for range utf8.UTFMax { // the last character may be cut
		if utf8.Valid(head) || len(head) == 0 {
			return false
		}
		head = head[:len(head)-1]
	}
	return true
}

// newImage describes a picture by its beginning.
func newImage(name, raw string, head []byte) *imageView {
	v := &imageView{Name: markup.Visible(name), Path: raw}
	if config, _, err := image.DecodeConfig(strings.NewReader(string(head))); err == nil {
		v.Width, v.Height = config.Width, config.Height
	}
	return v
}

// handedIn adds to a step what was handed in at it.
func (rd *reader) handedIn(ctx context.Context, v *stepView) {
	tree, err := rd.run.Files(ctx, v.Number)
	if err != nil || tree == nil || tree.Step != v.Number {
		return // the page of the files says why
	}
	v.Files = true
	for _, f := range tree.Files {
		if len(v.Images) == maxImages {
			return
		}
		switch strings.ToLower(path.Ext(f.Name)) {
		case ".png", ".jpg", ".jpeg", ".gif", ".webp":
		default:
			continue
		}
		if f.Special || f.Size > maxImageBytes || f.Size == 0 {
			continue
		}
		file, err := rd.run.OpenFile(ctx, tree.Name, f.Name)
		if err != nil {
			continue
		}
		head := make([]byte, 64<<10)
		n, _ := io.ReadFull(file, head) // a short file is short
		file.Close()
		if slices.Contains(pictures, http.DetectContentType(head[:n])) {
			v.Images = append(v.Images, *newImage(f.Name, rd.p.newFile(rd.key, v.Number, f).Raw, head[:n]))
		}
	}
}

// file answers with a file that was handed in: a picture by what it begins with, anything
// else as text, or, if a browser or a person might take it for a page, as a download.
func (p *Pages) file(w http.ResponseWriter, r *http.Request, run *record.Run) {
	n, ok := p.stepOf(w, r, run)
	if !ok {
		return
	}
	tree, err := run.Files(r.Context(), n)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	var f record.File
	if tree != nil {
		f, ok = p.fileOf(tree, r.PathValue("name"))
	}
	if tree == nil || !ok || f.Special {
		p.room.Error(w, r, http.StatusNotFound, "runs", "There is no such file among those that were handed in.")
		return
	}
	file, err := run.OpenFile(r.Context(), tree.Name, f.Name)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	defer file.Close()
	p.send(w, file, f.Name)
}

// send answers with a file.
func (p *Pages) send(w http.ResponseWriter, file fs.File, name string) {
	head := make([]byte, 8000)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	head = head[:n]
	asText(w)
	kind := http.DetectContentType(head)
	switch {
	case slices.Contains(pictures, kind):
		w.Header().Set("Content-Type", kind)
	case binary(head):
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", "attachment")
	case pageLike(name, kind, head):
		w.Header().Set("Content-Disposition", "attachment")
	}
	if info, err := file.Stat(); err == nil {
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	if _, err := w.Write(head); err == nil {
		_, _ = io.Copy(w, file) // a client that is gone
	}
}

// pageLike reports whether a file might be opened as a page once it is saved.
func pageLike(name, kind string, head []byte) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm", ".xhtml", ".svg", ".svgz", ".xml", ".mht", ".mhtml":
		return true
	}
	head = bytes.ToLower(head)
	for _, tag := range []string{"<svg", "<script", "<html", "<!doctype"} {
		if bytes.Contains(head, []byte(tag)) && path.Ext(name) != ".py" {
			return true
		}
	}
	return strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "text/xml") || strings.HasPrefix(kind, "image/svg")
}

// logsView is the list of a run's logs.
type logsView struct {
	Head headView
	Logs []logView
}

type logView struct {
	record.Log
	Text string // the name, visible
	Path string
}

// log answers with the list of the grader's logs, or with one of them, on a site of their
// owner.
func (p *Pages) log(w http.ResponseWriter, r *http.Request, run *record.Run) {
	if !p.opts.Logs {
		p.room.Error(w, r, http.StatusForbidden, "runs", "Logs of graders may tell of hidden data; they are shown where the viewer was started with them.")
		return
	}
	v := logsView{Head: p.newHead(run)}
	given := r.PathValue("name")
	for _, l := range run.Logs() {
		if l.Name == given || p.site.Static() && given != "" && plainName(l.Name) == given {
			file, err := run.OpenLog(l.Name)
			if err != nil {
				p.failed(w, r, err)
				return
			}
			defer file.Close()
			p.send(w, file, "log.txt")
			return
		}
		v.Logs = append(v.Logs, logView{l, markup.Visible(l.Name), root(v.Head.Key) + "log/" + p.segments(l.Name)})
	}
	if given != "" {
		p.room.Error(w, r, http.StatusNotFound, "runs", "There is no such log.")
		return
	}
	p.show(w, r, "Logs · "+v.Head.Title(), root(v.Head.Key)+"log/", "logs", v)
}

// records are the files of a run that may be downloaded as they are. The grader's key is
// not among them.
func records(run *record.Run) []string {
	dir, err := os.OpenRoot(run.Dir())
	if err != nil {
		return nil
	}
	defer dir.Close()
	names := []string{runstore.TrajectoryName, runstore.ManifestName, runstore.ResultName}
	if run.Published() {
		names = []string{"results.json"}
		list, err := fs.ReadDir(dir.FS(), ".")
		if err != nil {
			return nil
		}
		for _, e := range list {
			if name := e.Name(); strings.HasSuffix(name, ".traj") && plainName(name) == name {
				names = append(names, name)
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := dir.Lstat(name)
		return err != nil || !info.Mode().IsRegular()
	})
}

// raw answers with one of these files.
func (p *Pages) raw(w http.ResponseWriter, r *http.Request, run *record.Run) {
	name := r.PathValue("name")
	if !slices.Contains(records(run), name) {
		p.room.Error(w, r, http.StatusNotFound, "runs", "The run has no such file that may be downloaded.")
		return
	}
	dir, err := os.OpenRoot(run.Dir())
	if err != nil {
		p.failed(w, r, err)
		return
	}
	defer dir.Close()
	file, err := dir.Open(name)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	defer file.Close()
	asText(w)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", string(run.Entry().Key)+"-"+name))
	_, _ = io.Copy(w, file) // a client that is gone
}

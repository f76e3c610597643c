package page

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// Section is an entry of the navigation.
type Section struct {
	// ID is what [Page.Section] names, and Path the page in the site.
	ID, Path, Title string
}

// Options of a [Site].
type Options struct {
	// Prefix of the site's paths, such as "/" or "/view/"; "/" where it is empty.
	Prefix string
	// Static makes relative links, for pages that lie in a folder.
	Static bool
	// Name of what is looked at, shown beside the navigation.
	Name string
	// Sections of the navigation, in order.
	Sections []Section
	// Control allows the actions that change something; see [Site.Action].
	Control bool
	Version string
	Log     *slog.Logger
}

// Site is what all rooms render through. It is safe for concurrent use, but for
// the rendering of a static one, which is one page at a time.
type Site struct {
	opts Options
	csrf string

	mu     sync.RWMutex
	assets map[string]asset

	// here is the path of the page being rendered; static sites only.
	here string
}

type asset struct {
	body        []byte
	contentType string
	digest      string
}

//go:embed templates static
var files embed.FS

// New returns a site without any room.
func New(o Options) *Site {
	if o.Prefix == "" {
		o.Prefix = "/"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var secret [24]byte
	_, _ = rand.Read(secret[:]) // it never fails
	s := &Site{opts: o, csrf: base64.RawURLEncoding.EncodeToString(secret[:]), assets: map[string]asset{}}
	s.AddAssets("page", sub(files, "static"))
	return s
}

func sub(f fs.FS, dir string) fs.FS {
	s, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // a name that is no path
	}
	return s
}

// Static reports whether the site is made for a folder of files.
func (s *Site) Static() bool { return s.opts.Static }

// Control reports whether actions are allowed.
func (s *Site) Control() bool { return s.opts.Control && !s.opts.Static }

// Log is where the rooms write what goes wrong.
func (s *Site) Log() *slog.Logger { return s.opts.Log }

// AddAssets makes the files of a room available as "room/name". A style sheet that is made
// by a program may be added with [Site.AddAsset].
func (s *Site) AddAssets(room string, files fs.FS) {
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err == nil {
			s.AddAsset(room+"/"+name, body)
		}
		return err
	})
	if err != nil {
		panic(err) // embedded files can be read
	}
}

// AddAsset makes one file available by its name.
func (s *Site) AddAsset(name string, body []byte) {
	sum := sha256.Sum256(body)
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // whatever the machine's table says
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assets[name] = asset{body: body, contentType: kind, digest: hex.EncodeToString(sum[:6])}
}

// HasAsset reports whether there is a file of that name; scripts of others are
// missing where mlgym was built without them.
func (s *Site) HasAsset(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.assets[name]
	return ok
}

// Assets returns the static files by name, for an export.
func (s *Site) Assets() map[string][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string][]byte{}
	for name, a := range maps.All(s.assets) {
		out[name] = a.body
	}
	return out
}

// URL returns the link to a page or resource of the site, by its path in it.
func (s *Site) URL(to string) string {
	if !s.opts.Static {
		return s.opts.Prefix + to
	}
	if to == "" || strings.HasSuffix(to, "/") {
		to += "index.html"
	}
	return strings.Repeat("../", strings.Count(s.here, "/")) + to
}

func (s *Site) assetURL(name string) (string, error) {
	s.mu.RLock()
	a, ok := s.assets[name]
	s.mu.RUnlock()
	switch {
	case !ok:
		return "", fmt.Errorf("there is no static file %q", name)
	case s.opts.Static:
		return s.URL("static/" + name), nil
	default:
		return s.URL("static/" + name + "?v=" + a.digest), nil
	}
}

// ServeAsset answers for a static file.
func (s *Site) ServeAsset(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	a, ok := s.assets[r.PathValue("name")]
	s.mu.RUnlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	if r.URL.Query().Get("v") == a.digest {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// Handler serves the static files and, for the rest, mux, whose patterns are paths in
// the site with a leading "/". Everything passes the guard.
func (s *Site) Handler(mux *http.ServeMux, g Guard) http.Handler {
	mux.HandleFunc("GET /static/{name...}", s.ServeAsset)
	return http.StripPrefix(strings.TrimSuffix(s.opts.Prefix, "/"), s.guarded(g, compressed(mux)))
}

// Room is one part of the site with templates of its own.
type Room struct {
	site *Site
	name string
	tree *template.Template
}

// NewRoom reads the templates (templates/*.html) and static files (static/*, as assets
// "name/file") of a room. Each file of templates is a template by its name
// without ".html"; it is what [Page.Template] names, and stands in the layout's main
// element.
func (s *Site) NewRoom(name string, files fs.FS) *Room {
	if _, err := fs.Stat(files, "static"); err == nil {
		s.AddAssets(name, sub(files, "static"))
	}
	return &Room{site: s, name: name, tree: s.parse(files)}
}

// parse reads the layout and a room's templates into one tree. They are part of the
// program, so a mistake in them is one of ours.
func (s *Site) parse(room fs.FS) *template.Template {
	tree := template.New("").Funcs(s.funcs())
	for _, from := range []fs.FS{sub(files, "templates"), sub(room, "templates")} {
		names, err := fs.Glob(from, "*.html")
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(from, name)
			if err != nil {
				panic(err)
			}
			template.Must(tree.New(strings.TrimSuffix(name, ".html")).Parse(string(text)))
		}
	}
	return tree
}

// Page is what is rendered.
type Page struct {
	// Title in the browser's bar; the site's name is added.
	Title string
	// Section of the navigation that the page belongs to.
	Section string
	// Path of the page in the site, such as "runs/KEY/".
	Path string
	// Template of the room that makes the page's main part of Data.
	Template string
	Data     any
	// Scripts and Styles are assets that the page needs beside those of all pages.
	// One that is not there (a library that was not built) is left out.
	Scripts, Styles []string
	// Wide lets the page use the whole width of a screen.
	Wide bool
	// Status of the answer; 200 where it is 0.
	Status int
}

// frame is what the layout is made of.
type frame struct {
	Page
	Site     Options
	Main     template.HTML
	Styles   []string
	Scripts  []string
	Static   bool
	Policy   string
	LoggedIn bool
}

// Render answers with a page.
func (room *Room) Render(w http.ResponseWriter, _ *http.Request, p Page) {
	html, err := room.HTML(p)
	if err != nil {
		room.site.opts.Log.Error("a page failed", "path", p.Path, "error", err)
		http.Error(w, "an error of the page; the log says more", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = w.Write(html) // a client that is gone
}

// HTML returns a page.
func (room *Room) HTML(p Page) ([]byte, error) {
	s := room.site
	if s.opts.Static {
		s.here = p.Path
	}
	var main bytes.Buffer
	if err := room.tree.ExecuteTemplate(&main, p.Template, p.Data); err != nil {
		return nil, err
	}
	f := frame{Page: p, Site: s.opts, Main: template.HTML(main.String()), Static: s.opts.Static, Policy: staticPolicy} //nolint:gosec // made by html/template
	for _, name := range p.Styles {
		if s.HasAsset(name) {
			f.Styles = append(f.Styles, name)
		}
	}
	for _, name := range p.Scripts {
		if s.HasAsset(name) {
			f.Scripts = append(f.Scripts, name)
		}
	}
	var out bytes.Buffer
	err := room.tree.ExecuteTemplate(&out, "layout", f)
	return showDirections(out.Bytes()), err
}

// Fragment answers with a template alone, for a script that puts it into a page.
func (room *Room) Fragment(w http.ResponseWriter, _ *http.Request, name string, data any) {
	html, err := room.Text(name, data)
	if err != nil {
		room.site.opts.Log.Error("a part of a page failed", "template", name, "error", err)
		http.Error(w, "an error of the page; the log says more", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(html))
}

// Text renders a template alone, such as for an event of a live page.
func (room *Room) Text(name string, data any) (string, error) {
	var out bytes.Buffer
	err := room.tree.ExecuteTemplate(&out, name, data)
	return string(showDirections(out.Bytes())), err
}

// showDirections writes out the characters that turn the direction of what follows
// them, wherever they stand. They are harmless as HTML; but with one of them in its
// name, a run could make the words of a page around it read as others.
func showDirections(html []byte) []byte {
	if !bytes.ContainsAny(html, directions) {
		return html
	}
	return []byte(directionNames.Replace(string(html)))
}

const directions = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

var directionNames = func() *strings.Replacer {
	var pairs []string
	for _, r := range directions {
		pairs = append(pairs, string(r), fmt.Sprintf("[%U]", r))
	}
	return strings.NewReplacer(pairs...)
}()

// Error answers with a page that says what is wrong, and what to do.
func (room *Room) Error(w http.ResponseWriter, r *http.Request, status int, section, text string) {
	room.Render(w, r, Page{
		Title: http.StatusText(status), Section: section, Path: strings.TrimPrefix(r.URL.Path, "/"), Template: "error", Status: status,
		Data: map[string]any{"Status": http.StatusText(status), "Text": text},
	})
}

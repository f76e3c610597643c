package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// marker lies in a folder that an export made, which a later one may replace.
const marker = ".mlgym-view"

// ErrNotExport says that a folder holds something else than an earlier export.
var ErrNotExport = errors.New("holds files that no export has made")

// Exported says what an export wrote.
type Exported struct {
	Pages, Files int
	Bytes        int64
}

// Export writes the pages into a folder: all that can be reached by links from the first
// one. The folder must not be there, be empty, or hold an earlier export, which is
// replaced once the new one is complete. A link that leads nowhere is an error.
// Progress, which may be nil, is told how many resources were written of those known
// so far.
func (v *Viewer) Export(ctx context.Context, dir string, progress func(done, known int)) (Exported, error) {
	var out Exported
	if !v.opts.Static {
		return out, errors.New("web: this viewer is not a static one")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return out, err
	}
	if err := replaceable(dir); err != nil {
		return out, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return out, err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-*")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(temporary)                      // the error that led here says more
	if err := os.Chmod(temporary, 0o755); err != nil { //nolint:gosec // it is to be shared
		return out, err
	}
	root, err := os.OpenRoot(temporary)
	if err != nil {
		return out, err
	}
	defer root.Close()
	if err := v.crawl(ctx, root, &out, progress); err != nil {
		return out, err
	}
	if err := root.WriteFile(marker, []byte("written by mlgym view --export; a later export replaces this folder\n"), 0o644); err != nil {
		return out, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return out, err
	}
	return out, os.Rename(temporary, dir)
}

func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) == 0:
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
		return fmt.Errorf("%s %w: name a folder that is new, or empty", dir, ErrNotExport)
	}
	return nil
}

// crawl saves what can be reached from the first page.
func (v *Viewer) crawl(ctx context.Context, root *os.Root, out *Exported, progress func(done, known int)) error {
	queue := []string{""}
	from := map[string]string{"": ""}
	var broken []string
	for done := 0; done < len(queue); done++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if progress != nil {
			progress(done, len(queue))
		}
		here := queue[done]
		answer := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Path: "/" + here}).String(), nil)
		v.mux.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			broken = append(broken, fmt.Sprintf("%s (linked from %s): %s", here, cmp.Or(from[here], "the first page"), http.StatusText(answer.Code)))
			continue
		}
		name := here
		if name == "" || strings.HasSuffix(name, "/") {
			name += "index.html"
		}
		if err := save(root, name, answer.Body.Bytes()); err != nil {
			return err
		}
		out.Files++
		out.Bytes += int64(answer.Body.Len())
		if !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/html") {
			continue
		}
		out.Pages++
		for _, to := range links(answer.Body.Bytes(), here) {
			if _, known := from[to]; !known {
				from[to] = here
				queue = append(queue, to)
			}
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("web: links of the pages lead nowhere: %s", strings.Join(broken[:min(len(broken), 5)], "; "))
	}
	return nil
}

func save(root *os.Root, name string, body []byte) error {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return root.WriteFile(name, body, 0o644)
}

// links returns the paths in the site that a page refers to, without those of other
// sites and without fragments.
func links(body []byte, here string) []string {
	base := &url.URL{Path: "/" + here}
	var out []string
	tokens := html.NewTokenizer(bytes.NewReader(body))
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return slices.Compact(out)
		}
		if kind == html.StartTagToken || kind == html.SelfClosingTagToken {
			for _, attribute := range tokens.Token().Attr {
				if attribute.Key != "href" && attribute.Key != "src" {
					continue
				}
				to, err := url.Parse(attribute.Val)
				if err != nil || to.Scheme != "" || to.Host != "" || to.Path == "" {
					continue
				}
				target := strings.TrimPrefix(base.ResolveReference(to).Path, "/")
				if strings.HasSuffix(target, "/index.html") || target == "index.html" {
					target = strings.TrimSuffix(target, "index.html")
				}
				out = append(out, target)
			}
		}
	}
}

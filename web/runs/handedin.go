package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"mlgym/gym"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// filesPage is what two runs handed in, compared.
type filesPage struct {
	Keys        string
	Left, Right *handed
	// Nothing says why there is nothing to compare.
	Nothing []string
	Files   []fileDiff
	// Same counts the files that are the same, Unshown those that differ and are only
	// listed.
	Same, Unshown int
	Back          string
}

// handed is what a run handed in last.
type handed struct {
	*side
	Tree *record.FileTree
}

// fileDiff is a file of one of the runs, or both.
type fileDiff struct {
	Name string
	// Is is "same", "changed", "only-left" or "only-right".
	Is          string
	Left, Right *record.File
	// LeftLink and RightLink lead to the file.
	LeftLink, RightLink string
	Diff                *textDiff
	// Why there are no differences to be seen.
	Why string
}

// How much of files is compared and shown.
const (
	maxFileBytes  = 256 << 10 // of a file that is shown
	maxFilesBytes = 2 << 20   // of all that are shown
	maxFilesShown = 50
	// maxSameBytes is up to which size files are read to tell whether they are the
	// same.
	maxSameBytes = 64 << 20
)

func (p *Pages) compareFiles(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	data, err := p.files(r)
	if err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	p.room.Render(w, r, page.Page{
		Title: "Compare files", Section: runsSection, Path: "compare/" + r.PathValue("keys") + "/files/", Template: "files", Data: data,
		Styles: []string{"markup/markup.css", "runs/runs.css"}, Wide: true,
	})
}

func (p *Pages) files(r *http.Request) (*filesPage, error) {
	ctx := r.Context()
	sides, err := p.opened(ctx, r.PathValue("keys"), maxCompared)
	if err != nil {
		return nil, err
	}
	data := &filesPage{Keys: keysOf(sides), Back: "compare/" + keysOf(sides) + "/"}
	var both []*handed
	for i := range sides[:2] {
		h := &handed{side: &sides[i]}
		if h.Tree, err = lastHanded(ctx, h.run); err != nil {
			data.Nothing = append(data.Nothing, fmt.Sprintf("The files of %s cannot be read: %v.", h.Letter, err))
		} else if h.Tree == nil {
			why := "handed in nothing that was kept"
			if h.run.Published() {
				why = "is a published one, which has no files"
			}
			data.Nothing = append(data.Nothing, fmt.Sprintf("%s %s.", h.Letter, why))
		}
		both = append(both, h)
	}
	data.Left, data.Right = both[0], both[1]
	if len(data.Nothing) > 0 {
		return data, nil
	}
	return data, data.compare(ctx, p.site.Static())
}

// lastHanded is what a run handed in at its end, or last; nil where there is nothing.
func lastHanded(ctx context.Context, run *record.Run) (*record.FileTree, error) {
	trees, err := run.Trees(ctx)
	if err != nil || len(trees) == 0 {
		return nil, err
	}
	last := trees[len(trees)-1]
	for _, t := range slices.Backward(trees) {
		if t.Kind == gym.Submit {
			last = t
			break
		}
	}
	return run.Tree(ctx, last.Name)
}

func (d *filesPage) compare(ctx context.Context, static bool) error {
	byName := map[string]*fileDiff{}
	take := func(h *handed, put func(*fileDiff, *record.File)) {
		for i := range h.Tree.Files {
			f := &h.Tree.Files[i]
			entry := byName[f.Name]
			if entry == nil {
				entry = &fileDiff{Name: f.Name}
				byName[f.Name] = entry
			}
			put(entry, f)
		}
	}
	take(d.Left, func(e *fileDiff, f *record.File) { e.Left, e.LeftLink = f, d.Left.link(f, static) })
	take(d.Right, func(e *fileDiff, f *record.File) { e.Right, e.RightLink = f, d.Right.link(f, static) })
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	shown, budget := 0, maxFilesBytes
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := byName[name]
		d.judge(ctx, f)
		if f.Is == same {
			d.Same++
		} else if f.Why == "" {
			if shown >= maxFilesShown || budget <= 0 {
				d.Unshown++
				f.Why = "there are too many to show all"
			} else if used := d.show(ctx, f); used > 0 {
				shown++
				budget -= used
			}
		}
		d.Files = append(d.Files, *f)
	}
	// Those that differ first.
	slices.SortStableFunc(d.Files, func(a, b fileDiff) int { return rank(a.Is) - rank(b.Is) })
	return nil
}

func rank(is string) int {
	if is == same {
		return 1
	}
	return 0
}

// link is the path of the page on a file; in an export that of all files.
func (h *handed) link(f *record.File, static bool) string {
	step := h.Tree.Step
	if step == 0 {
		step = h.run.Len() // they were handed in at the end
	}
	all := fmt.Sprintf("runs/%s/files/%d/", h.Key, step)
	if static {
		return all
	}
	if f.Special {
		return ""
	}
	var parts []string
	for part := range strings.SplitSeq(f.Name, "/") {
		parts = append(parts, url.PathEscape(part))
	}
	return all + strings.Join(parts, "/") + "/"
}

// judge says whether a file differs.
func (d *filesPage) judge(ctx context.Context, f *fileDiff) {
	switch {
	case f.Right == nil:
		f.Is = "only-left"
	case f.Left == nil:
		f.Is = "only-right"
	default:
		f.Is = "changed"
	}
	if f.Left != nil && f.Left.Special || f.Right != nil && f.Right.Special {
		f.Why = "it is a link or another thing that is not opened"
		return
	}
	if f.Is != "changed" || f.Left.Size != f.Right.Size {
		return
	}
	if f.Left.Size > maxSameBytes {
		f.Why = "it is too large to be compared"
		return
	}
	equal, err := d.equal(ctx, f.Name)
	if err != nil {
		f.Why = "it cannot be read: " + err.Error()
		return
	}
	if equal {
		f.Is = same
	}
}

// equal compares two files, a part at a time.
func (d *filesPage) equal(ctx context.Context, name string) (bool, error) {
	a, err := d.Left.run.OpenFile(ctx, d.Left.Tree.Name, name)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := d.Right.run.OpenFile(ctx, d.Right.Tree.Name, name)
	if err != nil {
		return false, err
	}
	defer b.Close()
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return ended(errA) && ended(errB), nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// show makes the differences of a file, and returns how many bytes it looked at.
func (d *filesPage) show(ctx context.Context, f *fileDiff) int {
	var texts [2]string
	used := 1
	for i, h := range []*handed{d.Left, d.Right} {
		if f.Left == nil && i == 0 || f.Right == nil && i == 1 {
			continue
		}
		text, why := h.text(ctx, f.Name)
		if why != "" {
			f.Why = why
			return 0
		}
		texts[i] = text
		used += len(text)
	}
	diff := diffOf(f.Name, texts[0], texts[1])
	f.Diff = &diff
	return used
}

// text reads a file that can be shown; why not, otherwise.
func (h *handed) text(ctx context.Context, name string) (text, why string) {
	file, err := h.run.OpenFile(ctx, h.Tree.Name, name)
	if err != nil {
		return "", "it cannot be read: " + err.Error()
	}
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return "", "it cannot be read: " + err.Error()
	case len(body) > maxFileBytes:
		return "", "it is too large to be shown"
	case bytes.IndexByte(body, 0) >= 0 || !utf8.Valid(body):
		return "", "it is no text"
	}
	return string(body), ""
}

// Shown is the file's name for people.
func (f *fileDiff) Shown() string { return markup.Head(f.Name, 200) }

// Both are the two runs.
func (d *filesPage) Both() []*handed { return []*handed{d.Left, d.Right} }

// Differing counts the files that are not the same.
func (d *filesPage) Differing() int { return len(d.Files) - d.Same }

package markup

import (
	"bytes"
	"fmt"
	"sync"
)

// CSS is the style sheet of the classes that this package writes, for light
// and dark pages: as the reader's system prefers, or as the attribute
// data-theme of the root element says ("light", "dark"). Colours of text have
// a contrast of at least 4.5:1 on any background that the sheet names, and on pages as light
// as #f6f7f9 or as dark as #1b1f26. The slice is the caller's.
func CSS() []byte { return bytes.Clone(styleSheet()) }

var styleSheet = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	out.WriteString(frame)
	for _, t := range tokens {
		fmt.Fprintf(&out, ".%s{color:%s", t.class, ink(t.hue))
		if t.more != "" {
			out.WriteString(";" + t.more)
		}
		out.WriteString("}\n")
	}
	for _, r := range rows {
		fmt.Fprintf(&out, "%s{background-color:light-dark(%s,%s)}\n", r.selector, r.light, r.dark)
	}
	// After dim and inverse, so that a program's own colour wins.
	for n := range 256 {
		fmt.Fprintf(&out, ".ansi-fg-%d{color:%s}\n", n, ink(palette(n)))
	}
	for n := range 256 {
		c := palette(n)
		fmt.Fprintf(&out, ".ansi-bg-%d{background-color:light-dark(%s,%s)}\n", n, c.lightened(lightPaper), c.darkened(darkPaper))
	}
	return out.Bytes()
})

// ink is a colour as that of a text.
func ink(c rgb) string {
	return fmt.Sprintf("light-dark(%s,%s)", c.darkened(lightInk), c.lightened(darkInk))
}

// String is the colour as style sheets write it.
func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// tokens are the classes of Code.
var tokens = []struct {
	class string
	hue   rgb
	more  string
}{
	{"tok-keyword", rgb{150, 40, 160}, ""},
	{"tok-type", rgb{170, 90, 0}, ""},
	{"tok-function", rgb{30, 90, 200}, ""},
	{"tok-builtin", rgb{0, 110, 130}, ""},
	{"tok-name", rgb{170, 50, 60}, ""},
	{"tok-variable", rgb{150, 70, 40}, ""},
	{"tok-string", rgb{20, 110, 60}, ""},
	{"tok-escape", rgb{0, 105, 110}, ""},
	{"tok-number", rgb{160, 70, 20}, ""},
	{"tok-comment", rgb{95, 100, 108}, "font-style:italic"},
	{"tok-deleted", rgb{180, 30, 40}, ""},
	{"tok-inserted", rgb{20, 110, 50}, ""},
}

// rows are the backgrounds of Diff, all within the limits of papers.
var rows = []struct{ selector, light, dark string }{
	{".diff-removed>td", "#fdecec", "#3a1f22"},
	{".diff-added>td", "#e7f6ec", "#173322"},
	{".diff-text del", "#f8cfcf", "#652c31"},
	{".diff-text ins", "#bfe8cb", "#194a2b"},
	{".diff-hunk>td", "#e9edf3", "#232a34"},
	{".ansi-inverse", "#dcdfe4", "#3d444f"},
}

// frame is what needs no computing.
const frame = `/* Made by package markup. light-dark() follows color-scheme. */
:root{color-scheme:light dark}
:root[data-theme=light]{color-scheme:light}
:root[data-theme=dark]{color-scheme:dark}
pre.code,pre.md-unread{overflow-x:auto;tab-size:8;margin:0}
pre.md-unread{white-space:pre-wrap;overflow-wrap:anywhere}
.ansi-bold{font-weight:700}
.ansi-italic{font-style:italic}
.ansi-underline{text-decoration-line:underline}
.ansi-strike{text-decoration-line:line-through}
.ansi-underline.ansi-strike{text-decoration-line:underline line-through}
.ansi-dim,.md-address,.diff-note,.diff-cut,.diff-number,.diff-sign,.diff-hunk>td{color:light-dark(#565b63,#b9bec7)}
.tok-strong{font-weight:700}
.tok-emphasis{font-style:italic}
.md-address{overflow-wrap:anywhere}
.md-right{text-align:right}
.md-center{text-align:center}
.diff{overflow-x:auto}
.diff-table{border-collapse:collapse;width:100%;font-family:ui-monospace,monospace;font-size:.875em;line-height:1.45}
.diff-table td{padding:0 .5em;border:0;vertical-align:top}
.diff-number{text-align:right;font-variant-numeric:tabular-nums;user-select:none;width:1%}
.diff-sign{user-select:none;width:1%}
.diff-text{white-space:pre-wrap;overflow-wrap:anywhere;tab-size:8}
.diff-text code{font:inherit;background:none;padding:0}
.diff-text del,.diff-text ins{text-decoration:none}
`

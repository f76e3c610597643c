package markup_test

import (
	"html/template"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// attributes are those of each element that may stand in what the package makes.
var attributes = map[string][]string{
	"span": {"class"}, "pre": {"class"}, "code": nil, "a": {"href", "rel"},
	"div": {"class"}, "table": {"class"}, "thead": nil, "tbody": nil, "tr": {"class"}, "td": {"class", "colspan"}, "th": {"class"},
	"ins": nil, "del": nil, "em": nil, "strong": nil, "p": {"class"}, "br": nil, "hr": nil, "blockquote": nil,
	"ul": nil, "ol": {"start"}, "li": nil, "h3": nil, "h4": nil, "h5": nil, "h6": nil,
}

var (
	classes = regexp.MustCompile(`^((ansi|tok|md|diff)-[a-z0-9-]+( |$))+$|^code$|^diff$`)
	hrefs   = regexp.MustCompile(`^(https?://[^/]|mailto:|#)`)
)

// parse reads a fragment as a browser does and fails for what must not be in it.
// It returns the text.
func parse(t *testing.T, fragment template.HTML, elements ...string) string {
	t.Helper()
	context := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	nodes, err := html.ParseFragment(strings.NewReader(string(fragment)), context)
	if err != nil {
		t.Fatalf("the HTML cannot be parsed: %v", err)
	}
	var text strings.Builder
	inLink := 0
	var visit func(n *html.Node)
	visit = func(n *html.Node) {
		switch n.Type {
		case html.TextNode:
			text.WriteString(n.Data)
		case html.ElementNode:
			allowed, ok := attributes[n.Data]
			if !ok || len(elements) > 0 && !slices.Contains(elements, n.Data) {
				t.Fatalf("element <%s> in %q", n.Data, clip(string(fragment)))
			}
			for _, a := range n.Attr {
				good := slices.Contains(allowed, a.Key)
				switch a.Key {
				case "class":
					good = good && classes.MatchString(a.Val)
				case "href":
					good = good && hrefs.MatchString(a.Val)
				case "rel":
					good = good && a.Val == "noopener noreferrer nofollow"
				case "colspan", "start":
					good = good && strings.Trim(a.Val, "0123456789") == ""
				}
				if !good {
					t.Fatalf("attribute %s=%q of <%s> in %q", a.Key, a.Val, n.Data, clip(string(fragment)))
				}
			}
			if n.Data == "a" {
				if inLink++; inLink > 1 {
					t.Fatalf("a link in a link in %q", clip(string(fragment)))
				}
				if len(n.Attr) != 2 {
					t.Fatalf("a link without rel in %q", clip(string(fragment)))
				}
			}
		default:
			t.Fatalf("node %v %q in %q", n.Type, n.Data, clip(string(fragment)))
		}
		for c := range n.ChildNodes() {
			visit(c)
		}
		if n.Data == "a" && n.Type == html.ElementNode {
			inLink--
		}
	}
	for _, n := range nodes {
		visit(n)
	}
	for i, r := range text.String() {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff\u2028", r) {
			t.Fatalf("character %U at %d of the text of %q", r, i, clip(string(fragment)))
		}
	}
	return text.String()
}

func clip(s string) string {
	if len(s) > 600 {
		return s[:600] + "…"
	}
	return s
}

// hostile are texts that want to be more than text.
var hostile = map[string]string{
	"script":             `<script>alert(1)</script>`,
	"upper case":         `<SCRIPT SRC=//x></SCRIPT>`,
	"end of pre":         "</code></pre></span></div></td></table><script>alert(1)</script>",
	"event":              `<img src=x onerror=alert(1)>`,
	"svg":                `<svg/onload=alert(1)>`,
	"style":              `<style>*{display:none}</style><p style="position:fixed">`,
	"comment":            "<!-- a --!> --> <![CDATA[x]]> <?php ?>",
	"markdown script":    "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](java\tscript:alert(1)) [d](&#106;avascript:alert(1)) [e](\x01javascript:alert(1))",
	"markdown data":      "[a](data:text/html,<script>alert(1)</script>) ![b](data:image/svg+xml;base64,AAAA) [v](vbscript:x) [f](file:///etc/passwd)",
	"markdown autolinks": "<javascript:alert(1)> <data:text/html,x> <https://example.org/?a=\"b> <a@example.org> <ftp://example.org>",
	"markdown quotes":    "[a](https://example.org/\"onmouseover=\"alert(1)) [b](<https://example.org/' x=y> \"t\\\" onclick=x\")",
	"markdown reference": "[a][1] ![b][1] [c][2]\n\n[1]: javascript:alert(1) \"x\"\n[2]: //example.org/x",
	"markdown html":      "<div onclick=\"x\">\n*a*\n</div>\n\n<details open ontoggle=x>\n\nb <b>c</b>",
	"markdown link in":   "[a ![b](https://example.org/b) <https://example.org/c>](https://example.org/a)",
	"markdown fence":     "```\"><script>alert(1)</script>\n</code></pre><script>\n```\n~~~py\" onload=x\nprint('</code>')\n~~~",
	"markdown table":     "| <script> | b |\n|:-|-:|\n| `</td>` | <img src=x> |",
	"markdown title":     "![x](https://example.org/x.png \"\\\"><script>\")",
	"protocol relative":  "[a](//example.org) [b](/etc) [c](../x) [d](#step-3) [e](http:x) [f](https:///x)",
	"entities":           "&lt;script&gt; &amp; &quot; &#60;b&#62; &#x202e;x &#0; &#13; &zwnj; &lrm; &rlm; &nbsp;",
	"bidi":               "access = \"user\u202e \u2066// admin\u2069 \u2066\" \u202a\u202b\u202c\u202d\u2067\u2068",
	"invisible":          "a\u200bb\ufeffc\u2060d\u00ade\u200ef\u200fg\U000e0041h\u2028i\u2029j",
	"nul":                "a\x00b\x00</pre>",
	"controls":           "\x01\x02\x07\x0b\x0c\x0e\x7f\u0080\u0085\u009b31mx",
	"surrogates":         "\xed\xa0\x80\xed\xb0\x80 \xff\xfe \xc0\xbc \xf4\x90\x80\x80",
	"escape in sequence": "\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\ \x1b]0;<script>\a \x1b[<script>m \x1b[38;5;999999999999999999999m",
	"sequence in tag":    "<scr\x1b[31mipt>alert(1)</scr\bipt>\r<b>",
	"broken sequence":    "\x1b[31 \x1b] never ended <b>\n\x1bP<b>",
	"line first":         "\n\n<b>x\n",
	"quotes":             `"'` + "`" + ` onmouseover=alert(1) `,
}

package markup

import (
	"bytes"
	"html/template"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

const (
	// maxMarkdown bounds the text that is read as Markdown, in bytes.
	maxMarkdown = 128 << 10
	// maxNesting bounds lists in quotations in lists.
	maxNesting = 64
	// maxCells bounds the cells of all tables.
	maxCells = 50_000
	// maxMarks bounds the characters in a paragraph that may begin or end
	// something, maxSteps half of their squares, of all paragraphs.
	maxMarks = 1000
	maxSteps = 4_000_000
)

// Markdown is CommonMark with tables, text struck out and lists of tasks. HTML
// in it is text. A link that leads elsewhere than to http, https, mailto or a place of the same
// page is shown as text with its address behind it; an image is a link to it,
// so nothing is loaded. Headings begin at h3, code in fences is highlighted
// as by [Code]. A text longer than 128 KiB, and one that was made to be slow (nested more than 64 deep,
// a paragraph of 1000 marks, tables of more than 50,000 cells), is shown as it is, in pre.
func Markdown(source string) template.HTML {
	source = Visible(source)
	if len(source) > maxMarkdown || costly(source) {
		return unread(source)
	}
	tools := markdownTools()
	document := tools.parser.Parse(text.NewReader([]byte(source)))
	if deep(document) {
		return unread(source)
	}
	if d := document.OwnerDocument(); d != nil {
		d.AddMeta(deadlineKey, time.Now().Add(patience))
	}
	var out bytes.Buffer
	if err := tools.renderer.Render(&out, []byte(source), document); err != nil {
		return unread(source)
	}
	// Once more: &#x202e; has become a character since.
	return safe([]byte(Visible(out.String())))
}

// unread shows the text of Markdown that is not read.
func unread(source string) template.HTML {
	out := append([]byte(nil), `<pre class="md-unread"><code>`...)
	out = appendEscaped(out, source)
	return safe(append(out, "</code></pre>"...))
}

// costly reports whether reading a text would take far longer, or make far more,
// than its length lets expect: the parser looks at every open quotation and
// list again for each line, at the rest of a paragraph again for many a mark in it that has
// no end, and fills every row of a table to its full width.
func costly(source string) bool {
	cells, steps := 0, 0
	marks, rows := 0, 0 // from here to the next blank line
	for end := len(source); end > 0; {
		start := strings.LastIndexByte(source[:end-1], '\n') + 1
		line := source[start:end]
		end = start
		if strings.TrimSpace(line) == "" {
			marks, rows = 0, 0
			continue
		}
		for _, b := range []byte(line) {
			if strings.IndexByte("*_~`[]<!\\", b) >= 0 {
				marks++
				steps += marks
			}
		}
		rows++
		if pipes := strings.Count(line, "|"); pipes > 0 && strings.Trim(line, "|:-> \t\r\n") == "" {
			cells += (pipes + 1) * rows
		}
		if cells > maxCells || marks > maxMarks || steps > maxSteps || openings(line) > maxNesting {
			return true
		}
	}
	return false
}

// openings counts the quotations and lists that a line may open.
func openings(line string) int {
	if rule := strings.TrimSpace(line); strings.Trim(rule, rule[:1]+" \t") == "" && strings.Contains("-*_", rule[:1]) {
		return 0
	}
	marks := 0
	for i := range len(line) {
		switch b := line[i]; {
		case strings.IndexByte(">-+*.)", b) >= 0:
			marks++
		case b == ' ' || b == '\t' || b >= '0' && b <= '9':
		default:
			return marks
		}
	}
	return marks
}

// deep reports whether a document is nested too deep for what goes down in it.
func deep(document ast.Node) bool {
	depth := 0
	for n := document; ; {
		if child := n.FirstChild(); child != nil {
			n = child
			if depth++; depth > 4*maxNesting {
				return true
			}
			continue
		}
		for n != document && n.NextSibling() == nil {
			n = n.Parent()
			depth--
		}
		if n == document {
			return false
		}
		n = n.NextSibling()
	}
}

const deadlineKey = "mlgym deadline"

type markdown struct {
	parser   parser.Parser
	renderer renderer.Renderer
}

// markdownTools reads no HTML, neither blocks nor tags: so it is text, and what
// stands within is read.
var markdownTools = sync.OnceValue(func() markdown {
	return markdown{
		parser: parser.NewParser(
			parser.WithBlockParsers(
				util.Prioritized(parser.NewSetextHeadingParser(), 100),
				util.Prioritized(parser.NewThematicBreakParser(), 200),
				util.Prioritized(parser.NewListParser(), 300),
				util.Prioritized(parser.NewListItemParser(), 400),
				util.Prioritized(parser.NewCodeBlockParser(), 500),
				util.Prioritized(parser.NewATXHeadingParser(), 600),
				util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
				util.Prioritized(parser.NewBlockquoteParser(), 800),
				util.Prioritized(parser.NewParagraphParser(), 1000),
			),
			parser.WithInlineParsers(
				util.Prioritized(extension.NewTaskCheckBoxParser(), 0),
				util.Prioritized(parser.NewCodeSpanParser(), 100),
				util.Prioritized(parser.NewLinkParser(), 200),
				util.Prioritized(parser.NewAutoLinkParser(), 300),
				util.Prioritized(parser.NewEmphasisParser(), 500),
				util.Prioritized(extension.NewStrikethroughParser(), 500),
			),
			parser.WithParagraphTransformers(
				util.Prioritized(parser.LinkReferenceParagraphTransformer, 100),
				util.Prioritized(extension.NewTableParagraphTransformer(), 200),
			),
			parser.WithASTTransformers(util.Prioritized(extension.NewTableASTTransformer(), 0)),
		),
		renderer: renderer.NewRenderer(renderer.WithNodeRenderers(
			util.Prioritized(nodes{}, 100),
			util.Prioritized(extension.NewTableHTMLRenderer(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)), 500),
			util.Prioritized(extension.NewStrikethroughHTMLRenderer(), 500),
			util.Prioritized(html.NewRenderer(), 1000),
		)),
	}
})

// nodes renders what goldmark would render otherwise than we want.
type nodes struct{}

// RegisterFuncs makes it a renderer.NodeRenderer.
func (nodes) RegisterFuncs(register renderer.NodeRendererFuncRegisterer) {
	register.Register(ast.KindHeading, heading)
	register.Register(ast.KindCodeBlock, codeBlock)
	register.Register(ast.KindFencedCodeBlock, codeBlock)
	register.Register(ast.KindLink, link)
	register.Register(ast.KindImage, link)
	register.Register(ast.KindAutoLink, autoLink)
	register.Register(ast.KindHTMLBlock, nothing)
	register.Register(ast.KindRawHTML, nothing)
	register.Register(extast.KindTaskCheckBox, checkBox)
	register.Register(extast.KindTableCell, tableCell)
}

// nothing renders what no parser makes: HTML.
func nothing(util.BufWriter, []byte, ast.Node, bool) (ast.WalkStatus, error) {
	return ast.WalkSkipChildren, nil
}

// headingShift is how far headings go down: those of the page stay above them.
const headingShift = 2

func heading(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	level := 1
	if n, ok := node.(*ast.Heading); ok {
		level = n.Level
	}
	open := "</h"
	if entering {
		open = "<h"
	}
	_, _ = w.WriteString(open + string(rune('0'+min(level+headingShift, 6))) + ">")
	return ast.WalkContinue, nil
}

func codeBlock(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	var code strings.Builder
	for _, line := range node.Lines().Sliced(0, node.Lines().Len()) {
		code.Write(line.Value(source))
	}
	language := ""
	if n, ok := node.(*ast.FencedCodeBlock); ok {
		language = strings.Trim(string(n.Language(source)), "{}.")
	}
	var deadline time.Time
	if d := node.OwnerDocument(); d != nil {
		deadline, _ = d.Meta()[deadlineKey].(time.Time)
	}
	out := append([]byte(nil), `<pre class="code"><code>`...)
	out = appendCode(out, code.String(), language, deadline)
	_, _ = w.Write(append(out, "</code></pre>\n"...))
	return ast.WalkSkipChildren, nil
}

// allowed is an address that a link may lead to, escaped for an attribute, or "".
func allowed(address []byte) string {
	escaped := string(util.URLEscape(address, true))
	parsed, err := url.Parse(escaped)
	if err != nil {
		return ""
	}
	switch parsed.Scheme {
	case "http", "https":
		if parsed.Host == "" {
			return ""
		}
	case "mailto":
	case "":
		if !strings.HasPrefix(escaped, "#") {
			return ""
		}
	default:
		return ""
	}
	return string(util.EscapeHTML([]byte(escaped)))
}

// openLink writes what stands before and after the text of a link. There is no
// link in a link.
func openLink(node ast.Node, address []byte) (before, after string) {
	for n := node.Parent(); n != nil; n = n.Parent() {
		if k := n.Kind(); (k == ast.KindLink || k == ast.KindImage) && allowed(destination(n)) != "" {
			return "", ""
		}
	}
	if href := allowed(address); href != "" {
		return `<a href="` + href + `" rel="noopener noreferrer nofollow">`, "</a>"
	}
	if len(address) == 0 {
		return "", ""
	}
	return "", ` <span class="md-address">(` + string(appendEscaped(nil, string(address))) + `)</span>`
}

func destination(node ast.Node) []byte {
	switch n := node.(type) {
	case *ast.Link:
		return n.Destination
	case *ast.Image:
		return n.Destination
	}
	return nil
}

func link(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	before, after := openLink(node, destination(node))
	if !entering {
		if node.Kind() == ast.KindImage && node.FirstChild() == nil {
			_, _ = w.WriteString("image")
		}
		before = after
	}
	_, _ = w.WriteString(before)
	return ast.WalkContinue, nil
}

func autoLink(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n, ok := node.(*ast.AutoLink)
	if !entering || !ok {
		return ast.WalkContinue, nil
	}
	address := n.URL(source)
	if n.AutoLinkType == ast.AutoLinkEmail && !bytes.HasPrefix(bytes.ToLower(address), []byte("mailto:")) {
		address = append([]byte("mailto:"), address...)
	}
	before, after := openLink(node, address)
	if before == "" {
		after = ""
	}
	_, _ = w.WriteString(before)
	_, _ = w.Write(appendEscaped(nil, string(n.Label(source))))
	_, _ = w.WriteString(after)
	return ast.WalkContinue, nil
}

func checkBox(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if n, ok := node.(*extast.TaskCheckBox); ok && entering {
		box := "☐ "
		if n.IsChecked {
			box = "☑ "
		}
		_, _ = w.WriteString(box)
	}
	return ast.WalkContinue, nil
}

func tableCell(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	name, class := "td", ""
	if node.Parent().Kind() == extast.KindTableHeader {
		name = "th"
	}
	if n, ok := node.(*extast.TableCell); ok {
		switch n.Alignment {
		case extast.AlignRight:
			class = ` class="md-right"`
		case extast.AlignCenter:
			class = ` class="md-center"`
		case extast.AlignLeft, extast.AlignNone:
		}
	}
	if !entering {
		name, class = "/"+name, ""
	}
	_, _ = w.WriteString("<" + name + class + ">")
	return ast.WalkContinue, nil
}

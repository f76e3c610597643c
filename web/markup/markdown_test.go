package markup_test

import (
	"strings"
	"testing"

	"mlgym/web/markup"
)

func TestMarkdown(t *testing.T) {
	const rel = `rel="noopener noreferrer nofollow"`
	tests := map[string]struct{ text, want string }{
		"prose":           {"I *think* **so**, ~~not~~ `a < b`.", "<p>I <em>think</em> <strong>so</strong>, <del>not</del> <code>a &lt; b</code>.</p>\n"},
		"headings":        {"# a\n\n## b\n\n##### c", "<h3>a</h3><h4>b</h4><h6>c</h6>"},
		"lists":           {"- a\n- b\n\n3. c", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<ol start=\"3\">\n<li>c</li>\n</ol>\n"},
		"tasks":           {"- [x] done\n- [ ] not", "<ul>\n<li>☑ done</li>\n<li>☐ not</li>\n</ul>\n"},
		"table":           {"| a | b |\n|---|--:|\n| 1 | 2 |", "<table>\n<thead>\n<tr>\n<th>a</th><th class=\"md-right\">b</th></tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td><td class=\"md-right\">2</td></tr>\n</tbody>\n</table>\n"},
		"link":            {"[a](https://example.org/?a=1&b=2 \"title\")", `<p><a href="https://example.org/?a=1&amp;b=2" ` + rel + ">a</a></p>\n"},
		"mail":            {"<a@example.org>", `<p><a href="mailto:a@example.org" ` + rel + ">a@example.org</a></p>\n"},
		"place":           {"[step](#step-3)", `<p><a href="#step-3" ` + rel + ">step</a></p>\n"},
		"relative":        {"[a](docs/a.md)", `<p>a <span class="md-address">(docs/a.md)</span></p>` + "\n"},
		"script":          {"[a](javascript:alert(1))", `<p>a <span class="md-address">(javascript:alert(1))</span></p>` + "\n"},
		"script link":     {"<javascript:alert(1)>", "<p>javascript:alert(1)</p>\n"},
		"image":           {"![loss](https://example.org/a.png)", `<p><a href="https://example.org/a.png" ` + rel + ">loss</a></p>\n"},
		"image, no text":  {"![](plot.png)", `<p>image <span class="md-address">(plot.png)</span></p>` + "\n"},
		"image in link":   {"[![a](https://example.org/a)](https://example.org/b)", `<p><a href="https://example.org/b" ` + rel + ">a</a></p>\n"},
		"HTML":            {"<b>*a*</b>", "<p>&lt;b&gt;<em>a</em>&lt;/b&gt;</p>\n"},
		"HTML block":      {"<div>\n*a*\n</div>", "<p>&lt;div&gt;\n<em>a</em>\n&lt;/div&gt;</p>\n"},
		"thinking":        {"<think>**a**</think>", "<p>&lt;think&gt;<strong>a</strong>&lt;/think&gt;</p>\n"},
		"entity of bidi":  {"a&#x202e;b", "<p>a[U+202E]b</p>\n"},
		"return":          {"a&#13;b\r\nc", "<p>a␍b\nc</p>\n"},
		"code":            {"```python\nreturn 1\n```", `<pre class="code"><code><span class="tok-keyword">return</span> <span class="tok-number">1</span>` + "\n</code></pre>\n"},
		"code, no name":   {"```\na < b\n```\n\n    indented", "<pre class=\"code\"><code>a &lt; b\n</code></pre>\n<pre class=\"code\"><code>indented\n</code></pre>\n"},
		"too long":        {strings.Repeat("a *b*\n", 30000), `<pre class="md-unread"><code>` + strings.Repeat("a *b*\n", 30000) + "</code></pre>"},
		"nested":          {strings.Repeat("> ", 1000) + "a", `<pre class="md-unread"><code>` + strings.Repeat("&gt; ", 1000) + "a</code></pre>"},
		"nested in lists": {strings.Repeat("1. ", 1000) + "a", `<pre class="md-unread"><code>` + strings.Repeat("1. ", 1000) + "a</code></pre>"},
		"a long rule":     {strings.Repeat("- ", 1000), "<hr>\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Markdown(tt.text)
			if string(got) != tt.want {
				t.Errorf("Markdown(%q)\n got %q\nwant %q", clip(tt.text), clip(string(got)), clip(tt.want))
			}
			parse(t, got)
		})
	}
}

// TestMarkdownIsBounded has texts of 128 KiB that took the parser seconds or
// minutes, or made gigabytes of them, before they were refused.
func TestMarkdownIsBounded(t *testing.T) {
	const size = 128 << 10
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	tests := map[string]string{
		"links that do not end": fill("[a]("),
		"titles":                fill("[a](b \""),
		"angles":                fill("[a](<b"),
		"brackets":              fill("["),
		"images in links":       fill("[!["),
		"numbered lists":        fill("1. "),
		"lists of plus":         fill("+ "),
		"mixed lists":           fill("- + * "),
		"quotations":            fill(">"),
		"wide table":            strings.Repeat("a|", 1000) + "a\n" + strings.Repeat("-|", 1000) + "-\n" + strings.Repeat("a\n", 60000),
		"many tables":           fill("a|b\n-|-\n"),
		"struck out":            fill("~~"),
		"emphasis":              fill("*a **a _b "),
		"code that is none":     fill("``\n[\\"),
		"fences":                fill("```python\nx\n```\n"),
		"unknown languages":     fill("```nonsense\n```\n"),
		"references":            fill("[a]: b\n"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Markdown(text)
			if len(got) > 20*size {
				t.Errorf("%d bytes of %d", len(got), len(text))
			}
			parse(t, got)
		})
	}
}

// Package markup makes safe HTML of text that nobody vouches for: what a program
// printed, what a model wrote, the files it made. It is pure: the outcome
// depends on the arguments only, nothing is read or fetched, and every function
// may be called from many goroutines at once. (One exception, for the sake of
// the reader's patience: a highlighter that takes too long on a text is stopped,
// and the rest of the text stays without colours. See [Code].)
//
// What comes out holds a small set of elements and the attributes class, href,
// rel and colspan; no script, no style, no image, no name and no id. Links lead
// to http, https and mailto addresses or to a place in the same page.
// Characters that change how others are shown, or that cannot be seen, are
// shown as what they are: control characters as their pictures (U+2400 and
// following), directional and invisible format characters as [U+202E], bytes
// that are no UTF-8 as U+FFFD. Tabs and line ends stay.
//
// [Terminal], [Plain], [Code] and [Shell] give phrasing content (text and
// span), to be put where white space counts:
//
//	<pre class="code"><code>{{terminal .Output}}</code></pre>
//
// The element code (or any other) between pre and the text matters: a browser
// drops a line end that follows <pre> directly. [Markdown] and [Diff] give
// blocks. [CSS] is the style sheet of all of them.
//
// Time and memory are linear in the text for all of them except that [Markdown], [Code]
// and [Diff] turn to plain text, or to a beginning, where a text is too long
// for them; then they say so.
package markup

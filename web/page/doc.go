// Package page is the frame of the site: its layout, style and scripts, its links,
// and what every answer is guarded by. The rooms that have pages ([Room]) bring
// templates, static files and handlers; they render through this package, so that
// one place decides on headers, escaping and links.
//
// # What is trusted
//
// Nothing that stands in a record. Texts reach a page through html/template, which
// escapes them for where they stand, or through package markup. The content
// security policy allows scripts and styles that are ours by file, and nothing
// inline, so that a mistake there would still execute nothing.
//
// # Links
//
// Templates name a page by its path in the site, {{url "runs/KEY/"}}, and a static
// file by its room and name, {{asset "runs/run.js"}}. A served site turns them into
// absolute paths below its prefix, an exported one ([Options.Static]) into relative
// ones that work from a folder. Paths of pages end in "/", those of other
// resources do not.
package page

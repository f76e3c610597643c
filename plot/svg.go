package plot

import (
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// cleanSVG is an SVG canvas whose texts hold only characters that XML allows. The canvas
// of gonum/plot writes others as they are, and no program opens the file.
type cleanSVG struct{ *vgsvg.Canvas }

// FillString implements [vg.Canvas].
func (c cleanSVG) FillString(face font.Face, at vg.Point, text string) {
	c.Canvas.FillString(face, at, xmlText(text))
}

// xmlText replaces what XML 1.0 allows in no document: controls, halves of surrogates,
// two characters that are none, and bytes that are no UTF-8.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return ' '
		case r < ' ', r >= 0xd800 && r <= 0xdfff, r == 0xfffe, r == 0xffff:
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

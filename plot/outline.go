package plot

import (
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgpdf"
)

// outlinePDF is a PDF canvas that draws text as the outlines of its glyphs.
// The canvas of gonum/plot knows neither bold faces nor letters outside
// Windows-1252, such as τ.
type outlinePDF struct{ *vgpdf.Canvas }

// FillString implements [vg.Canvas].
func (c outlinePDF) FillString(face font.Face, at vg.Point, text string) {
	var buf sfnt.Buffer
	// Outlines are taken at a large size, where hinting and rounding to 1/64
	// do not show, and scaled down.
	const ppem = 1 << 10
	scale := float64(face.Font.Size.Points()) / ppem
	toPoint := func(p fixed.Point26_6, x vg.Length) vg.Point {
		return vg.Point{
			X: at.X + x + vg.Length(float64(p.X)/64*scale),
			Y: at.Y - vg.Length(float64(p.Y)/64*scale),
		}
	}
	var x vg.Length
	for _, r := range text {
		glyph, err := face.Face.GlyphIndex(&buf, r)
		if err != nil {
			continue
		}
		segments, err := face.Face.LoadGlyph(&buf, glyph, fixed.I(ppem), nil)
		if err != nil {
			continue
		}
		var path vg.Path
		for _, s := range segments {
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				if len(path) > 0 {
					path.Close()
				}
				path.Move(toPoint(s.Args[0], x))
			case sfnt.SegmentOpLineTo:
				path.Line(toPoint(s.Args[0], x))
			case sfnt.SegmentOpQuadTo:
				path.QuadTo(toPoint(s.Args[0], x), toPoint(s.Args[1], x))
			case sfnt.SegmentOpCubeTo:
				path.CubeTo(toPoint(s.Args[0], x), toPoint(s.Args[1], x), toPoint(s.Args[2], x))
			}
		}
		if len(path) > 0 {
			path.Close()
			c.Fill(path)
		}
		advance, err := face.Face.GlyphAdvance(&buf, glyph, fixed.I(ppem), 0)
		if err == nil {
			x += vg.Length(float64(advance) / 64 * scale)
		}
	}
}

package plot

import (
	"fmt"
	"image/color"
	"image/png"
	"io"

	stdfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Format is a file format.
type Format string

// The formats.
const (
	SVG Format = "svg"
	PNG Format = "png"
	PDF Format = "pdf"
)

// pngDPI is the resolution of PNG files.
const pngDPI = 144

// Figure is a chart that is laid out.
type Figure struct {
	Width, Height vg.Length
	draw          func(draw.Canvas)
}

// Write draws the figure in the given format.
func (f *Figure) Write(w io.Writer, format Format) error {
	var c interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch format {
	case SVG:
		c = cleanSVG{vgsvg.New(f.Width, f.Height)}
	case PNG:
		c = quickPNG{vgimg.NewWith(vgimg.UseWH(f.Width, f.Height), vgimg.UseDPI(pngDPI))}
	case PDF:
		c = outlinePDF{vgpdf.New(f.Width, f.Height)}
	default:
		return fmt.Errorf("%q is not a format of figures", format)
	}
	dc := draw.New(c)
	dc.FillPolygon(color.White, []vg.Point{dc.Min, {X: dc.Max.X, Y: dc.Min.Y}, dc.Max, {X: dc.Min.X, Y: dc.Max.Y}})
	f.draw(dc)
	_, err := c.WriteTo(w)
	return err
}

// quickPNG compresses quickly: charts have few colours and stay small.
type quickPNG struct{ *vgimg.Canvas }

// WriteTo implements [io.WriterTo].
func (c quickPNG) WriteTo(w io.Writer) (int64, error) {
	count := &counting{w: w}
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	err := enc.Encode(count, c.Image())
	return count.n, err
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Colours of everything that is not data.
var (
	ink   = color.RGBA{0x22, 0x22, 0x22, 0xff}
	grey  = color.RGBA{0x6a, 0x6a, 0x6a, 0xff}
	faint = color.RGBA{0xe4, 0xe4, 0xe4, 0xff}
)

// palette holds colours that stay apart under the common kinds of colour
// blindness, on paper and on screen: those of Okabe and Ito ("Color Universal
// Design", 2008) without black and yellow, and wine from Paul Tol's muted set.
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff},
	{0xd5, 0x5e, 0x00, 0xff},
	{0x00, 0x9e, 0x73, 0xff},
	{0xcc, 0x79, 0xa7, 0xff},
	{0xe6, 0x9f, 0x00, 0xff},
	{0x56, 0xb4, 0xe9, 0xff},
	{0x88, 0x22, 0x55, 0xff},
	{0x7f, 0x7f, 0x7f, 0xff},
}

// dashes tell series apart once the palette is used up.
var dashes = [][]vg.Length{nil, {6, 2.5}, {1.5, 2}}

// Style of the i-th series; a negative i is the style of a baseline.
func lineStyle(i int) draw.LineStyle {
	if i < 0 {
		return draw.LineStyle{Color: ink, Width: 1.4, Dashes: []vg.Length{2, 2}}
	}
	lines := len(palette) - 1 // grey is for bars
	return draw.LineStyle{Color: palette[i%lines], Width: 1.6, Dashes: dashes[(i/lines)%len(dashes)]}
}

func barColor(i int) color.RGBA { return palette[i%len(palette)] }

// tint mixes a colour with white.
func tint(c color.Color, share float64) color.RGBA {
	r, g, b, _ := c.RGBA()
	mix := func(v uint32) uint8 { return uint8(float64(v>>8)*share + 255*(1-share)) }
	return color.RGBA{mix(r), mix(g), mix(b), 0xff}
}

// onColor is the colour of text that can be read on c.
func onColor(c color.RGBA) color.Color {
	if 0.299*float64(c.R)+0.587*float64(c.G)+0.114*float64(c.B) > 150 {
		return ink
	}
	return color.White
}

func textStyle(size vg.Length, c color.Color, bold bool) text.Style {
	f := font.From(font.Font{Typeface: plot.DefaultFont.Typeface, Variant: "Sans"}, size)
	if bold {
		f.Weight = stdfont.WeightBold
	}
	return text.Style{Color: c, Font: f, Handler: text.Plain{Fonts: font.DefaultCache}, XAlign: draw.XLeft, YAlign: draw.YBottom}
}

func aligned(s text.Style, x text.XAlignment, y text.YAlignment) text.Style {
	s.XAlign, s.YAlign = x, y
	return s
}

const (
	titleSize  = 12
	labelSize  = 9
	smallSize  = 8
	margin     = 12
	lineHeight = 13
)

// key is one entry of a legend.
type key struct {
	name  string
	line  *draw.LineStyle
	color color.RGBA
}

// frame draws title, subtitle and legend at the top of c and returns the rest.
func frame(c draw.Canvas, title, subtitle string, keys []key) draw.Canvas {
	c = draw.Crop(c, margin, -margin, margin, -margin)
	y := c.Max.Y
	if title != "" {
		c.FillText(aligned(textStyle(titleSize, ink, true), draw.XLeft, draw.YTop), vg.Point{X: c.Min.X, Y: y}, title)
		y -= titleSize * 1.45
	}
	if subtitle != "" {
		c.FillText(aligned(textStyle(labelSize, grey, false), draw.XLeft, draw.YTop), vg.Point{X: c.Min.X, Y: y}, subtitle)
		y -= lineHeight
	}
	if len(keys) > 0 {
		y -= 4
		sty := aligned(textStyle(labelSize, ink, false), draw.XLeft, draw.YCenter)
		x := c.Min.X
		for _, k := range keys {
			mark := vg.Length(9)
			if k.line != nil {
				mark = 22
			}
			width := mark + 5 + sty.Width(k.name) + 14
			if x+width > c.Max.X && x > c.Min.X {
				x, y = c.Min.X, y-lineHeight
			}
			mid := y - lineHeight/2
			if k.line != nil {
				c.StrokeLine2(*k.line, x, mid, x+mark, mid)
			} else {
				fillBox(c, k.color, x, mid-4, x+mark, mid+5)
			}
			c.FillText(sty, vg.Point{X: x + mark + 5, Y: mid + 1.2}, k.name)
			x += width
		}
		y -= lineHeight
	}
	c.Max.Y = y - 6
	return c
}

func fillBox(c draw.Canvas, col color.Color, x0, y0, x1, y1 vg.Length) {
	c.FillPolygon(col, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
}

// axes is an empty plot in the common style.
func axes(xLabel, yLabel string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle = aligned(textStyle(labelSize, ink, false), draw.XCenter, draw.YBottom)
		a.Tick.Label = aligned(textStyle(smallSize, grey, false), a.Tick.Label.XAlign, a.Tick.Label.YAlign)
		a.Tick.LineStyle = draw.LineStyle{Color: faint, Width: 0.8}
		a.Tick.Length = 3
		a.LineStyle = draw.LineStyle{Color: grey, Width: 0.8}
		a.Padding = 0
	}
	p.X.Label.Text, p.Y.Label.Text = xLabel, yLabel
	p.X.Label.TextStyle.YAlign = draw.YTop
	return p
}

// gridLines draws the lines of the major ticks.
func gridLines(c draw.Canvas, p *plot.Plot, vertical, horizontal bool) {
	sty := draw.LineStyle{Color: faint, Width: 0.6}
	tx, ty := p.Transforms(&c)
	if vertical {
		for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
			if t.Label != "" && t.Value >= p.X.Min && t.Value <= p.X.Max {
				c.StrokeLine2(sty, tx(t.Value), c.Min.Y, tx(t.Value), c.Max.Y)
			}
		}
	}
	if horizontal {
		for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if t.Label != "" && t.Value >= p.Y.Min && t.Value <= p.Y.Max {
				c.StrokeLine2(sty, c.Min.X, ty(t.Value), c.Max.X, ty(t.Value))
			}
		}
	}
}

// plotFunc makes a plotter of a function.
type plotFunc func(c draw.Canvas, p *plot.Plot)

func (f plotFunc) Plot(c draw.Canvas, p *plot.Plot) { f(c, p) }

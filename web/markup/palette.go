package markup

import "math"

// rgb is a colour as screens have it, 8 bits a channel.
type rgb [3]uint8

// system are the sixteen colours that programs name, as xterm has them.
var system = [16]rgb{
	{0, 0, 0},
	{205, 0, 0},
	{0, 205, 0},
	{205, 205, 0},
	{0, 0, 238},
	{205, 0, 205},
	{0, 205, 205},
	{229, 229, 229},
	{127, 127, 127},
	{255, 0, 0},
	{0, 255, 0},
	{255, 255, 0},
	{92, 92, 255},
	{255, 0, 255},
	{0, 255, 255},
	{255, 255, 255},
}

// levels are the steps of the cube of 6×6×6 colours that follows them.
var levels = [6]int{0, 95, 135, 175, 215, 255}

// palette is the colour with a number below 256.
func palette(n int) rgb {
	switch {
	case n < 16:
		return system[n]
	case n < 232:
		n -= 16
		return rgb{uint8(levels[n/36]), uint8(levels[n/6%6]), uint8(levels[n%6])} //nolint:gosec // levels are below 256
	}
	grey := uint8(8 + 10*(n-232)) //nolint:gosec // 238 at most
	return rgb{grey, grey, grey}
}

// nearestColour is the number of the colour nearest to one of 8 bits a channel,
// by distance in that space. The sixteen named colours, which every terminal
// shows differently, are not considered.
func nearestColour(c [3]int) int {
	var step [3]int
	cube := 0
	for i, v := range c {
		for j, level := range levels {
			if abs(v-level) < abs(v-levels[step[i]]) {
				step[i] = j
			}
		}
		cube += square(v - levels[step[i]])
	}
	grey := min(max((c[0]+c[1]+c[2])/3-8+5, 0)/10, 23)
	distance := 0
	for _, v := range c {
		distance += square(v - (8 + 10*grey))
	}
	if distance < cube {
		return 232 + grey
	}
	return 16 + 36*step[0] + 6*step[1] + step[2]
}

func abs(n int) int { return max(n, -n) }

func square(n int) int { return n * n }

// Colours of text and of backgrounds are moved, by their luminance, until any
// of the former can be read on any of the latter and on the pages: with a
// contrast of 4.5:1 or more (WCAG 2.2, 1.4.3), which is
// (lighter+0.05)/(darker+0.05).
const (
	lightPaper = 0.70                       // the least luminance of a background on a light page
	lightInk   = (lightPaper+.05)/4.6 - .05 // the most of a text
	darkPaper  = 0.06
	darkInk    = (darkPaper+.05)*4.6 - .05
)

// linear is a channel's light, in [0, 1] (sRGB, IEC 61966-2-1).
func linear(v uint8) float64 {
	s := float64(v) / 255
	if s <= 0.04045 {
		return s / 12.92
	}
	return math.Pow((s+0.055)/1.055, 2.4)
}

func encoded(l float64) uint8 {
	s := 12.92 * l
	if l > 0.0031308 {
		s = 1.055*math.Pow(l, 1/2.4) - 0.055
	}
	return uint8(math.Round(255 * min(max(s, 0), 1)))
}

// luminance is the relative luminance of WCAG, in [0, 1].
func (c rgb) luminance() float64 {
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// darkened has a luminance of at most limit, and the hue of c.
func (c rgb) darkened(limit float64) rgb {
	l := c.luminance()
	if l <= limit {
		return c
	}
	for i, v := range c {
		c[i] = encoded(linear(v) * limit / l)
	}
	return c
}

// lightened has a luminance of at least limit: it is made as bright as its hue
// can be, and then mixed with white.
func (c rgb) lightened(limit float64) rgb {
	if c.luminance() >= limit {
		return c
	}
	channels := [3]float64{linear(c[0]), linear(c[1]), linear(c[2])}
	if most := max(channels[0], channels[1], channels[2]); most > 0 {
		factor := min(1/most, limit/c.luminance())
		for i := range channels {
			channels[i] *= factor
		}
	}
	l := 0.2126*channels[0] + 0.7152*channels[1] + 0.0722*channels[2]
	white := max((limit-l)/(1-l), 0)
	for i, v := range channels {
		c[i] = encoded(v + white*(1-v))
	}
	return c
}

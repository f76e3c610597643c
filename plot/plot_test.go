package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"strings"
	"sync"
	"testing"

	"mlgym/plot"
)

// charts are one of each kind, and what is odd about data.
func charts() map[string]*plot.Figure {
	nan, inf := math.NaN(), math.Inf(1)
	xs, ys := []float64{0, 1, 2, 3}, []float64{0.1, 0.1, nan, 0.9}
	var many []plot.Spot
	for i := range 13 {
		many = append(many, plot.Spot{Name: fmt.Sprintf("Model-%d", i), Style: i, X: float64(1 + i/3), Y: float64(i), Low: nan, High: nan})
	}
	return map[string]*plot.Figure{
		"lines": plot.Lines{
			Title: "Profiles <&> τ", Subtitle: "a “quote”", XLabel: "τ", YLabel: "share", XMax: 3, YMax: 1, Percent: true,
			Panels: []plot.Panel{
				{Title: "A", Series: []plot.Series{{Name: "one", X: xs, Y: ys, Low: ys, High: ys}, {Name: "base", Style: -1, X: xs, Y: xs}}},
				{Title: "B", Series: []plot.Series{{Name: "two", Style: 9, X: xs, Y: []float64{nan, nan, nan, nan}, Faint: true}}},
			},
		}.Figure(),
		"odd names": plot.Bars{Title: "\x1b[31m\x07\xff\ufffe\t<b>&", Rows: []string{"a\x00b\n"}, Parts: []plot.Part{
			{Name: "\x01", Values: []float64{3}}, {Name: "]]>", Values: []float64{1}},
		}}.Figure(),
		"lines of nothing":   plot.Lines{Title: "x"}.Figure(),
		"lines without span": plot.Lines{Panels: []plot.Panel{{Series: []plot.Series{{X: []float64{0}, Y: []float64{0}}}}}}.Figure(),
		"bars": plot.Bars{Title: "B", Rows: []string{"a", "b"}, Parts: []plot.Part{
			{Name: "x", Values: []float64{3, 0}}, {Name: "y", Values: []float64{1, 1e6}},
		}}.Figure(),
		"grouped":          plot.Bars{Grouped: true, Rows: []string{"a"}, Parts: []plot.Part{{Name: "x", Values: []float64{0}}}}.Figure(),
		"bars of nothing":  plot.Bars{}.Figure(),
		"columns":          plot.Columns{First: 1, Last: 3, Parts: []plot.Part{{Name: "x", Values: []float64{1, 2}}}}.Figure(),
		"scatter":          plot.Scatter{Spots: many}.Figure(),
		"scatter, one":     plot.Scatter{Spots: many[:1]}.Figure(),
		"scatter, nothing": plot.Scatter{}.Figure(),
		"scatter, wide":    plot.Scatter{Spots: []plot.Spot{{Name: "a", X: 0.001, Y: 1, Low: 0, High: 2}, {Name: "b", X: 50, Y: 1, Low: nan, High: nan}}}.Figure(),
		"dots":             plot.Dots{Spots: []plot.Spot{{Name: "a", X: 1, Low: 0, High: 2}, {Name: "b", X: nan, Low: nan, High: nan}, {Name: "c", X: inf}}, Reference: nan}.Figure(),
		"dots, nothing":    plot.Dots{Reference: 1}.Figure(),
		"ranks":            plot.Ranks{Spots: many, Difference: 1.5}.Figure(),
		"ranks, nothing":   plot.Ranks{Difference: nan}.Figure(),
	}
}

func TestEveryChartInEveryFormat(t *testing.T) {
	for name, figure := range charts() {
		t.Run(name, func(t *testing.T) {
			var svg, img, pdf bytes.Buffer
			for format, to := range map[plot.Format]*bytes.Buffer{plot.SVG: &svg, plot.PNG: &img, plot.PDF: &pdf} {
				if err := figure.Write(to, format); err != nil {
					t.Fatal(err)
				}
			}
			dec := xml.NewDecoder(bytes.NewReader(svg.Bytes()))
			for {
				if _, err := dec.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("SVG: %v", err)
				}
			}
			if strings.Contains(svg.String(), "NaN") || strings.Contains(svg.String(), "Inf") {
				t.Error("the SVG holds coordinates that are no numbers")
			}
			picture, err := png.Decode(&img)
			if err != nil {
				t.Fatalf("PNG: %v", err)
			}
			if b := picture.Bounds(); b.Dx() < 500 || b.Dy() < 100 {
				t.Errorf("the picture has %v", b)
			}
			if !bytes.HasPrefix(pdf.Bytes(), []byte("%PDF-")) || bytes.Contains(pdf.Bytes(), []byte("NaN")) {
				t.Error("PDF: not a document, or one with coordinates that are no numbers")
			}
		})
	}
}

// TestTheSameTwice writes figures from several goroutines: they share fonts.
func TestTheSameTwice(t *testing.T) {
	for name, figure := range charts() {
		var texts [4]bytes.Buffer
		var wg sync.WaitGroup
		for i := range texts {
			wg.Go(func() {
				if err := figure.Write(&texts[i], plot.SVG); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range texts {
			if texts[i].String() != texts[0].String() {
				t.Errorf("%s: drawn twice, and not the same", name)
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	if err := charts()["dots"].Write(io.Discard, "gif"); err == nil {
		t.Error("no error")
	}
}

func ExampleDots() {
	chart := plot.Dots{
		Title: "Interquartile mean", XLabel: "normalised score", Reference: 0,
		Spots: []plot.Spot{{Name: "first", X: 0.4, Low: 0.3, High: 0.5}, {Name: "second", Style: 1, X: 0.6, Low: 0.5, High: 0.7}},
	}
	var picture bytes.Buffer
	err := chart.Figure().Write(&picture, plot.SVG)
	fmt.Println(strings.HasPrefix(picture.String(), "<?xml"), err)
	// Output: true <nil>
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// bar is the bars of one name, one in each group; NaN is one that was not measured.
type bar struct {
	name   string
	values []float64
}

// line is the points of one name, one at each tick; NaN is one that was not measured.
type line struct {
	name   string
	values []float64
}

// Figures are as wide as GitHub shows them, and their background is white in its dark mode, too.
const (
	figureWidth  = 24 * vg.Centimeter
	figureHeight = 11 * vg.Centimeter
	figureMargin = 4 * vg.Millimeter
	legendRow    = 5.5 * vg.Millimeter
	labelSize    = 10
	// The letters are laid out as those of the first font, which the next two are as wide as. A reader who has none of them
	// gets some that may be wider.
	fontFamily = "Liberation Sans"
	fontStack  = "Liberation Sans, Arial, Helvetica, sans-serif"
	fontSlack  = 1.2
)

// palette is of Okabe and Ito, told apart by the colour-blind, but for its blue, which is the one of other figures here.
var palette = []color.Color{
	color.RGBA{R: 0x1e, G: 0x6f, B: 0xd9, A: 0xff},
	color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff},
	color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
	color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
	color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
	color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff},
	color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff},
	color.RGBA{R: 0x33, G: 0x33, B: 0x33, A: 0xff},
}

// plotBars draws the bars of each group side by side, with their values above them, into an SVG file. The unit is that of
// the values.
func plotBars(file, title, unit string, groups []string, bars []bar) error {
	f := newFigure(title, groups)
	f.Y.Label.Text = unit
	// A bar is as wide as leaves another between the groups, and the axis some space.
	width := min(figureWidth*8/10/vg.Length(len(groups)*(len(bars)+1)), 2*vg.Centimeter)
	label := f.X.Tick.Label
	setFont(&label, labelSize)
	widest := width
	for _, b := range bars {
		if err := f.check(b.name, b.values); err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
		for _, v := range b.values {
			widest = max(widest, label.Width(number(v))*fontSlack)
		}
	}
	f.labelSize = labelSize * width / widest // no wider than the bar
	for i, b := range bars {
		offset := width * (vg.Length(i) - vg.Length(len(bars)-1)/2)
		if err := f.addBar(i, b, width, offset); err != nil {
			return fmt.Errorf("plot %s: %s: %w", file, b.name, err)
		}
	}
	return f.write(file)
}

// plotLines draws lines over ticks that stand at equal distances, with their values, into an SVG file; x and y say what the
// axes are. A line has a gap where something was not measured.
func plotLines(file, title, x, y string, ticks []string, lines ...line) error {
	f := newFigure(title, ticks)
	f.X.Label.Text, f.Y.Label.Text = x, y
	for _, l := range lines {
		if err := f.check(l.name, l.values); err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
	}
	for i, l := range lines {
		if err := f.addLine(i, l, lines); err != nil {
			return fmt.Errorf("plot %s: %s: %w", file, l.name, err)
		}
	}
	return f.write(file)
}

// figure is a plot over named places, with its legend below.
type figure struct {
	*plot.Plot

	places  []string
	legend  []entry
	largest float64

	labelSize vg.Length
}

// entry is one of the legend.
type entry struct {
	name   string
	thumbs []plot.Thumbnailer
}

func newFigure(title string, places []string) *figure {
	f := &figure{Plot: plot.New(), places: places, labelSize: labelSize}
	f.Title.Text = title
	f.Title.Padding = 3 * vg.Millimeter
	f.NominalX(places...)
	f.X.Min, f.X.Max = -0.5, float64(len(places))-0.5
	f.X.Label.Padding = vg.Millimeter
	f.Y.Tick.Marker = separated{}
	setFont(&f.Title.TextStyle, 13)
	setFont(&f.X.Label.TextStyle, 11)
	setFont(&f.Y.Label.TextStyle, 11)
	setFont(&f.X.Tick.Label, 11)
	setFont(&f.Y.Tick.Label, 10)
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal.Color = color.Gray{Y: 0xcc}
	f.Add(grid)
	return f
}

func setFont(style *text.Style, size vg.Length) {
	style.Font.Typeface, style.Font.Variant, style.Font.Size = "Liberation", "Sans", size
}

// check says whether the values can be drawn, of which there must be as many as places.
func (f *figure) check(name string, values []float64) error {
	if len(values) != len(f.places) {
		return fmt.Errorf("%s has %d values for %d places", name, len(values), len(f.places))
	}
	for _, v := range values {
		if v < 0 || math.IsInf(v, 0) {
			return fmt.Errorf("%s is %v", name, v)
		}
		if !math.IsNaN(v) {
			f.largest = max(f.largest, v)
		}
	}
	return nil
}

func (f *figure) addBar(i int, b bar, width, offset vg.Length) error {
	heights := make(plotter.Values, len(b.values))
	labels := plotter.XYLabels{XYs: make(plotter.XYs, len(b.values)), Labels: make([]string, len(b.values))}
	for n, v := range b.values {
		labels.XYs[n].X = float64(n)
		labels.Labels[n] = "–"
		if !math.IsNaN(v) {
			heights[n], labels.XYs[n].Y, labels.Labels[n] = v, v, number(v)
		}
	}
	chart, err := plotter.NewBarChart(heights, width*9/10)
	if err != nil {
		return err
	}
	chart.Color, chart.LineStyle.Width, chart.Offset = palette[i%len(palette)], 0, offset
	f.Add(chart)
	f.legend = append(f.legend, entry{b.name, []plot.Thumbnailer{chart}})
	return f.addLabels(labels, color.Black, vg.Point{X: offset, Y: vg.Millimeter}, text.YBottom)
}

// addLine adds one of the lines. The lowest at a tick has its value below it, the others above.
func (f *figure) addLine(i int, l line, lines []line) error {
	style := plotter.DefaultLineStyle
	style.Color, style.Width = palette[i%len(palette)], vg.Points(2)
	glyph := vgdraw.GlyphStyle{Color: style.Color, Radius: vg.Points(3.5), Shape: vgdraw.CircleGlyph{}}
	var points plotter.XYs
	var above, below plotter.XYLabels
	for n, v := range l.values {
		if !math.IsNaN(v) {
			labels := &above
			if len(lines) > 1 && !slices.ContainsFunc(lines, func(other line) bool { return other.values[n] < v }) {
				labels = &below
			}
			points = append(points, plotter.XY{X: float64(n), Y: v})
			labels.XYs, labels.Labels = append(labels.XYs, points[len(points)-1]), append(labels.Labels, number(v))
		}
		if atEnd := n == len(l.values)-1 || math.IsNaN(v); !atEnd || points == nil {
			continue
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		drawn.LineStyle, dots.GlyphStyle, points = style, glyph, nil
		f.Add(drawn, dots)
	}
	f.legend = append(f.legend, entry{l.name, []plot.Thumbnailer{&plotter.Line{LineStyle: style}, &plotter.Scatter{GlyphStyle: glyph}}})
	return errors.Join(
		f.addLabels(above, style.Color, vg.Point{Y: 2 * vg.Millimeter}, text.YBottom),
		f.addLabels(below, style.Color, vg.Point{Y: -2 * vg.Millimeter}, text.YTop))
}

func (f *figure) addLabels(at plotter.XYLabels, c color.Color, offset vg.Point, align text.YAlignment) error {
	if len(at.Labels) == 0 {
		return nil
	}
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return err
	}
	labels.Offset = offset
	for n := range labels.TextStyle {
		setFont(&labels.TextStyle[n], f.labelSize)
		labels.TextStyle[n].Color, labels.TextStyle[n].XAlign, labels.TextStyle[n].YAlign = c, text.XCenter, align
	}
	f.Add(labels)
	return nil
}

func (f *figure) write(path string) error {
	if f.largest == 0 {
		return fmt.Errorf("plot %s: nothing was measured", path)
	}
	f.Y.Min, f.Y.Max = 0, f.largest*1.1 // room for the labels
	canvas := vgsvg.New(figureWidth, figureHeight)
	all := vgdraw.New(canvas)
	all.FillPolygon(color.White, []vg.Point{
		all.Min, {X: all.Max.X, Y: all.Min.Y}, all.Max, {X: all.Min.X, Y: all.Max.Y},
	})
	inner := vgdraw.Crop(all, figureMargin, -figureMargin, figureMargin, -figureMargin)
	f.Draw(vgdraw.Crop(inner, 0, 0, f.drawLegend(inner)+figureMargin, 0))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	return os.WriteFile(path, bytes.ReplaceAll(svg.Bytes(), []byte(fontFamily), []byte(fontStack)), 0o644)
}

// drawLegend draws the legend along the lower edge, row by row, in as many columns as the names leave room for, and
// returns how high it is.
func (f *figure) drawLegend(c vgdraw.Canvas) vg.Length {
	style := plot.NewLegend()
	style.Top, style.Left, style.Padding = true, true, 2*vg.Millimeter
	setFont(&style.TextStyle, 10)
	var widest vg.Length
	for _, e := range f.legend {
		widest = max(widest, style.ThumbnailWidth+style.TextStyle.Width(e.name)*fontSlack+figureMargin)
	}
	width, height := c.Max.X-c.Min.X, c.Max.Y-c.Min.Y
	columns := min(max(int(width/widest), 1), len(f.legend))
	rows := (len(f.legend) + columns - 1) / columns
	for i := range columns {
		legend := style
		for n := i; n < len(f.legend); n += columns {
			legend.Add(f.legend[n].name, f.legend[n].thumbs...)
		}
		left := width / vg.Length(columns) * vg.Length(i)
		legend.Draw(vgdraw.Crop(c, left, 0, 0, legendRow*vg.Length(rows)-height))
	}
	return legendRow * vg.Length(rows)
}

// separated is gonum's own ticks, with separators in large numbers.
type separated struct{}

func (separated) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = number(t.Value)
		}
	}
	return ticks
}

// number has three digits that count, and those before the point.
func number(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

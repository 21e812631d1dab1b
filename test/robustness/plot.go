package main

import (
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotSoak draws memory and goroutines over time, one above the other.
func plotSoak(path string, samples []sample) error {
	memory, goroutines := plot.New(), plot.New()
	memory.Title.Text = "A server at steady load"
	memory.Y.Label.Text = "MiB"
	goroutines.X.Label.Text, goroutines.Y.Label.Text = "minutes", "goroutines"
	for _, p := range []*plot.Plot{memory, goroutines} {
		p.X.Min, p.Y.Min = 0, 0
		p.Add(plotter.NewGrid())
	}
	for _, l := range []struct {
		plot  *plot.Plot
		name  string
		color color.Color
		value func(sample) float64
	}{
		{memory, "resident", color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}, func(s sample) float64 { return mib(s.resident) }},
		{memory, "heap in use", color.RGBA{R: 0x1e, G: 0x6f, B: 0xd9, A: 0xff}, func(s sample) float64 { return mib(s.heap) }},
		{goroutines, "", color.RGBA{R: 0x1e, G: 0x6f, B: 0xd9, A: 0xff}, func(s sample) float64 { return float64(s.goroutines) }},
	} {
		points := make(plotter.XYs, len(samples))
		for i, s := range samples {
			points[i] = plotter.XY{X: s.at.Minutes(), Y: l.value(s)}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.Color = l.color
		l.plot.Add(line)
		if l.name != "" {
			l.plot.Legend.Add(l.name, line)
		}
	}
	memory.Legend.Top = true
	for _, p := range []*plot.Plot{memory, goroutines} {
		p.Y.Max *= 1.4 // room for the legend
	}
	canvas := vgsvg.New(16*vg.Centimeter, 14*vg.Centimeter)
	tiles := vgdraw.Tiles{Rows: 2, Cols: 1, PadX: vg.Millimeter, PadY: 4 * vg.Millimeter}
	areas := plot.Align([][]*plot.Plot{{memory}, {goroutines}}, tiles, vgdraw.New(canvas))
	memory.Draw(areas[0][0])
	goroutines.Draw(areas[1][0])
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		return err
	}
	return file.Close()
}

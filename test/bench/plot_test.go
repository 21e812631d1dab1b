package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBars(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bars.svg")
	err := plotBars(file, "Acks of durable frames", "acks/s", []string{"SQLite", "PostgreSQL"}, []bar{
		{"one INSERT a frame, 1 connection", []float64{4730, 1250}},
		{"one INSERT a frame, 32 connections", []float64{math.NaN(), 15925}},
		{"Collaboard", []float64{48306, 79265}},
		{"JetStream, fsync always", []float64{16673, 13174}},
		{"JetStream, fsync every 2 minutes", []float64{158622, 1169886}},
		{"the store's own commits of 2,048 < a ceiling & no more", []float64{101035, 0.5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := textsOf(t, file)
	wantTexts(t, texts, "Acks of durable frames", "acks/s", "SQLite", "PostgreSQL", "Collaboard", "one INSERT a frame, 1 connection",
		"the store's own commits of 2,048 < a ceiling & no more", "4,730", "1,250", "–", "79,265", "158,622", "1,169,886", "0.5")
	if n := texts["–"]; n != 1 {
		t.Errorf("%d bars are shown as not measured, want 1", n)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lines.svg")
	err := plotLines(file, "What a frame costs on a long log", "frames in the log", "ms", []string{"10,000", "100,000", "1,000,000"},
		line{"SQLite", []float64{0.39, 0.4, 0.41}},
		line{"PostgreSQL", []float64{0.59, math.NaN(), 0.61}},
		line{"nothing", []float64{math.NaN(), math.NaN(), math.NaN()}})
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, textsOf(t, file), "What a frame costs on a long log", "frames in the log", "ms", "10,000", "1,000,000", "SQLite",
		"PostgreSQL", "nothing", "0.39", "0.4", "0.41", "0.59", "0.61")
}

func TestWhatCannotBeDrawn(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]float64{
		"too few": {1}, "too many": {1, 2, 3}, "negative": {1, -1}, "infinite": {1, math.Inf(1)}, "nothing": {math.NaN(), math.NaN()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "figure.svg")
			if err := plotBars(file, "", "", []string{"a", "b"}, []bar{{"x", values}}); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("bars: %v", err)
			}
			if err := plotLines(file, "", "", "", []string{"a", "b"}, line{"x", values}); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("lines: %v", err)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a file all the same: %v", err)
			}
		})
	}
	if err := plotBars(filepath.Join(t.TempDir(), "no", "such.svg"), "", "", []string{"a"}, []bar{{"x", []float64{1}}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("into a directory that is not there: %v", err)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"0": 0, "0.05": 0.05, "0.174": 0.1737, "22.1": 22.13, "99.9": 99.94, "100": 99.96, "999": 999.4, "1,000": 999.6, "47,306": 47305.9,
		"1,027,506": 1027506, "200,000": 2e5,
	} {
		if got := number(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

// textsOf reads a whole SVG, and returns how often it shows which text.
func textsOf(t *testing.T, file string) map[string]int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	texts := map[string]int{}
	root := ""
	for in := xml.NewDecoder(f); ; {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if root == "" {
				root = token.Name.Local
			}
		case xml.CharData:
			texts[strings.TrimSpace(string(token))]++
		}
	}
	if root != "svg" {
		t.Errorf("the root is %q", root)
	}
	return texts
}

func wantTexts(t *testing.T, texts map[string]int, want ...string) {
	t.Helper()
	for _, text := range want {
		if texts[text] == 0 {
			t.Errorf("%q is not shown; there are %v", text, texts)
		}
	}
}

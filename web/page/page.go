// Package page holds the built whiteboard page, for the server to serve. It compiles without Node: what is embedded then
// has no index.html, and the server says how to build it.
package page

import (
	"embed"
	"io/fs"
)

// dist is what `make web` leaves there: index.html, and assets whose names change with their content. A file that is worth
// compressing is there only compressed, with ".gz" at the end of its name.
//
//go:embed all:dist
var dist embed.FS

// FS returns the page as it was built, or a file system without index.html.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is valid
	}
	return sub
}

// Package excalidraw is drawings of Excalidraw, as it keeps them in files, as objects and files of a board, and back. Objects
// are those that the whiteboard makes of the same elements: see web/page/src/whiteboard/mapping.ts.
package excalidraw

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

const (
	docType    = "excalidraw"
	docVersion = 2 // of the format; others may mean other things by the same names
	sticky     = "sticky_note"

	// The props of an image that say where its file is.
	fileSHA256    = "fileSha256"
	fileMediaType = "fileMediaType"
)

// Drawing is what is on a board.
type Drawing struct {
	Objects []*collaboardv1.Object     // from the bottom to the top; those that are deleted are left out
	Files   []*collaboardv1.ImportFile // that images are of, each once
}

// document is the file.
type document struct {
	Type     string           `json:"type"`
	Version  int              `json:"version"`
	Source   string           `json:"source"`
	Elements []map[string]any `json:"elements"`
	AppState map[string]any   `json:"appState"`
	Files    map[string]file  `json:"files"`
}

type file struct {
	ID       string `json:"id"`
	MimeType string `json:"mimeType"`
	DataURL  string `json:"dataURL"`
	Created  any    `json:"created"` // Unix time, in milliseconds
}

// own are the keys of an element that are fields of an object of their own.
func own(o *collaboardv1.Object) map[string]*float64 {
	return map[string]*float64{"x": &o.X, "y": &o.Y, "width": &o.Width, "height": &o.Height, "angle": &o.Rotation}
}

// notProps are no props: fields of their own, and what follows from the rest, or is each client's own business.
func notProps(key string) bool {
	switch key {
	case "x", "y", "width", "height", "angle", "index", "type", "isDeleted",
		"version", "versionNonce", "updated", "lastCommittedPoint", "boundElements", "status":
		return true
	default:
		return false
	}
}

// Decode reads a drawing. Whether a board would take its objects is not looked at.
func Decode(text []byte) (*Drawing, error) {
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("is not a drawing of Excalidraw: %w", err)
	}
	if doc.Type != docType {
		return nil, errors.New("is not a drawing of Excalidraw")
	}
	if doc.Version != docVersion {
		return nil, fmt.Errorf("is of version %d of Excalidraw's format, which is not known here", doc.Version)
	}
	d := &Drawing{}
	files := map[string]*collaboardv1.ImportFile{} // by Excalidraw's ids
	sums := map[string]bool{}
	for i, element := range doc.Elements {
		if isTrue(element["isDeleted"]) {
			continue
		}
		o, err := objectOf(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		d.Objects = append(d.Objects, o)
		id, _ := element["fileId"].(string)
		f, ok := doc.Files[id]
		if element["type"] != "image" || !ok {
			continue
		}
		if files[id] == nil {
			if files[id], err = fileOf(f); err != nil {
				return nil, fmt.Errorf("file %.64q: %w", id, err)
			}
			if !sums[files[id].GetSha256()] {
				sums[files[id].GetSha256()] = true
				d.Files = append(d.Files, files[id])
			}
		}
		o.Props[fileSHA256] = structpb.NewStringValue(files[id].GetSha256())
		o.Props[fileMediaType] = structpb.NewStringValue(files[id].GetMediaType())
	}
	return d, nil
}

// objectOf is the object of an element, but for its place: the order of the elements is what is drawn, whatever their indices
// say.
func objectOf(element map[string]any) (*collaboardv1.Object, error) {
	id, _ := element["id"].(string)
	kind, _ := element["type"].(string)
	if id == "" || kind == "" {
		return nil, errors.New("has no id, or no type")
	}
	if custom, _ := element["customData"].(map[string]any); kind == "rectangle" && isTrue(custom["sticky"]) {
		kind = sticky
	}
	o := &collaboardv1.Object{Id: objectID(id), Kind: kind, Props: map[string]*structpb.Value{}}
	for key, field := range own(o) {
		n, ok := element[key].(float64)
		if !ok && element[key] != nil {
			return nil, fmt.Errorf("%s is no number", key)
		}
		*field = n
	}
	if groups, _ := element["groupIds"].([]any); len(groups) > 0 {
		if outermost, _ := groups[len(groups)-1].(string); outermost != "" {
			o.GroupId = objectID(outermost)
		}
	}
	for key, value := range element {
		if notProps(key) || value == nil || key == "originalText" && isUnwrapped(element) {
			continue
		}
		v, err := structpb.NewValue(value)
		if err != nil {
			return nil, fmt.Errorf("%.64q: %w", key, err)
		}
		o.Props[key] = v
	}
	return o, nil
}

func isTrue(value any) bool {
	b, _ := value.(bool)
	return b
}

// isUnwrapped says whether an element's original text is its text: the longest ones fit into an object only once.
func isUnwrapped(element map[string]any) bool {
	text, ok := element["text"].(string)
	original, _ := element["originalText"].(string)
	return ok && text == original
}

// fileOf reads what a data: URL holds.
func fileOf(f file) (*collaboardv1.ImportFile, error) {
	rest, ok := strings.CutPrefix(f.DataURL, "data:")
	head, body, found := strings.Cut(rest, ",")
	if !ok || !found {
		return nil, errors.New("has no data: URL")
	}
	mediaType, params, _ := strings.Cut(head, ";")
	var content []byte
	var err error
	if strings.HasSuffix(strings.ToLower(";"+params), ";base64") {
		content, err = base64.StdEncoding.DecodeString(body)
	} else {
		var text string
		text, err = url.PathUnescape(body)
		content = []byte(text)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	return &collaboardv1.ImportFile{
		Sha256: hex.EncodeToString(sum[:]), MediaType: strings.ToLower(mediaType), Content: content,
	}, nil
}

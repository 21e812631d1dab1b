package excalidraw

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// namespace is that of the names of objects: see web/page/src/whiteboard/names.ts.
//
//nolint:gochecknoglobals // never written
var namespace = uuid.MustParse("5b0cf2a6-1d0f-4b64-9d7a-6f1c6c3a8f21")

// objectID is the id of the object of an element, or of a group.
func objectID(element string) string {
	if id, err := uuid.Parse(element); err == nil && id.String() == element {
		return element
	}
	return uuid.NewSHA1(namespace, []byte(element)).String()
}

// elementID is the id of the element that an object is shown as.
func elementID(o *collaboardv1.Object) string {
	if id := o.GetProps()["id"].GetStringValue(); id != "" && objectID(id) == o.GetId() {
		return id
	}
	return o.GetId()
}

// Shown says whether an object is one that Excalidraw can show.
func Shown(o *collaboardv1.Object) bool {
	switch o.GetKind() {
	case "rectangle", "diamond", "ellipse", "line", "arrow", "freedraw", "text", "image", "frame", "magicframe", "embeddable",
		"iframe", sticky:
		return !o.GetDeleted()
	default:
		return false
	}
}

// FileOf is the SHA-256 of the file that an object is an image of; empty for none.
func FileOf(o *collaboardv1.Object) string {
	if o.GetKind() != "image" || o.GetProps()["fileId"].GetStringValue() == "" {
		return ""
	}
	return o.GetProps()[fileSHA256].GetStringValue()
}

// Encode makes a drawing of those of the objects that are shown, in whatever order they come, and the files, by their SHA-256.
func Encode(objects []*collaboardv1.Object, files map[string]*collaboardv1.ImportFile) ([]byte, error) {
	objects = slices.DeleteFunc(slices.Clone(objects), func(o *collaboardv1.Object) bool { return !Shown(o) })
	slices.SortFunc(objects, func(a, b *collaboardv1.Object) int { return cmp.Compare(a.GetZIndex(), b.GetZIndex()) })
	doc := document{
		Type: docType, Version: docVersion, Source: "https://github.com/collaboard-io/collaboard",
		Elements: []map[string]any{}, AppState: map[string]any{"viewBackgroundColor": "#ffffff"}, Files: map[string]file{},
	}
	for _, o := range objects {
		doc.Elements = append(doc.Elements, elementOf(o))
		if f := files[FileOf(o)]; f != nil {
			id := o.GetProps()["fileId"].GetStringValue()
			doc.Files[id] = file{
				ID: id, MimeType: f.GetMediaType(), Created: o.GetCreatedAt().AsTime().UnixMilli(),
				DataURL: "data:" + f.GetMediaType() + ";base64," + base64.StdEncoding.EncodeToString(f.GetContent()),
			}
		}
	}
	bind(doc.Elements)
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode a drawing: %w", err)
	}
	return append(text, '\n'), nil
}

// elementOf is the element of an object. A prop cannot stand for what is a field of the object.
func elementOf(o *collaboardv1.Object) map[string]any {
	e := map[string]any{}
	for key, value := range o.GetProps() {
		if !notProps(key) && key != fileSHA256 && key != fileMediaType {
			e[key] = value.AsInterface()
		}
	}
	for key, field := range own(o) {
		e[key] = *field
	}
	e["id"], e["type"], e["index"], e["isDeleted"] = elementID(o), o.GetKind(), o.GetZIndex(), false
	e["version"], e["versionNonce"], e["updated"] = o.GetVersion(), o.GetUpdatedSeq(), o.GetUpdatedAt().AsTime().UnixMilli()
	switch o.GetKind() {
	case sticky:
		e["type"] = "rectangle"
	case "text":
		if e["originalText"] == nil {
			e["originalText"] = e["text"]
		}
	case "freedraw": // without it Excalidraw draws the stroke as one that goes on
		if points, _ := e["points"].([]any); len(points) > 0 {
			e["lastCommittedPoint"] = points[len(points)-1]
		}
	case "image":
		e["status"] = "pending"
		if FileOf(o) != "" {
			e["status"] = "saved"
		}
	}
	return e
}

// bind says in elements what is bound to them: it follows from the texts that are in them, and the arrows that end at them.
func bind(elements []map[string]any) {
	byID := map[string]map[string]any{}
	for _, e := range elements {
		e["boundElements"] = []map[string]any{}
		byID[e["id"].(string)] = e //nolint:forcetypeassert // elementOf made it
	}
	for _, e := range elements {
		var to []any
		switch e["type"] {
		case "text":
			to = []any{e["containerId"]}
		case "arrow":
			start, _ := e["startBinding"].(map[string]any)
			end, _ := e["endBinding"].(map[string]any)
			to = []any{start["elementId"], end["elementId"]}
		}
		last := ""
		for _, id := range to {
			name, _ := id.(string)
			if other := byID[name]; other != nil && name != last {
				bound, _ := other["boundElements"].([]map[string]any)
				other["boundElements"] = append(bound, map[string]any{"id": e["id"], "type": e["type"]})
				last = name
			}
		}
	}
}

package excalidraw_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/excalidraw"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func document(elements, files string) []byte {
	return []byte(`{"type":"excalidraw","version":2,"elements":[` + elements + `],"files":{` + files + `}}`)
}

// The objects are those that the whiteboard makes: the ids and kinds here are from its tests' rules.
func TestDecode(t *testing.T) {
	t.Parallel()
	png := base64.StdEncoding.EncodeToString([]byte("\x89PNG"))
	d, err := excalidraw.Decode(document(
		`{"id":"abc","type":"ellipse","x":1,"y":2,"width":3,"height":4,"angle":0.5,"index":"nonsense","isDeleted":false,"version":9,
			"versionNonce":8,"updated":7,"boundElements":[],"link":null,"groupIds":["in","out"],"opacity":100},
		{"id":"gone","type":"line","isDeleted":true},
		{"id":"6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01","type":"rectangle","customData":{"sticky":true}},
		{"id":"t","type":"text","text":"a","originalText":"a","lastCommittedPoint":[1,2]},
		{"id":"w","type":"text","text":"a\nb","originalText":"a b"},
		{"id":"i","type":"image","fileId":"f","status":"saved"},
		{"id":"j","type":"image","fileId":"g"},
		{"id":"k","type":"image","fileId":"none"}`,
		`"f":{"mimeType":"x","dataURL":"data:image/PNG;base64,`+png+`"},"g":{"dataURL":"data:image/png;base64,`+png+`"},"unused":{"dataURL":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	sum := d.Files[0].GetSha256()
	object := func(id, kind string, props map[string]any) *collaboardv1.Object {
		s, err := structpb.NewStruct(props)
		if err != nil {
			t.Fatal(err)
		}
		return &collaboardv1.Object{Id: id, Kind: kind, Props: s.GetFields()}
	}
	first := object("954bc0be-ab6c-5c07-8b5c-95d23927e7b0", "ellipse", map[string]any{"id": "abc", "groupIds": []any{"in", "out"}, "opacity": 100})
	first.X, first.Y, first.Width, first.Height, first.Rotation, first.GroupId = 1, 2, 3, 4, 0.5, "9e6af6be-08fb-5a61-8174-b7fe8fff58d2"
	want := []*collaboardv1.Object{
		first,
		object("6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01", "sticky_note", map[string]any{
			"id": "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01", "customData": map[string]any{"sticky": true},
		}),
		object("", "text", map[string]any{"id": "t", "text": "a"}),
		object("", "text", map[string]any{"id": "w", "text": "a\nb", "originalText": "a b"}),
		object("", "image", map[string]any{"id": "i", "fileId": "f", "fileSha256": sum, "fileMediaType": "image/png"}),
		object("", "image", map[string]any{"id": "j", "fileId": "g", "fileSha256": sum, "fileMediaType": "image/png"}),
		object("", "image", map[string]any{"id": "k", "fileId": "none"}),
	}
	got := d.Objects
	for i, o := range got {
		if want[i].GetId() == "" {
			want[i].Id = o.GetId()
		}
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if len(d.Files) != 1 || string(d.Files[0].GetContent()) != "\x89PNG" || len(sum) != 64 {
		t.Errorf("files: %v", d.Files)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	image := `{"id":"i","type":"image","fileId":"f"}`
	for name, test := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":        {nil, "is not a drawing"},
		"no JSON":        {[]byte("\x89PNG"), "is not a drawing"},
		"another":        {[]byte(`{"type":"excalidrawlib","version":2}`), "is not a drawing"},
		"an array":       {[]byte(`[]`), "is not a drawing"},
		"cut short":      {document(image, "")[:60], "is not a drawing"},
		"too new":        {[]byte(`{"type":"excalidraw","version":3}`), "is of version 3"},
		"no element":     {document(`7`, ""), "is not a drawing"},
		"no id":          {document(image+`,{"type":"line"}`, ""), "element 1: has no id"},
		"no type":        {document(`{"id":"x"}`, ""), "element 0: has no id, or no type"},
		"no number":      {document(`{"id":"x","type":"line","x":"1"}`, ""), "element 0: x is no number"},
		"no text":        {document(image, `"f":{"dataURL":7}`), "is not a drawing"},
		"no URL":         {document(image, `"f":{"dataURL":"https://example.org/"}`), `file "f": has no data: URL`},
		"no base64":      {document(image, `"f":{"dataURL":"data:image/png;base64,!"}`), `file "f": illegal base64`},
		"deeper than Go": {document(strings.Repeat("[", 20000), ""), "is not a drawing"},
		"strange texts":  {document(`{"id":"x","type":"text","text":{},"originalText":{},"containerId":[],"customData":[]},{}`, ""), "element 1"},
	} {
		if d, err := excalidraw.Decode(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want %q", name, d, err, test.want)
		}
	}
}

// What other programs put on a board must not make a drawing that is none.
func TestEncode(t *testing.T) {
	t.Parallel()
	props := func(text string) map[string]*structpb.Value {
		var s structpb.Struct
		if err := s.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return s.GetFields()
	}
	const a, b, c = "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01", "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a02", "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a03"
	text, err := excalidraw.Encode([]*collaboardv1.Object{
		{Id: c, Kind: "arrow", ZIndex: "a3", Props: props(`{"startBinding":{"elementId":"` + a + `"},"endBinding":{"elementId":"` + a + `"}}`)},
		{Id: b, Kind: "text", ZIndex: "a2", Props: props(`{"containerId":"` + a + `","text":"t","id":"stolen"}`)},
		{Id: a, Kind: "sticky_note", ZIndex: "a1", X: 1, Props: props(`{"x":7,"type":"line","boundElements":"x","containerId":[]}`)},
		{Id: "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a04", Kind: "text", Props: props(`{"containerId":{}}`)},
		{Id: "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a05", Kind: "video"},
		{Id: "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a06", Kind: "line", Deleted: true},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := excalidraw.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range d.Objects {
		got = append(got, fmt.Sprint(o.GetId()[35:], o.GetKind(), o.GetX()))
	}
	if diff := cmp.Diff([]string{"4text0", "1rectangle1", "2text0", "3arrow0"}, got); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{`"boundElements": [
        {
          "id": "` + b + `",
          "type": "text"
        },
        {
          "id": "` + c + `",
          "type": "arrow"
        }
      ]`, `"originalText": "t"`} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("%s is not once in\n%s", want, text)
		}
	}
}

package persistence

import (
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

//nolint:gochecknoglobals // a descriptor of the generated code, never written
var framePayload = (&collaboardv1.Frame{}).ProtoReflect().Descriptor().Oneofs().ByName("payload")

// KindOf returns what f carries, 0 for nothing.
func KindOf(f *collaboardv1.Frame) Kind {
	field := f.ProtoReflect().WhichOneof(framePayload)
	if field == nil {
		return 0
	}
	return Kind(field.Number())
}

// KindNamed returns the kind of the payload with this field name in Frame, 0 where there is none.
func KindNamed(name string) Kind {
	for i := range framePayload.Fields().Len() {
		if field := framePayload.Fields().Get(i); string(field.Name()) == name {
			return Kind(field.Number())
		}
	}
	return 0
}

package board

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

const (
	notUUID   = "must be a UUID"
	notFinite = "must be a finite number"
)

// checker collects what is wrong with the fields of one message. It costs nothing while all is well.
type checker struct {
	violations []*collaboardv1.FieldViolation
}

func (c *checker) check(ok bool, field, description string) {
	if !ok {
		c.violations = append(c.violations, &collaboardv1.FieldViolation{Field: field, Description: description})
	}
}

func (c *checker) err() *Error {
	if len(c.violations) == 0 {
		return nil
	}
	return &Error{Code: collaboardv1.ErrorCode_INVALID_FRAME, Violations: c.violations}
}

func (c *checker) uuid(field, s string) {
	_, ok := canonicalUUID(s)
	c.check(ok, field, notUUID)
}

func (c *checker) kind(s string) {
	c.check(text(s, MaxKindBytes), "kind", "must be 1 to 64 bytes of UTF-8")
}

func (c *checker) finite(field string, v float64) {
	c.check(!math.IsNaN(v) && !math.IsInf(v, 0), field, notFinite)
}

func (c *checker) group(s string) {
	if s != "" {
		c.uuid("group_id", s)
	}
}

func (c *checker) zIndex(s string) {
	if s != "" {
		c.check(len(s) <= MaxZIndexBytes && validKey(s), "z_index", "must be a fractional index of at most 256 bytes")
	}
}

func (c *checker) props(props map[string]*structpb.Value) {
	c.check(len(props) <= MaxProps, "props", "must be at most 256")
	for key := range props {
		if !text(key, MaxPropKeyBytes) {
			c.check(false, "props", "must have keys of 1 to 128 bytes of UTF-8")
			break
		}
	}
	path, problem := badFields(props, 1)
	c.check(problem == "", "props"+path, problem)
}

// checkObject checks what a client sets in an object.
func checkObject(o *collaboardv1.Object) *Error {
	if o == nil {
		return refuse(collaboardv1.ErrorCode_INVALID_FRAME, "", "is missing")
	}
	var c checker
	c.uuid("id", o.GetId())
	c.kind(o.GetKind())
	c.finite("x", o.GetX())
	c.finite("y", o.GetY())
	c.finite("width", o.GetWidth())
	c.finite("height", o.GetHeight())
	c.finite("rotation", o.GetRotation())
	c.zIndex(o.GetZIndex())
	c.group(o.GetGroupId())
	c.props(o.GetProps())
	return c.err()
}

// complete reports whether an object that passed checkObject also has what the server sets, in the form it sets it.
func complete(o *collaboardv1.Object) bool {
	id, _ := canonicalUUID(o.GetId())
	group, _ := canonicalUUID(o.GetGroupId())
	return id == o.GetId() && group == o.GetGroupId() && !hasNull(o.GetProps()) && o.GetVersion() > 0 &&
		mark{time: o.GetCreatedAt(), from: o.GetCreatedBy()}.valid() &&
		mark{time: o.GetUpdatedAt(), from: o.GetUpdatedBy()}.valid()
}

func checkUpdate(u *collaboardv1.ObjectUpdate) *Error {
	if u == nil {
		return refuse(collaboardv1.ErrorCode_INVALID_FRAME, "", "is missing")
	}
	var c checker
	c.uuid("id", u.GetId())
	if u.Kind != nil {
		c.kind(u.GetKind())
	}
	c.finite("x", u.GetX())
	c.finite("y", u.GetY())
	c.finite("width", u.GetWidth())
	c.finite("height", u.GetHeight())
	c.finite("rotation", u.GetRotation())
	c.zIndex(u.GetZIndex())
	c.group(u.GetGroupId())
	c.props(u.GetProps())
	c.check(u.Kind != nil || u.X != nil || u.Y != nil || u.Width != nil || u.Height != nil || u.Rotation != nil ||
		u.ZIndex != nil || u.GroupId != nil || len(u.GetProps()) > 0 || u.Deleted != nil,
		"", "must name a field to change")
	return c.err()
}

func checkDelete(d *collaboardv1.ObjectDelete) *Error {
	if d == nil {
		return refuse(collaboardv1.ErrorCode_INVALID_FRAME, "", "is missing")
	}
	var c checker
	c.uuid("id", d.GetId())
	return c.err()
}

func checkBatch(b *collaboardv1.ObjectBatch) *Error {
	var c checker
	c.check(len(b.GetOps()) >= 1 && len(b.GetOps()) <= MaxBatchOps, "ops", "must be 1 to 1,000")
	return c.err()
}

func checkChat(m *collaboardv1.ChatMessage) *Error {
	var c checker
	c.check(text(m.GetText(), MaxChatBytes), "text", "must be 1 to 16,384 bytes of UTF-8")
	return c.err()
}

func checkCustom(m *collaboardv1.Custom) *Error {
	var c checker
	c.check(text(m.GetType(), MaxCustomTypeBytes), "type", "must be 1 to 128 bytes of UTF-8")
	return c.err()
}

// valid reports whether the board can take on this mark.
func (m mark) valid() bool {
	return m.time.IsValid() && len(m.from) <= MaxSenderBytes && utf8.ValidString(m.from)
}

func text(s string, limit int) bool { return s != "" && len(s) <= limit && utf8.ValidString(s) }

// canonicalUUID returns the one spelling in which a board knows a UUID: 36 characters, lower case. uuid.Validate alone
// would also take URNs, braces and bare digits. What is no UUID comes back as it is.
func canonicalUUID(s string) (canonical string, ok bool) {
	if len(s) != 36 || uuid.Validate(s) != nil {
		return s, false
	}
	return strings.ToLower(s), true
}

func isNull(v *structpb.Value) bool {
	_, null := v.GetKind().(*structpb.Value_NullValue)
	return null
}

func hasNull(props map[string]*structpb.Value) bool {
	for _, value := range props {
		if isNull(value) {
			return true
		}
	}
	return false
}

// badValue looks for something wrong in a value at some depth: where it is, as a path from the value, and what.
func badValue(v *structpb.Value, depth int) (path, problem string) {
	if depth > MaxPropDepth {
		return "", "nests deeper than 16"
	}
	switch kind := v.GetKind().(type) {
	case nil:
		return "", "must have a kind"
	case *structpb.Value_NumberValue:
		if math.IsNaN(kind.NumberValue) || math.IsInf(kind.NumberValue, 0) {
			return "", notFinite
		}
	case *structpb.Value_StringValue:
		if !utf8.ValidString(kind.StringValue) {
			return "", "must be UTF-8"
		}
	case *structpb.Value_StructValue:
		if kind.StructValue == nil {
			return "", "is missing"
		}
		return badFields(kind.StructValue.GetFields(), depth+1)
	case *structpb.Value_ListValue:
		if kind.ListValue == nil {
			return "", "is missing"
		}
		for i, element := range kind.ListValue.GetValues() {
			if path, problem := badValue(element, depth+1); problem != "" {
				return fmt.Sprintf("[%d]%s", i, path), problem
			}
		}
	}
	return "", ""
}

// badFields is badValue for the values of a map, which are at this depth. Of several it returns the one with the least
// path, since a refusal must not depend on the order of a map.
func badFields(fields map[string]*structpb.Value, depth int) (path, problem string) {
	for key, value := range fields {
		at, bad := badValue(value, depth)
		if bad == "" && !utf8.ValidString(key) {
			bad = "must have a key of UTF-8"
		}
		if bad == "" {
			continue
		}
		// Quoted and cut short, any key is harmless in an error, which goes back to the client.
		if at = "[" + strconv.Quote(key[:min(len(key), 64)]) + "]" + at; problem == "" || at < path {
			path, problem = at, bad
		}
	}
	return path, problem
}

package history

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Digest is what two events have in common that tell of the same bytes: half of their SHA-256, in hex.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Encode is how everybody makes a message bytes to take the digest of: the same content gives the same bytes.
func Encode(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // no message of the contract that was decoded cannot be encoded
	}
	return b
}

// Content is the digest of what the server has to leave as it is: a chat message's text (the name of who sent it is
// the server's), and a custom frame. It is empty for others.
func Content(f *collaboardv1.Frame) string {
	switch p := f.GetPayload().(type) {
	case *collaboardv1.Frame_ChatMessage:
		return Digest([]byte(p.ChatMessage.GetText()))
	case *collaboardv1.Frame_Custom:
		return Digest(Encode(p.Custom))
	}
	return ""
}

// Seen is the digest of what one sees of a board: its objects from the bottom to the top, without what the server notes of
// changes.
func Seen(b *board.Board) string {
	var all []byte
	for o := range b.Stack() {
		o = proto.CloneOf(o)
		o.Version, o.CreatedAt, o.CreatedBy, o.CreatedSeq = 0, nil, "", 0
		o.UpdatedAt, o.UpdatedBy, o.UpdatedSeq = nil, "", 0
		all = append(all, Encode(&collaboardv1.ObjectCreate{Object: o})...)
	}
	return Digest(all)
}

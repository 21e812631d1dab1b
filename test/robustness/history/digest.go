package history

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"

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

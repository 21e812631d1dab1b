package board

import (
	"bytes"
	"crypto/sha256"

	"google.golang.org/protobuf/encoding/protowire"
)

// ChainBytes is how much longer a frame's encoding is for its chain.
const ChainBytes = len(chainTag) + sha256.Size

// chainTag begins the chain in a frame's encoding: field 100, of 32 bytes.
const chainTag = "\xa2\x06\x20"

// Chain is the SHA-256 of a frame and, through the chain of the frame before it, of all before it in the log. The zero value
// is for no chain: before the first frame, and of a frame from before there were any.
type Chain [sha256.Size]byte

// Next is the chain of the frame that follows, given as it is encoded without its chain.
func (c Chain) Next(frame []byte) (next Chain) {
	h := sha256.New()
	h.Write(c[:])
	h.Write(frame)
	h.Sum(next[:0])
	return next
}

// AppendTo appends the chain to its frame's encoding: in protobuf, what is appended to a message is one more field of it.
func (c Chain) AppendTo(frame []byte) []byte {
	return append(append(frame, chainTag...), c[:]...)
}

// SplitChain undoes AppendTo. What has no chain at its end is returned as it is.
func SplitChain(body []byte) (frame []byte, c Chain) {
	at := len(body) - ChainBytes
	if at < 0 || !bytes.HasPrefix(body[at:], []byte(chainTag)) {
		return body, c
	}
	// The last bytes of somebody's own data may look the same. They do not begin where another field ends.
	for frame = body[:at]; len(frame) > 0; {
		_, _, n := protowire.ConsumeField(frame)
		if n < 0 {
			return body, c
		}
		frame = frame[n:]
	}
	c = Chain(body[at+len(chainTag):])
	if c == (Chain{}) {
		return body, c
	}
	return body[:at], c
}

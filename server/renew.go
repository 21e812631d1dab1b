package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server/auth"
)

// renew lets the stream go on with another token, and returns when that ends. It is called between two frames: those that the
// client sent behind it are of the new token.
func (s *durableStream) renew(token string) (time.Time, error) {
	verifier := s.p.door.verifier
	if verifier == nil {
		return time.Time{}, invalid("session_renew", "this server asks for no tokens")
	}
	known, err := verifier.Verify(s.Context(), token)
	if err != nil {
		return time.Time{}, err
	}
	if known.User != s.sender.user {
		return time.Time{}, &auth.InvalidError{Reason: "the token is of another user"}
	}
	s.expireAt(known.Expires)
	return known.Expires, nil
}

// expireAt sets when the stream ends; never, where that is zero.
func (s *durableStream) expireAt(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = at
	if s.expiry != nil {
		s.expiry.Stop()
	}
	if !at.IsZero() {
		s.expiry = time.AfterFunc(time.Until(at), s.expire)
	}
}

// expire ends the stream, unless its token was renewed just now. What was read before is still answered.
func (s *durableStream) expire() {
	s.mu.Lock()
	ended := !s.expires.IsZero() && !time.Now().Before(s.expires)
	s.mu.Unlock()
	if ended {
		s.end(errTokenEnded)
	}
}

// renewed answers a session_renew.
func (s *session) renewed(req *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answerLocked(answer{message: &message{answers: req, frame: &collaboardv1.Frame{
		ParentId: req.frame.GetId(),
		Status:   collaboardv1.Status_STATUS_DONE,
		Payload:  &collaboardv1.Frame_SessionRenewed{SessionRenewed: &collaboardv1.SessionRenewed{ExpiresAt: timeProto(req.until)}},
	}}})
}

// timeProto is nil for the zero time.
func timeProto(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}

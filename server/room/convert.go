package room

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// BoardProto is a board as clients see it.
func BoardProto(b persistence.Board) *collaboardv1.Board {
	return &collaboardv1.Board{
		Id:          b.ID.String(),
		Name:        b.Name,
		Owner:       b.Owner,
		Epoch:       b.Epoch.String(),
		HeadSeq:     uint64(b.Head),
		FirstSeq:    uint64(b.First),
		ObjectCount: b.Objects,
		RetainLog:   b.RetainLog,
		CreatedAt:   timestamppb.New(b.CreatedAt),
		UpdatedAt:   timestamppb.New(b.UpdatedAt),
	}
}

package postgres

import (
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// array is a parameter of a statement, encoded as PostgreSQL has one-dimensional arrays in its binary protocol. pgx makes the
// same of a slice, with two allocations an element, which for the columns of a batch was a quarter of all that a server
// allocated.
type array struct{ encoded []byte }

const (
	arrayHeader   = 20 // dimensions, a flag for NULLs, the element's type, the length, the first index
	elementHeader = 4  // its length
)

// newArray is for n elements of this type, which take so many bytes altogether.
func newArray(element uint32, n, bytes int) array {
	b := make([]byte, 0, arrayHeader+n*elementHeader+bytes)
	if n == 0 {
		b = binary.BigEndian.AppendUint32(b, 0) // no dimension
	} else {
		b = binary.BigEndian.AppendUint32(b, 1)
	}
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, element)
	if n > 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		b = binary.BigEndian.AppendUint32(b, 1)
	}
	return array{b}
}

func (a *array) bytes(v []byte) {
	a.encoded = append(binary.BigEndian.AppendUint32(a.encoded, uint32(len(v))), v...)
}

func (a *array) text(v string) {
	a.encoded = append(binary.BigEndian.AppendUint32(a.encoded, uint32(len(v))), v...)
}

func (a *array) int64(v int64) {
	a.encoded = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(a.encoded, 8), uint64(v))
}

func (a *array) int16(v int16) {
	a.encoded = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(a.encoded, 2), uint16(v))
}

// time takes years 1 to 9999. PostgreSQL counts microseconds since 2000.
func (a *array) time(v time.Time) { a.int64(v.UnixMicro() - postgresEpoch) }

const postgresEpoch = 946_684_800_000_000

// arrayCodec is pgx's codec of an array type, which sends an array as it is.
type arrayCodec struct{ *pgtype.ArrayCodec }

// PreferredFormat implements pgtype.Codec.
func (arrayCodec) PreferredFormat() int16 { return pgx.BinaryFormatCode }

// PlanEncode implements pgtype.Codec.
func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(array); ok && format == pgx.BinaryFormatCode {
		return encodeArray{}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

type encodeArray struct{}

// Encode implements pgtype.EncodePlan.
func (encodeArray) Encode(value any, buf []byte) ([]byte, error) {
	return append(buf, value.(array).encoded...), nil //nolint:forcetypeassert // PlanEncode looked
}

// useArrays lets the connection's statements have arrays as parameters.
func useArrays(conn *pgx.Conn) {
	for _, oid := range []uint32{
		pgtype.UUIDArrayOID, pgtype.Int8ArrayOID, pgtype.Int2ArrayOID, pgtype.TimestamptzArrayOID, pgtype.TextArrayOID, pgtype.ByteaArrayOID,
	} {
		t, _ := conn.TypeMap().TypeForOID(oid)
		conn.TypeMap().RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrayCodec{t.Codec.(*pgtype.ArrayCodec)}}) //nolint:forcetypeassert // pgx's own
	}
}

package postgres

import "github.com/jackc/pgx/v5/pgxpool"

// Pool is for tests that look at the sessions of a store.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Statements of the store whose plans matter, with arguments.
var Statements = map[string][2]string{
	"lock":     {lockSQL, `ARRAY['00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002']::uuid[]`},
	"known":    {knownSQL, `ARRAY['00000000-0000-0000-0000-000000000001']::uuid[], ARRAY[gen_random_uuid()], '{00000000-0000-0000-0000-000000000001}'::uuid[]`},
	"missed":   {missedSQL, `'00000000-0000-0000-0000-000000000001', 1, 9223372036854775807, 10, 1000`},
	"grow":     {growTotalsSQL, `'00000000-0000-0000-0000-000000000001', 1, 1`},
	"hidden":   {lockHiddenSQL, `ARRAY['00000000-0000-0000-0000-000000000001']::uuid[]`},
	"next":     {nextFilesSQL, `'00000000-0000-0000-0000-000000000001', '\x00'`},
	"copy":     {copyFilesSQL, `'00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', '\x00', '\x01'`},
	"file":     {fileSQL, `'00000000-0000-0000-0000-000000000001', '\x00'`},
	"piece":    {pieceSQL, `'00000000-0000-0000-0000-000000000001', '\x00', 0, 1`},
	"snapshot": {readSnapshotSQL, `'00000000-0000-0000-0000-000000000001', 1`},
	"drop":     {dropSnapshotsSQL, `'00000000-0000-0000-0000-000000000001'`},
	"base":     {baseSQL, `'00000000-0000-0000-0000-000000000001', 1, 2`},
	"remove":   {removeSQL, `'00000000-0000-0000-0000-000000000001', 1`},
	"usage":    {usageSQL, `'00000000-0000-0000-0000-000000000001'`},
	"purge":    {purgeFramesSQL, `'00000000-0000-0000-0000-000000000001', 1`},
	"extend":   {extendSQL, `ARRAY['00000000-0000-0000-0000-000000000001']::uuid[], ARRAY[1], ARRAY[2], ARRAY[now()]`},
}

var Classify = classify

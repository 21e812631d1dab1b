-- +goose Up

-- SQLite has no lock that outlives a transaction, so two processes may run the migrations of one file at once. Each
-- migration is one immediate transaction that ends with its row here: whoever comes second fails on this index, as a
-- whole, and finds on its next look that there is nothing left to do.
CREATE UNIQUE INDEX collaboard_schema_version ON collaboard_schema (version_id);

-- Ids are 16 bytes, times microseconds since 1970 in UTC.
CREATE TABLE boards (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name         TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    epoch        BLOB    NOT NULL CHECK (length(epoch) = 16),
    head_seq     INTEGER NOT NULL DEFAULT 0,
    first_seq    INTEGER NOT NULL DEFAULT 1,
    object_count INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    deleted_at   INTEGER
) STRICT, WITHOUT ROWID;

-- WITHOUT ROWID keeps a board's log together, in order, with its bodies: a range is read from neighbouring pages, and a
-- frame costs two B-tree entries instead of three.
CREATE TABLE frames (
    board_id BLOB    NOT NULL,
    seq      INTEGER NOT NULL,
    id       BLOB    NOT NULL CHECK (length(id) = 16),
    time     INTEGER NOT NULL,
    sender   TEXT    NOT NULL,
    kind     INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (board_id, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX frames_board_id_id ON frames (board_id, id);

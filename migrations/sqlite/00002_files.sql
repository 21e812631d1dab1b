-- +goose Up

-- With a rowid, unlike the other tables: their rows are small, and an index of rows this large would not be one. The
-- content comes last, so that what stands before it is read without it.
CREATE TABLE files (
    board_id   BLOB    NOT NULL,
    sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
    media_type TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    content    BLOB    NOT NULL,
    PRIMARY KEY (board_id, sha256)
) STRICT;

-- How much a board holds.
CREATE TABLE file_totals (
    board_id BLOB    NOT NULL PRIMARY KEY,
    files    INTEGER NOT NULL,
    bytes    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Up

-- The state of a board at a seq, so that a load folds the log from there. It can be lost: the log has everything. With a
-- rowid and the body last, as in files: rows are large.
CREATE TABLE snapshots (
    board_id   BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    epoch      BLOB    NOT NULL CHECK (length(epoch) = 16),
    created_at INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    PRIMARY KEY (board_id, seq)
) STRICT;

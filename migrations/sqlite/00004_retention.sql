-- +goose Up

-- The ids of frames that were removed from the begin of their log: an id is known for ever.
CREATE TABLE trimmed (
    board_id BLOB    NOT NULL,
    id       BLOB    NOT NULL CHECK (length(id) = 16),
    seq      INTEGER NOT NULL,
    PRIMARY KEY (board_id, id)
) STRICT, WITHOUT ROWID;

-- The state of a board at the frame with which its trimmed log begins. Unlike a snapshot it cannot be lost: what came
-- before that frame is nowhere else.
CREATE TABLE bases (
    board_id   BLOB    NOT NULL PRIMARY KEY,
    seq        INTEGER NOT NULL,
    epoch      BLOB    NOT NULL CHECK (length(epoch) = 16),
    created_at INTEGER NOT NULL,
    body       BLOB    NOT NULL
) STRICT;

-- How much of its log the board keeps, empty for what the servers say; and whether some of it is gone, deleted.
ALTER TABLE boards ADD COLUMN retain_log TEXT NOT NULL DEFAULT '';
ALTER TABLE boards ADD COLUMN purging INTEGER NOT NULL DEFAULT 0;

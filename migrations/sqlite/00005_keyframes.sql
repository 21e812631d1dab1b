-- +goose Up

-- A keyframe is a snapshot that stays while its log does, so that the state of long ago is folded from near it. The table
-- is made anew, for the body to come last: a column behind it would be read through it.
CREATE TABLE snapshots_with_keyframes (
    board_id   BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    epoch      BLOB    NOT NULL CHECK (length(epoch) = 16),
    created_at INTEGER NOT NULL,
    keyframe   INTEGER NOT NULL DEFAULT 0,
    body       BLOB    NOT NULL,
    PRIMARY KEY (board_id, seq)
) STRICT;

INSERT INTO snapshots_with_keyframes (board_id, seq, epoch, created_at, body)
SELECT board_id, seq, epoch, created_at, body FROM snapshots;

DROP TABLE snapshots;

ALTER TABLE snapshots_with_keyframes RENAME TO snapshots;

-- +goose Up

-- The state of a board at a seq, so that a load folds the log from there. It can be lost: the log has everything.
CREATE TABLE snapshots (
    board_id   uuid        NOT NULL,
    seq        bigint      NOT NULL,
    epoch      uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    body       bytea       NOT NULL,
    PRIMARY KEY (board_id, seq)
);

-- Bodies are compressed already. EXTERNAL does not try to do it again, and their length is known without reading them.
ALTER TABLE snapshots ALTER COLUMN body SET STORAGE EXTERNAL;

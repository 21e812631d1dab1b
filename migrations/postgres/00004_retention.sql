-- +goose Up

-- The ids of frames that were removed from the begin of their log: an id is known for ever.
CREATE TABLE trimmed (
    board_id uuid   NOT NULL,
    id       uuid   NOT NULL,
    seq      bigint NOT NULL,
    PRIMARY KEY (board_id, id)
);

-- The state of a board at the frame with which its trimmed log begins. Unlike a snapshot it cannot be lost: what came
-- before that frame is nowhere else.
CREATE TABLE bases (
    board_id   uuid        NOT NULL PRIMARY KEY,
    seq        bigint      NOT NULL,
    epoch      uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    body       bytea       NOT NULL
);

-- As in snapshots.
ALTER TABLE bases ALTER COLUMN body SET STORAGE EXTERNAL;

-- How much of its log the board keeps, empty for what the servers say; and whether some of it is gone, deleted.
ALTER TABLE boards ADD COLUMN retain_log text NOT NULL DEFAULT '', ADD COLUMN purging boolean NOT NULL DEFAULT false;

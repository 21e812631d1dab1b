-- +goose Up

-- Every commit updates the rows of its boards, and none of the columns that it changes is in an index: while a page has
-- room for the new version, the update is heap-only and leaves the index alone. Half of each page is kept free for that.
-- The dead versions are pruned by the next visitor of the page; autovacuum comes early all the same, since a table that
-- is this small and this busy should not wait until a fifth of it is dead.
CREATE TABLE boards (
    id           uuid        NOT NULL PRIMARY KEY,
    name         text        NOT NULL,
    owner        text        NOT NULL,
    epoch        uuid        NOT NULL,
    head_seq     bigint      NOT NULL DEFAULT 0,
    first_seq    bigint      NOT NULL DEFAULT 1,
    object_count bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.02
);

CREATE TABLE frames (
    board_id uuid        NOT NULL,
    seq      bigint      NOT NULL,
    id       uuid        NOT NULL,
    time     timestamptz NOT NULL,
    sender   text        NOT NULL,
    kind     smallint    NOT NULL,
    body     bytea       NOT NULL,
    PRIMARY KEY (board_id, seq),
    CONSTRAINT frames_board_id_id UNIQUE (board_id, id)
);

-- Bodies are small protobuf messages, and PostgreSQL compresses only rows beyond two kilobytes, while the transaction
-- holds its locks. EXTERNAL stores the few large ones as they are: no time spent compressing under the lock, none
-- decompressing what goes to the wire untouched, and their length is known without reading them.
ALTER TABLE frames ALTER COLUMN body SET STORAGE EXTERNAL;

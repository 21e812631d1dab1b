-- +goose Up

CREATE TABLE files (
    board_id   uuid        NOT NULL,
    sha256     bytea       NOT NULL,
    media_type text        NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL,
    content    bytea       NOT NULL,
    PRIMARY KEY (board_id, sha256),
    CONSTRAINT files_sha256_length CHECK (octet_length(sha256) = 32)
);

-- Images are compressed already. EXTERNAL does not try to do it again, and a piece of a content is read without the rest.
ALTER TABLE files ALTER COLUMN content SET STORAGE EXTERNAL;

-- How much a board holds, and the lock under which that grows. It is not the row in boards: there a commit of frames
-- would wait for the commit of a file.
CREATE TABLE file_totals (
    board_id uuid   NOT NULL PRIMARY KEY,
    files    bigint NOT NULL,
    bytes    bigint NOT NULL
);

-- +goose Up

-- Moments of a board that can be found again: those that people named, and, without a name, those that servers noted.
CREATE TABLE savepoints (
    board_id   uuid        NOT NULL,
    seq        bigint      NOT NULL,
    name       text        NOT NULL,
    created_by text        NOT NULL,
    time       timestamptz NOT NULL,
    PRIMARY KEY (board_id, seq)
);

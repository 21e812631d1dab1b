-- +goose Up

-- Moments of a board that can be found again: those that people named, and, without a name, those that servers noted.
CREATE TABLE savepoints (
    board_id   BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    time       INTEGER NOT NULL,
    PRIMARY KEY (board_id, seq)
) STRICT, WITHOUT ROWID;

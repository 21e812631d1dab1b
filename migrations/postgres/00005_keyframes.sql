-- +goose Up

-- A keyframe is a snapshot that stays while its log does, so that the state of long ago is folded from near it.
ALTER TABLE snapshots ADD COLUMN keyframe boolean NOT NULL DEFAULT false;

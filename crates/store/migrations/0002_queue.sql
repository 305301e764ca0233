-- The queue: a task's turn, the order in which steps were asked for, and how long holds have kept an agent stopped.

ALTER TABLE tasks ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal';

-- Counts up with each step that is asked for. Times would not do: a clock may be set back.
ALTER TABLE steps ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
UPDATE steps SET place = rowid;
CREATE INDEX steps_by_place ON steps (place);

-- In this attempt, in milliseconds, without the hold that lasts; and since when that one does.
ALTER TABLE steps ADD COLUMN held_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN held_at INTEGER;

-- What counts towards the limit of disk, when it was last looked at; and how much the home held when the attempt began.
ALTER TABLE steps ADD COLUMN disk_bytes INTEGER;
ALTER TABLE steps ADD COLUMN home_bytes_before INTEGER;

-- Retention: whether a person has looked at a run since it ended, what is kept of it, and that it was taken.

-- When a person opened it last, after its end.
ALTER TABLE runs ADD COLUMN seen_at INTEGER;
-- What its outputs and workspaces take, measured after its end.
ALTER TABLE runs ADD COLUMN kept_bytes INTEGER;
-- When it was decided that they go: written down before anything is deleted.
ALTER TABLE runs ADD COLUMN taken_at INTEGER;
-- Why.
ALTER TABLE runs ADD COLUMN taken_why TEXT;
-- 1 once nothing of them is left.
ALTER TABLE runs ADD COLUMN is_taken INTEGER NOT NULL DEFAULT 0;

CREATE INDEX runs_kept ON runs (ended_at) WHERE ended_at IS NOT NULL AND taken_at IS NULL;
CREATE INDEX runs_half_taken ON runs (taken_at) WHERE taken_at IS NOT NULL AND is_taken = 0;

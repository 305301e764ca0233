-- What a scan of a workspace left out, since it lists a bounded number of files.
ALTER TABLE steps ADD COLUMN results_left_out INTEGER NOT NULL DEFAULT 0;

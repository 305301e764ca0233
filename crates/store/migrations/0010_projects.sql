-- Projects can be made, renamed and deleted, and say what their runs may reach beside what their agents may.

-- The table was there from the first, but nothing could put a row into it. It is made anew so that the name of a deleted project is
-- free again.
DROP TABLE projects;
CREATE TABLE projects (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    -- wire::network::HostGrant, in a list
    hosts      TEXT NOT NULL DEFAULT '[]',
    created_at INTEGER NOT NULL,
    -- Its tasks and what they cost go on naming it, so the row stays.
    removed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX projects_by_name ON projects (name) WHERE removed_at IS NULL;
CREATE INDEX tasks_by_project ON tasks (project, phase) WHERE project IS NOT NULL;

-- What that run alone may reach beside it: the same, in a list.
ALTER TABLE runs ADD COLUMN hosts TEXT NOT NULL DEFAULT '[]';

-- The first schema. Append-only from here on: a change is a new file.
--
-- Ids are hyphenated lower-case UUIDs, times are microseconds since 1970 (UTC), phases, holds and the like are their
-- names in data (`wire`, `lifecycle`), JSON is what `wire` serialises.

-- "BERT": tells a Berth's file from any other SQLite file.
PRAGMA application_id = 1111839316;

CREATE TABLE install (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    id         TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE agents (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    image      TEXT NOT NULL,
    -- wire::task::Launch
    launch     TEXT NOT NULL,
    limits     TEXT NOT NULL,
    review     TEXT NOT NULL,
    home       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Its tasks go on naming it, so the row stays.
    removed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX agents_by_name ON agents (name) WHERE removed_at IS NULL;

CREATE TABLE projects (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tasks (
    -- What a person says: #12. Never given twice.
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    title      TEXT    NOT NULL,
    agent      TEXT    NOT NULL REFERENCES agents (id),
    project    TEXT    REFERENCES projects (id),
    created_at INTEGER NOT NULL,
    -- The run that the task shows, and that run's phase. No foreign key: with rows that point at each other, SQLite
    -- would look through all tasks for each new run.
    latest_run TEXT    NOT NULL,
    phase      TEXT    NOT NULL
) STRICT;
CREATE INDEX tasks_by_phase ON tasks (phase, number);

-- Apart from the tasks, so that a page of the list does not read megabytes of prompts.
CREATE TABLE prompts (
    task   TEXT PRIMARY KEY NOT NULL REFERENCES tasks (id),
    prompt TEXT NOT NULL
) STRICT;

-- How many tasks are in each phase, kept by the triggers below: counting 100,000 rows for every look is too slow.
CREATE TABLE phase_counts (
    phase TEXT PRIMARY KEY NOT NULL,
    tasks INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks BEGIN
    INSERT INTO phase_counts (phase, tasks) VALUES (new.phase, 1) ON CONFLICT (phase) DO UPDATE SET tasks = tasks + 1;
END;
CREATE TRIGGER tasks_counted_over AFTER UPDATE OF phase ON tasks WHEN old.phase <> new.phase BEGIN
    UPDATE phase_counts SET tasks = tasks - 1 WHERE phase = old.phase;
    INSERT INTO phase_counts (phase, tasks) VALUES (new.phase, 1) ON CONFLICT (phase) DO UPDATE SET tasks = tasks + 1;
END;
CREATE TRIGGER tasks_counted_out AFTER DELETE ON tasks BEGIN
    UPDATE phase_counts SET tasks = tasks - 1 WHERE phase = old.phase;
END;

-- The words of a task by its number. It keeps no text of its own.
CREATE VIRTUAL TABLE task_search USING fts5 (
    title, prompt, agent,
    content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

CREATE TABLE attachments (
    task        TEXT    NOT NULL REFERENCES tasks (id),
    name        TEXT    NOT NULL,
    size_bytes  INTEGER NOT NULL,
    sha256      TEXT    NOT NULL,
    stored_path TEXT    NOT NULL,
    PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id           TEXT    PRIMARY KEY NOT NULL,
    task         TEXT    NOT NULL REFERENCES tasks (id),
    ordinal      INTEGER NOT NULL,
    -- Both follow from the phases of the steps and are kept in the same transaction.
    phase        TEXT    NOT NULL,
    current_step TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    UNIQUE (task, ordinal)
) STRICT;

CREATE TABLE steps (
    id           TEXT    PRIMARY KEY NOT NULL,
    run          TEXT    NOT NULL REFERENCES runs (id),
    ordinal      INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    agent        TEXT    NOT NULL REFERENCES agents (id),
    image        TEXT    NOT NULL,
    limits       TEXT    NOT NULL,
    -- lifecycle::Columns
    phase        TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    review       TEXT    NOT NULL,
    holds        TEXT    NOT NULL,
    ending       TEXT,
    failure      TEXT,
    -- Counts the transitions; who writes on an older one is refused.
    revision     INTEGER NOT NULL,
    -- When this phase of this attempt began.
    entered_at   INTEGER NOT NULL,
    error        TEXT,
    output_bytes INTEGER NOT NULL,
    output_at    INTEGER,
    last_line    TEXT    NOT NULL,
    -- Files that are new or changed.
    result_count INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (run, ordinal)
) STRICT;
CREATE INDEX steps_by_phase ON steps (phase);

CREATE TABLE phase_spans (
    step       TEXT    NOT NULL REFERENCES steps (id),
    -- From 1, in the order of time.
    ordinal    INTEGER NOT NULL,
    phase      TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    entered_at INTEGER NOT NULL,
    left_at    INTEGER,
    PRIMARY KEY (step, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE sandboxes (
    id         TEXT    PRIMARY KEY NOT NULL,
    container  TEXT    NOT NULL UNIQUE,
    image_id   TEXT    NOT NULL,
    -- The workspace's folder, below the data folder.
    folder     TEXT    NOT NULL,
    network    TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    stage      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    removed_at INTEGER
) STRICT;
CREATE INDEX sandboxes_live ON sandboxes (created_at) WHERE removed_at IS NULL;

-- Which attempt of which step works in which sandbox. A kept sandbox serves one after another.
CREATE TABLE placements (
    step      TEXT    NOT NULL REFERENCES steps (id),
    attempt   INTEGER NOT NULL,
    sandbox   TEXT    NOT NULL REFERENCES sandboxes (id),
    -- Below the sandbox's folder; empty for the folder itself.
    subpath   TEXT    NOT NULL,
    process   TEXT    NOT NULL,
    placed_at INTEGER NOT NULL,
    PRIMARY KEY (step, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX placements_by_sandbox ON placements (sandbox, placed_at);

CREATE TABLE results (
    step        TEXT    NOT NULL REFERENCES steps (id),
    -- As the file system has it: bytes, not text.
    path        BLOB    NOT NULL,
    change      TEXT    NOT NULL,
    size_bytes  INTEGER NOT NULL,
    sha256      TEXT,
    media_type  TEXT    NOT NULL,
    modified_at INTEGER,
    is_final    INTEGER NOT NULL,
    unreadable  TEXT,
    PRIMARY KEY (step, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    task TEXT,
    run  TEXT,
    step TEXT,
    -- wire::EventKind
    kind TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_task ON events (task, seq);

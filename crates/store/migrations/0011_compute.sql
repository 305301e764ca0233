-- What sandboxes used of the machine, an attempt a row. It is money where a person has rates for it, so it outlives its run's sandbox.

CREATE TABLE compute (
    step         TEXT    NOT NULL REFERENCES steps (id),
    attempt      INTEGER NOT NULL,
    run          TEXT    NOT NULL REFERENCES runs (id),
    agent        TEXT    NOT NULL REFERENCES agents (id),
    -- The task's, when the attempt began.
    project      TEXT    REFERENCES projects (id),
    -- When the sandbox was made, and when it was looked at last.
    started_at   INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    -- What it had used by then, as the engine counts. NULL where the engine never said.
    cpu_us       INTEGER,
    -- What it was given.
    memory_bytes INTEGER NOT NULL,
    -- 1 once it was looked at after the agent's end: until then it may be more.
    is_whole     INTEGER NOT NULL,
    PRIMARY KEY (step, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX compute_by_time ON compute (started_at);

-- The runs behind a sum are looked up by what the sum is of.
CREATE INDEX usage_by_agent ON usage (agent, at);
CREATE INDEX usage_by_project ON usage (project, at);
CREATE INDEX usage_by_model ON usage (model, at);

-- Model access: secrets by name, who has them, what sandboxes asked the gateway for, what that cost, and its limits.
-- No value of a secret is here. Money is whole micro-dollars.

CREATE TABLE secrets (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    -- wire::secret::SecretBinding
    binding     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    replaced_at INTEGER NOT NULL,
    used_at     INTEGER,
    -- Its value is to be taken out of the vault; the row goes once that is done.
    removed_at  INTEGER
) STRICT;
CREATE UNIQUE INDEX secrets_by_name ON secrets (name) WHERE removed_at IS NULL;

CREATE TABLE grants (
    secret      TEXT    NOT NULL REFERENCES secrets (id),
    agent       TEXT    NOT NULL REFERENCES agents (id),
    -- wire::secret::SecretWay
    way         TEXT    NOT NULL,
    variable    TEXT    NOT NULL,
    -- What the sandbox has in the value's place. It outlasts another way and another variable.
    placeholder TEXT    NOT NULL,
    granted_at  INTEGER NOT NULL,
    PRIMARY KEY (secret, agent)
) STRICT, WITHOUT ROWID;
-- Of two values for one variable, one would be lost without a word.
CREATE UNIQUE INDEX grants_by_variable ON grants (agent, variable);

-- wire::network::NetworkPolicy
ALTER TABLE agents ADD COLUMN network TEXT NOT NULL DEFAULT '{"mode":"allowlist"}';

CREATE TABLE requests (
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,
    at                 INTEGER NOT NULL,
    sandbox            TEXT    NOT NULL REFERENCES sandboxes (id),
    task               TEXT    NOT NULL REFERENCES tasks (id),
    run                TEXT    NOT NULL REFERENCES runs (id),
    step               TEXT    NOT NULL REFERENCES steps (id),
    agent              TEXT    NOT NULL REFERENCES agents (id),
    -- wire::network::RequestKind
    kind               TEXT    NOT NULL,
    method             TEXT    NOT NULL,
    host               TEXT    NOT NULL,
    port               INTEGER NOT NULL,
    path               TEXT    NOT NULL,
    -- The name in data of a wire::network::RequestOutcome, and its reason.
    outcome            TEXT    NOT NULL,
    reason             TEXT,
    status             INTEGER,
    sent_bytes         INTEGER NOT NULL DEFAULT 0,
    received_bytes     INTEGER NOT NULL DEFAULT 0,
    ended_at           INTEGER,
    -- By its name then: secrets are renamed and removed.
    secret             TEXT,
    -- The model that was asked for, so that a request that broke off names it.
    model              TEXT,
    -- What budgets set aside for it while it lasts.
    reserved_micro_usd INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX requests_by_task ON requests (task, seq);
CREATE INDEX requests_by_run ON requests (run, seq);
CREATE INDEX requests_open ON requests (run, agent) WHERE ended_at IS NULL;

-- How many of its requests were taken out of the list, of which a run has a bounded part.
ALTER TABLE runs ADD COLUMN requests_left_out INTEGER NOT NULL DEFAULT 0;

-- What requests used. It is money, so it outlives the requests: no foreign key to them.
CREATE TABLE usage (
    request        INTEGER PRIMARY KEY NOT NULL,
    -- When the request came.
    at             INTEGER NOT NULL,
    task           TEXT    NOT NULL REFERENCES tasks (id),
    run            TEXT    NOT NULL REFERENCES runs (id),
    step           TEXT    NOT NULL REFERENCES steps (id),
    agent          TEXT    NOT NULL REFERENCES agents (id),
    -- The task's, then.
    project        TEXT    REFERENCES projects (id),
    -- Empty where nobody knows.
    model          TEXT    NOT NULL,
    -- wire::cost::TokenCounts
    input          INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write    INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    reasoning      INTEGER NOT NULL,
    is_at_least    INTEGER NOT NULL,
    -- NULL where the price is not known: that is not zero.
    cost_micro_usd INTEGER CHECK (cost_micro_usd >= 0),
    -- Of what was set aside for it, what is not counted: where the reply was not counted whole, it may have cost that much more.
    withheld_micro_usd INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX usage_by_time ON usage (at);
CREATE INDEX usage_withheld ON usage (at) WHERE withheld_micro_usd > 0;

-- The same by days (UTC, counted from 1970), kept by the trigger below: before each request to a model a month is summed up,
-- and 100,000 rows are too many for that.
CREATE TABLE usage_days (
    day              INTEGER NOT NULL,
    agent            TEXT    NOT NULL,
    -- Empty for none.
    project          TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    -- The latest in it.
    run              TEXT    NOT NULL,
    -- wire::cost::Spent
    amount_micro_usd INTEGER NOT NULL,
    requests         INTEGER NOT NULL,
    unpriced         INTEGER NOT NULL,
    at_least         INTEGER NOT NULL,
    input            INTEGER NOT NULL,
    cache_read       INTEGER NOT NULL,
    cache_write      INTEGER NOT NULL,
    output           INTEGER NOT NULL,
    reasoning        INTEGER NOT NULL,
    PRIMARY KEY (day, agent, project, model)
) STRICT, WITHOUT ROWID;

-- The same by runs.
CREATE TABLE usage_runs (
    run              TEXT    NOT NULL,
    day              INTEGER NOT NULL,
    amount_micro_usd INTEGER NOT NULL,
    requests         INTEGER NOT NULL,
    unpriced         INTEGER NOT NULL,
    at_least         INTEGER NOT NULL,
    input            INTEGER NOT NULL,
    cache_read       INTEGER NOT NULL,
    cache_write      INTEGER NOT NULL,
    output           INTEGER NOT NULL,
    reasoning        INTEGER NOT NULL,
    PRIMARY KEY (run, day)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_summed AFTER INSERT ON usage BEGIN
    INSERT INTO usage_days (day, agent, project, model, run, amount_micro_usd, requests, unpriced, at_least, input, cache_read,
                            cache_write, output, reasoning)
    VALUES (new.at / 86400000000, new.agent, coalesce(new.project, ''), new.model, new.run, coalesce(new.cost_micro_usd, 0), 1,
            new.cost_micro_usd IS NULL, new.is_at_least, new.input, new.cache_read, new.cache_write, new.output, new.reasoning)
    ON CONFLICT DO UPDATE SET
        run = max(run, excluded.run), amount_micro_usd = amount_micro_usd + excluded.amount_micro_usd,
        requests = requests + 1, unpriced = unpriced + excluded.unpriced, at_least = at_least + excluded.at_least,
        input = input + excluded.input, cache_read = cache_read + excluded.cache_read,
        cache_write = cache_write + excluded.cache_write, output = output + excluded.output,
        reasoning = reasoning + excluded.reasoning;
    INSERT INTO usage_runs (run, day, amount_micro_usd, requests, unpriced, at_least, input, cache_read, cache_write, output,
                            reasoning)
    VALUES (new.run, new.at / 86400000000, coalesce(new.cost_micro_usd, 0), 1, new.cost_micro_usd IS NULL, new.is_at_least,
            new.input, new.cache_read, new.cache_write, new.output, new.reasoning)
    ON CONFLICT DO UPDATE SET
        amount_micro_usd = amount_micro_usd + excluded.amount_micro_usd, requests = requests + 1,
        unpriced = unpriced + excluded.unpriced, at_least = at_least + excluded.at_least, input = input + excluded.input,
        cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
        output = output + excluded.output, reasoning = reasoning + excluded.reasoning;
END;

CREATE TABLE budgets (
    -- each_run, run, agent, project
    kind            TEXT    NOT NULL,
    -- The id of what it is for; empty for each run.
    key             TEXT    NOT NULL,
    limit_micro_usd INTEGER NOT NULL,
    set_at          INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- How far a person was told that a budget is used up. Not in the budget's own row: one budget holds for each run, others
-- begin anew each month.
CREATE TABLE budget_warnings (
    kind    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    -- The run, or when the month began.
    span    TEXT    NOT NULL,
    percent INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (kind, key, span),
    FOREIGN KEY (kind, key) REFERENCES budgets (kind, key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE prices (
    -- The model by its name; every name that begins so where it ends in a star.
    model  TEXT PRIMARY KEY NOT NULL,
    -- wire::cost::Rates
    rates  TEXT NOT NULL,
    set_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

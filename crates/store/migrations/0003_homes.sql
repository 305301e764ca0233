-- Homes become rows of their own: a home that is reset or imported is a new volume that takes the place of the old one in one
-- transaction, and a home may outlive its agent.
CREATE TABLE homes (
    volume      TEXT    PRIMARY KEY NOT NULL,
    -- Whose it is, or was where the agent is removed.
    agent       TEXT    NOT NULL REFERENCES agents (id),
    -- new: named, nothing in it that could not be made again. filling: an import is on its way into it.
    -- ready: the agent's. going: to be removed from the engine, then from here.
    state       TEXT    NOT NULL,
    -- The name that the folder of the agent's memory has in it.
    memory      TEXT    NOT NULL,
    -- The image that seeded it, as its agent named it then.
    image       TEXT,
    image_id    TEXT,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER,
    size_bytes  INTEGER,
    files       INTEGER,
    measured_at INTEGER
) STRICT;
CREATE INDEX homes_by_agent ON homes (agent);

INSERT INTO homes (volume, agent, state, memory, created_at)
SELECT home, id,
       CASE WHEN EXISTS (SELECT 1 FROM settings WHERE key = 'home.' || agents.id || '.laid_out')
            THEN 'ready' ELSE 'new' END,
       name, created_at
FROM agents;
DELETE FROM settings WHERE key LIKE 'home.%.laid_out';

-- wire::view::AgentColour
ALTER TABLE agents ADD COLUMN colour TEXT NOT NULL DEFAULT 'none';

-- wire::task::Launch, as the agent had it when the step was asked for; empty in a step of before, which takes the agent's.
ALTER TABLE steps ADD COLUMN launch TEXT;

-- What agents bring: a model, standing instructions, whether they have a memory, and packages on top of their image. Those that there were
-- read and wrote a memory already.

-- NULL where the image chooses.
ALTER TABLE agents ADD COLUMN model      TEXT;
-- wire::view::PersonaFile, in a list
ALTER TABLE agents ADD COLUMN persona    TEXT    NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN has_memory INTEGER NOT NULL DEFAULT 1;
-- wire::image::Tools
ALTER TABLE agents ADD COLUMN tools      TEXT    NOT NULL DEFAULT '{}';

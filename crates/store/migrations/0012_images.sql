-- Images of a person's own: a reference to be fetched, or a folder to be built.

CREATE TABLE own_images (
    name     TEXT    NOT NULL PRIMARY KEY,
    -- 'reference' or 'folder'; what it says is in `source`.
    kind     TEXT    NOT NULL,
    source   TEXT    NOT NULL,
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How the smoke test of an image went last, by the image's id: another build is another image.
CREATE TABLE smoke_tests (
    image    TEXT    NOT NULL PRIMARY KEY,
    image_id TEXT    NOT NULL,
    passed   INTEGER NOT NULL,
    tried    INTEGER NOT NULL,
    -- What failed, a list of lines.
    failed   TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

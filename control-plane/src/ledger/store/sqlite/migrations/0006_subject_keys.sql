-- Number of the key that a hash was made with. 0: it came before this column.
ALTER TABLE subjects ADD COLUMN key INTEGER NOT NULL DEFAULT 0;
-- Who asked whom about somebody under which key: what a search for a person has to try.
CREATE TABLE subject_pairs (
    key      INTEGER NOT NULL,
    consumer INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    PRIMARY KEY (key, consumer, provider)
) STRICT, WITHOUT ROWID;

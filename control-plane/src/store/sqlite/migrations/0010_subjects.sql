-- Fields of an inquiry's request that name the data subject: JSON array of {"kind", "path"}. NULL: written before this column was;
-- the control plane reads the passport again when it starts.
ALTER TABLE passport_inquiries ADD COLUMN subjects TEXT;

-- Keys that data subjects are hashed with. The ledger knows only the hashes and is a file of its own: who gets hold of it alone
-- cannot try out all IDs.
CREATE TABLE subject_keys (
    -- 1, 2, 3 …; the highest is in force.
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    key        BYTEA   NOT NULL,
    made_at_ms BIGINT  NOT NULL
);

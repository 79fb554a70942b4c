-- Changes that wait, or waited, for a second person.
CREATE TABLE changes (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- policy, root or inspector.
    guard           TEXT    NOT NULL,
    -- Of the admin API, such as PolicyService/Apply.
    method          TEXT    NOT NULL,
    -- The request, as it was asked; and the digest of what of it must be the same when it is asked again.
    request         BYTEA   NOT NULL,
    digest          BYTEA   NOT NULL,
    proposed_by     TEXT    NOT NULL,
    -- Who vouches for the person behind proposed_by. NULL: nobody does.
    proposed_person TEXT,
    proposed_at_ms  BIGINT  NOT NULL,
    expires_at_ms   BIGINT  NOT NULL,
    -- NULL: it waits.
    decided_by      TEXT,
    decided_at_ms   BIGINT,
    approved        BIGINT  NOT NULL DEFAULT 0,
    -- When it was carried out. NULL: it was not, or failed.
    used_at_ms      BIGINT
);
CREATE INDEX changes_by_proposer ON changes (proposed_by, method);
